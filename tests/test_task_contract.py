"""What a task may give and take: its rows stay its own, a reward is one bit, an answer is plain, its time its own."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import main
from agent import make_agent
from clients.scripted import ScriptedClient
from config import Config
from env import describe_data, make_env
from errors import UsageError, UserError
from helpers.fake_server import FakeServer, serving
from helpers.own_task import ROWS, TASK, Parity, argv, play, right, use, write_task
from helpers.runs import run_folder, run_folders, steps
from llm import LLM
from runs.folder import RunLog
from runs.track import Tracker
from step import as_plain


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(right) as server:
        yield server


# -- rows --------------------------------------------------------------------------------------------------------------


def tasks(seed: int | None, limit: int | None = None) -> list[str]:
    return [row["task"] for row in make_env("lfd", shuffle_seed=seed, limit=limit).dataset]


def test_the_order_of_a_seed_does_not_depend_on_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Parity)
    alone = tasks(1)
    assert tasks(0) != alone
    assert tasks(1) == alone
    assert tasks(1, limit=3) == alone[:3]
    assert tasks(None) == [f"number {i}" for i in range(12)] == [row["task"] for row in ROWS]


def test_shuffled_and_cut_streams_are_of_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Parity)
    streams = [make_env("lfd", shuffle_seed=seed, limit=limit) for seed in (None, 0, 1) for limit in (None, 5)]
    assert len({describe_data(env)["sha256"] for env in streams}) == 1

    class Others(Parity):
        def init_env(self) -> None:
            self.dataset = ROWS[1:]

    use(monkeypatch, Others)
    assert describe_data(make_env("lfd"))["sha256"] != describe_data(streams[0])["sha256"]


def test_a_task_with_rows_of_its_own_takes_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Made(Parity):
        def __init__(self) -> None:
            super().__init__()
            self.dataset = ROWS

    use(monkeypatch, Made)
    assert len(make_env("lfd")) == 12
    with pytest.raises(UsageError, match="the task lfd makes its rows itself: --data and --columns have no effect"):
        make_env("lfd", "other.jsonl")


# -- answers -----------------------------------------------------------------------------------------------------------

SETS = TASK.replace('"label": "odd" if i % 2 else "even"}', '"label": {f"sign {i % 3}", "numeral", f"digit {i % 2}"}}')
SETS += """
    def extraction(self, text):
        return self.row["label"]
"""


def test_a_set_is_the_same_answer_in_every_process(tmp_path: Path, server: FakeServer) -> None:
    """The prompts of two runs whose strings hash differently, and the hash of their rows, which hold sets too."""
    asked, rows = [], []
    for seed in ("1", "2"):
        server.chats.clear()
        folder = write_task(tmp_path / seed, SETS)
        done = play(folder, server, "--agent", "icrl", "--comk", 2, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        asked.append([chat["messages"] for chat in server.chats])
        run = run_folder(folder / "results")
        rows.append(yaml.safe_load((run / "config.yaml").read_text())["data"]["sha256"])
    assert asked[0] == asked[1] and "number 0: ['digit 0', 'numeral', 'sign 0']" in asked[0][1][0]["content"]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("answer, plain", [
    ({"b", "a"}, ["a", "b"]), ({10, 9}, [9, 10]), ((1, "x"), [1, "x"]), ({"k": {("b", 2), ("a", 1)}}, None),
    (np.int64(3), 3), (np.float32(0.5), 0.5), (np.array([1, 2]), [1, 2]), (np.bool_(True), True), ([{1, None}], None),
    ({frozenset("ba"), frozenset("dc")}, [["a", "b"], ["c", "d"]]),
])  # fmt: skip
def test_answers_become_plain(answer: Any, plain: Any) -> None:
    found = as_plain(answer)
    assert found == json.loads(json.dumps(found)) == as_plain(found)
    assert plain is None or (found == plain and type(found) is type(plain))


def test_an_answer_that_cannot_be_logged_is_named() -> None:
    with pytest.raises(UserError, match="must be made of texts, numbers, lists and dicts: .*complex"):
        as_plain({"z": 1j})


# -- rewards -----------------------------------------------------------------------------------------------------------


def rewarded(reward: Any, scores: dict[str, Any] | None = None) -> type[Parity]:
    class Rewarded(Parity):
        def reward_function(self, answer: Any) -> Any:
            self.step_metrics |= scores or {}
            return reward if self.index == 1 else 1

    return Rewarded


@pytest.mark.parametrize("reward", [0.9, 2, -1, math.nan, None, "1", "", [1], np.array([1, 0]), np.float32(0.5)])
def test_a_reward_that_is_not_one_bit_stops_the_run(
    reward: Any,
    server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(monkeypatch, rewarded(reward))
    assert main.main(argv(server, tmp_path, "--agent", "icrl")) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: the task parity gave the reward {reward!r} in step 2 (row 2): it must be 0 or 1.")
    assert "threshold" in last and "self.step_metrics" in last
    assert [step["reward"] for step in steps(run_folder(tmp_path))] == [1]


@pytest.mark.parametrize("reward", [True, False, 1.0, 0.0, np.int64(1), np.float64(0), np.bool_(True)])
def test_a_bit_of_another_type_is_that_bit(
    reward: Any, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, rewarded(reward))
    assert main.main(argv(server, tmp_path, "--agent", "icrl", "--limit", 2)) == 0
    logged = [step["reward"] for step in steps(run_folder(tmp_path))]
    assert logged == [1, int(reward)] and {type(bit) for bit in logged} == {int}


def test_a_graded_score_stands_beside_the_bit(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, rewarded(1, {"f1": np.float32(0.75), "exact": False}))
    arguments = argv(server, tmp_path, "--agent", "zero-shot", "--limit", 3)
    assert main.main(arguments) == 0
    folder = run_folder(tmp_path)
    assert [step["metrics"] for step in steps(folder)] == [{"f1": 0.75, "exact": 0}] * 3
    (folder / "summary.json").unlink()
    assert main.main(arguments) == 0  # the log reads back
    use(monkeypatch, rewarded(1, {"f1": "high"}))
    assert main.main([*arguments, "--overwrite"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "error: the task parity set self.step_metrics['f1'] to 'high' in step 1 (row 1): not a number"


# -- time --------------------------------------------------------------------------------------------------------------


def test_time_is_charged_to_who_spends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the LLM (100 an answer), the task (10 a score, 5 a truth) and a memory (1) move."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def spend(seconds: float, value: Any = None) -> Any:
        clock[0] += seconds
        return value

    class Slow(Parity):
        def evaluate(self, text: str) -> tuple[Any, int]:
            return spend(10, super().evaluate(text))

        def get_ground_truth(self) -> Any:
            return spend(5, super().get_ground_truth())

    class Encoder:
        dim = 1

        def encode(self, texts: list[str]) -> np.ndarray:
            ahead = threading.current_thread().name.startswith("ahead")  # beside the LLM's answer: no time of its own
            return spend(0 if ahead else 1, np.ones((len(texts), 1), np.float32))

        def remember(self, texts: list[str], embeddings: np.ndarray) -> None:
            """It is as slow the second time."""

    use(monkeypatch, Slow)
    config = Config(env="lfd", agent="cbrgt", bandit="Random", limit=3)
    env = make_env("lfd", limit=3)
    log = RunLog(tmp_path / "run", config.identity(), False, 600)
    agent = make_agent(config, env, LLM(ScriptedClient(lambda prompt: spend(100, "odd"))), Encoder)
    log.begin({}, {})
    main.run(env, agent, log, Tracker(config))
    log.close()
    records = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    assert [record["llm_seconds"] for record in records] == [100] * 3
    assert [record["env_seconds"] for record in records] == [15] * 3
    assert [record["agent_seconds"] for record in records] == [1, 1, 2]  # the third also recalls


# -- what is recorded, what is told ------------------------------------------------------------------------------------


def test_the_versions_of_a_tasks_own_packages_are_recorded(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Packaged(Parity):
        packages = ("pytest", "a-package-that-nobody-has")

    use(monkeypatch, Packaged)
    assert main.main(argv(server, tmp_path, "--agent", "zero-shot", "--limit", 2)) == 0
    (start,) = yaml.safe_load((run_folder(tmp_path) / "config.yaml").read_text())["starts"]
    assert start["versions"]["pytest"] == pytest.__version__
    assert "numpy" in start["versions"] and "a-package-that-nobody-has" not in start["versions"]


@pytest.mark.parametrize("agent", ["icrl", "icrl-plus"])
def test_a_prompt_function_cannot_change_the_bank(
    agent: str, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless(Parity):
        def extraction(self, text: str) -> list[str]:
            return [text]

        def reward_function(self, answer: list[str]) -> int:
            return int(answer == [self.row["label"]])

        def _render_case(self, case: dict[str, Any]) -> str:
            case["task"] += " seen"
            case["answer"].append("seen")
            case["id"] = 99
            return super()._render_case(case)

    use(monkeypatch, Careless)
    assert main.main(argv(server, tmp_path, "--agent", agent, "--comk", 3)) == 0
    assert server.chats[3]["messages"][0]["content"].splitlines()[0] == "number 0 seen: ['even', 'seen']"
    assert all("seen seen" not in chat["messages"][0]["content"] for chat in server.chats)
    assert [case["id"] for case in steps(run_folder(tmp_path))[-1]["cases"]] == [9, 10, 11]


def test_rows_in_blocks_are_told_of_at_the_start(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Sorted(Parity):
        def init_env(self) -> None:
            self.dataset = sorted(ROWS * 4, key=lambda row: row["label"])

    class Mixed(Parity):
        def init_env(self) -> None:
            self.dataset = ROWS * 4

    told = []
    for task, more in ((Sorted, ()), (Sorted, ("--shuffle",)), (Mixed, ())):
        use(monkeypatch, task)
        output = tmp_path / str(len(told))
        assert main.main(argv(server, output, "--agent", "zero-shot", *more)) == 0
        told.append("note: the rows lie in blocks of one label" in capsys.readouterr().err)
    assert told == [True, False, False]


# -- ground truth ------------------------------------------------------------------------------------------------------


class Boxed(Parity):
    """As a newcomer writes it: the parser wants a box, and nothing says how a label is written."""

    def extraction(self, text: str) -> str | None:
        return text[1:-1] if text.startswith("[") else None


def test_failing_ground_truth_fails_and_shows_why(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Boxed)
    arguments = argv(server, tmp_path, "--agent", "ground-truth", "--seed", -1)
    for _ in range(2):  # the second time the runs are finished already
        assert main.main(arguments) == 1
        told = capsys.readouterr().err
        assert told.count("12 of 12 labels are not right by the task's own parser and reward") == 5
        assert "label              even" in told and "read by the parser None" in told
        assert "define format_answer" in told and "step 3" in told and "step 4" not in told
    assert len(run_folders(tmp_path)) == 5

    class Mended(Boxed):
        def format_answer(self, answer: Any) -> str:
            return f"[{answer}]"

    use(monkeypatch, Mended)
    assert main.main([*arguments, "--overwrite"]) == 0
    assert "labels are not right" not in capsys.readouterr().err


# -- skipped steps -----------------------------------------------------------------------------------------------------


def test_a_run_whose_every_step_was_skipped_has_no_rate(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Parity)
    server.fault = lambda number: (400, {"error": {"message": "stopped", "code": "content_filter"}})
    arguments = argv(server, tmp_path, "--agent", "icrl", "--limit", 2, "--on_refused", "skip", "--seed", -1)
    assert main.main(arguments) == 0
    out = capsys.readouterr().out
    assert out.count("no step was scored   (0 of 0)") == 5 and out.count("2 steps, which are in no rate") == 5
    assert "success rate               no step was scored" in out.partition("over 5 seeds")[2]
    server.fault = lambda number: None
    (run_folders(tmp_path)[0] / "summary.json").unlink()
    assert main.main([*arguments, "--overwrite", "--seed", "0"]) == 0
    capsys.readouterr()
    assert main.main(arguments) == 0
    over = capsys.readouterr().out.partition("over 5 seeds")[2]
    assert "1.000   (of 1 seeds; in the others no step was scored)" in over
