"""A run killed at any point and continued is the run that was never killed; a folder never mixes two runs."""

from __future__ import annotations

import json
import os
import random
import signal
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import yaml
from conftest import ROOT, run_cli
from fake_server import FakeServer, choose_option, serving
from runs import run_folder, run_folders, steps, write_stream

import encoders
import main
from agent import AGENT_DICT, make_agent
from config import AGENT_OPTIONS, POLICY_OPTIONS, Config
from env import make_env
from env.labels import load_labels
from llm import LLM, ScriptedClient
from runlog import RunLog
from track import NoTracker

SIZE = 18
STRATEGIES = ("random", "ucb", "explore", "exploit")
# One life after another: (where it ends, in which step).
DEATHS = (
    ("asking", 3),
    ("half a line", 4),
    ("saving", 5),
    ("after append", 7),
    ("after renames", 8),
    ("between renames", 9),
    ("before append", 11),
    ("after renames", 12),
    ("saving", 13),
    ("half a line", 16),
)
CHECKPOINTS = (5, 8, 9, 12, 13)  # the other steps after them are replayed


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the project catches it."""


class MortalLog(RunLog):
    """A run log whose process dies at `death`."""

    def __init__(self, folder: Path, identity: dict[str, Any], death: tuple[str, int] | None) -> None:
        super().__init__(folder, identity, overwrite=False, checkpoint_seconds=0)
        self._death = death

    def append(self, record: dict[str, Any]) -> None:
        self._die("before append", record["step"])
        if self._death == ("half a line", record["step"]):
            line = json.dumps(record).encode()
            with (self.folder / "steps.jsonl").open("ab") as file:
                file.write(line[: len(line) // 2])
            raise Killed
        super().append(record)
        self._die("after append", record["step"])

    def checkpoint(self, step: int, save: Any) -> None:
        if step not in CHECKPOINTS:
            return

        def save_and_die(folder: Path) -> None:
            save(folder)
            max(folder.iterdir(), key=lambda path: path.stat().st_size).write_bytes(b"half")
            raise Killed

        renames = []

        def rename(path: Path, target: Path) -> None:
            if renames:
                self._die("between renames", step)
            os.rename(path, target)
            renames.append(target)
            if target.name == "checkpoint":
                self._die("after renames", step)

        with mock.patch.object(Path, "rename", rename):
            super().checkpoint(step, save_and_die if self._death == ("saving", step) else save)

    def _die(self, where: str, step: int) -> None:
        if self._death == (where, step):
            raise Killed


def live(config: Config, folder: Path, model: Path, death: tuple[str, int] | None = None) -> int:
    """Run `config` as a process with nothing in memory would, until its death; returns how often the LLM answered."""
    asked = 0

    def answer(prompt: str) -> str:
        nonlocal asked
        if death == ("asking", env.index + 1):
            raise Killed
        asked += 1
        right = sum(prompt.encode()) % 2 == 0
        return env.format_answer(env.get_ground_truth()) if right else choose_option(prompt)

    env = make_env(config.env, config.data, config.seed if config.shuffle else None, config.limit)
    llm = LLM(ScriptedClient(answer))
    log = MortalLog(folder, config.identity(), death)
    try:
        agent = make_agent(config, env, llm, lambda: encoders.TextEncoder(str(model), torch.device("cpu")))
        log.begin({})
        main.run(env, agent, llm, log, NoTracker())
        log.finish({"bank_size": len(agent.retrieval.bank)})
    except Killed:
        pass
    finally:
        log.close()
    return asked


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights that reads letters: it trains in milliseconds."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("tiny-bert")
    letters = string.ascii_lowercase + string.digits + string.punctuation
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}).save_pretrained(folder)
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=len(tokens), initializer_range=0.5, **shape)).save_pretrained(folder)
    return folder


def combinations() -> list[dict[str, str]]:
    """Every agent with every policy that it can have, and every strategy of asking."""
    made: list[dict[str, str]] = []
    for agent, options in AGENT_OPTIONS.items():
        for bandit in POLICY_OPTIONS if "bandit" in options else ("Random",):
            for strategy in STRATEGIES if agent == "cbrdiscover" and bandit == "LinLogUCB" else STRATEGIES[:1]:
                made.append({"agent": agent, "bandit": bandit, "discover_strategy": strategy})
    return made


def stream(tmp_path: Path, size: int = SIZE) -> Path:
    return write_stream(tmp_path / "stream.jsonl", load_labels("lfd"), size)


@pytest.mark.parametrize("choice", combinations(), ids=lambda choice: "-".join(choice.values()))
def test_killed_and_continued_is_the_same_run(choice: dict[str, str], tmp_path: Path, tiny_model: Path) -> None:
    config = Config(
        env="lfd", data=str(stream(tmp_path)), batch_size=4, skip_steps=4, queue_size=4, budget_ratio=0.3, **choice
    )
    unharmed, killed = tmp_path / "unharmed", tmp_path / "killed"
    asked = live(config, unharmed, tiny_model)

    asked_in_all = 0
    for death in (*(death for death in DEATHS if asked or death[0] != "asking"), None):
        assert not (killed / "summary.json").exists()
        asked_in_all += live(config, killed, tiny_model, death)

    assert len(steps(unharmed)) == SIZE
    assert steps(killed) == steps(unharmed)
    lost = sum(1 for where, _ in DEATHS if where in ("half a line", "before append"))
    assert asked_in_all == (asked + lost if asked else 0)  # no logged step is asked again
    left = sorted(path.name for path in killed.iterdir() if path.name != ".lock")
    assert left == ["config.yaml", "steps.jsonl", "summary.json"]
    rewards = [step["reward"] for step in steps(unharmed)]
    if choice["agent"] == "ground-truth":
        assert rewards == [1] * SIZE
    elif choice["agent"] == "cbrdiscover":
        assert steps(unharmed)[-1]["metrics"]["NumDiscovery"] > 0
    else:
        assert 0 < sum(rewards) < SIZE
    if choice["bandit"].startswith("Neural"):
        assert any("train/loss" in step["metrics"] for step in steps(unharmed)[:12])


def test_every_agent_and_policy_is_among_the_combinations() -> None:
    assert {choice["agent"] for choice in combinations()} == set(AGENT_OPTIONS) == set(AGENT_DICT)
    assert {choice["bandit"] for choice in combinations()} == set(POLICY_OPTIONS)


def argv(server: FakeServer | None, output: Path, *more: object) -> list[str]:
    """main.py's arguments for a run on the test's stream, answered by `server` or the embedded reader."""
    serving = ("--llm", "m", "--port", server.port) if server else ()
    data = output.parent / "stream.jsonl"
    return [str(word) for word in ("--env", "lfd", "--data", data, "--output_dir", output, *serving, *more)]


def kill_after(lines: int, arguments: list[str], signal_number: int, delay: float = 0.0) -> subprocess.CompletedProcess:
    """Start main.py, signal it `delay` seconds after steps.jsonl has `lines` lines, and wait for its end."""
    output = Path(arguments[arguments.index("--output_dir") + 1])
    command = [sys.executable, str(ROOT / "main.py"), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        logs = list(output.rglob("steps.jsonl"))
        if logs and logs[0].read_bytes().count(b"\n") >= lines:
            time.sleep(delay)
            process.send_signal(signal_number)
            break
        time.sleep(0.01)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def slowly(prompt: str) -> str:
    time.sleep(0.02)
    return choose_option(prompt)


@pytest.mark.parametrize("checkpoint_seconds", [0, 600])
def test_a_process_killed_at_random_moments_continues(checkpoint_seconds: int, tmp_path: Path) -> None:
    stream(tmp_path, 30)
    rng = random.Random(checkpoint_seconds)
    with serving(slowly) as server:
        more = ("--agent", "icrl", "--comk", 3, "--checkpoint_seconds", checkpoint_seconds)
        assert main.main(argv(server, tmp_path / "unharmed", *more)) == 0
        for lines in (1, 9, 20):
            killed = kill_after(lines, argv(server, tmp_path / "killed", *more), signal.SIGKILL, rng.random() / 20)
            assert killed.returncode == -signal.SIGKILL
        assert (run_folder(tmp_path / "killed") / "checkpoint").exists() == (checkpoint_seconds == 0)
        assert main.main(argv(server, tmp_path / "killed", *more)) == 0
    unharmed, killed_folder = run_folder(tmp_path / "unharmed"), run_folder(tmp_path / "killed")
    assert len(steps(unharmed)) == 30
    assert steps(killed_folder) == steps(unharmed)


@pytest.mark.parametrize("checkpoint_seconds", [0, 600])
def test_a_process_that_trains_its_policy_continues_after_a_kill(checkpoint_seconds: int, tmp_path: Path) -> None:
    stream(tmp_path, 10)
    more = ("--batch_size", 2, "--learning_rate", 1e-3, "--agent", "cbrgt", "--checkpoint_seconds", checkpoint_seconds)
    killed = kill_after(6, argv(None, tmp_path / "killed", *more), signal.SIGKILL, 0.05)
    assert killed.returncode == -signal.SIGKILL
    before = steps(run_folder(tmp_path / "killed"))
    assert 6 <= len(before) < 10
    assert main.main(argv(None, tmp_path / "killed", *more)) == 0
    assert main.main(argv(None, tmp_path / "unharmed", *more[:-2])) == 0
    unharmed = steps(run_folder(tmp_path / "unharmed"))
    assert sum("train/loss" in step["metrics"] for step in unharmed[:6]) >= 2
    assert steps(run_folder(tmp_path / "killed")) == unharmed


def test_ctrl_c_leaves_a_run_that_continues(tmp_path: Path) -> None:
    stream(tmp_path, 12)
    with serving(slowly) as server:
        interrupted = kill_after(4, argv(server, tmp_path / "run", "--agent", "icrl-plus"), signal.SIGINT)
        assert interrupted.returncode == 130
        assert "Traceback" not in interrupted.stderr
        assert interrupted.stderr.endswith("interrupted: the same command continues the run\n")
        done = len(steps(run_folder(tmp_path / "run")))
        continued = run_cli(*argv(server, tmp_path / "run", "--agent", "icrl-plus"))
        assert continued.returncode == 0
        assert f"continuing at step {done + 1} of 12" in continued.stderr
        assert main.main(argv(server, tmp_path / "unharmed", "--agent", "icrl-plus")) == 0
    assert steps(run_folder(tmp_path / "run")) == steps(run_folder(tmp_path / "unharmed"))


def test_a_second_process_on_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream(tmp_path, 4)
    with serving() as server:
        config = Config.from_args(argv(server, tmp_path / "run", "--agent", "zero-shot"))
        held = RunLog(tmp_path / "run" / config.run_name(), {}, overwrite=False, checkpoint_seconds=0)
        for more in ((), ("--overwrite",)):
            second = run_cli(*argv(server, tmp_path / "run", "--agent", "zero-shot", *more))
            assert second.returncode == 1
            assert second.stderr.splitlines()[-1].endswith("another process is writing this run")
        held.close()
        assert server.chats == []
        assert main.main(argv(server, tmp_path / "run", "--agent", "zero-shot")) == 0


class TestFolder:
    """What main.py does with a run folder that is there already."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Any:
        stream(tmp_path, 6)
        with serving() as server:
            yield server

    def run(self, server: FakeServer, tmp_path: Path, *more: object) -> int:
        return main.main(argv(server, tmp_path / "run", "--agent", "icrl", *more))

    def unfinish(self, tmp_path: Path, lines: int) -> Path:
        """Make the finished run one that was killed after `lines` steps; returns steps.jsonl."""
        folder = run_folder(tmp_path / "run")
        (folder / "summary.json").unlink()
        path = folder / "steps.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))
        return path

    def test_finished_run_is_kept(self, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(server, tmp_path) == 0
        path = run_folder(tmp_path / "run") / "steps.jsonl"
        before, printed = path.read_bytes(), capsys.readouterr().out
        assert self.run(server, tmp_path) == 0
        again = capsys.readouterr()
        assert "finished; --overwrite starts it over" in again.err
        assert again.out == printed
        assert path.read_bytes() == before
        assert len(server.chats) == 6

    def test_overwrite_starts_over(self, server: FakeServer, tmp_path: Path) -> None:
        assert self.run(server, tmp_path) == 0
        folder = run_folder(tmp_path / "run")
        before = steps(folder)
        server.answer = lambda prompt: "no idea"
        assert self.run(server, tmp_path, "--overwrite") == 0
        assert len(server.chats) == 12
        after = steps(folder)
        assert [step["task"] for step in after] == [step["task"] for step in before]
        assert {step["output"] for step in after} == {"no idea"}
        assert json.loads((folder / "summary.json").read_text())["success_rate"] == 0.0

    @pytest.mark.parametrize("torn", [b"{", b'{"step": 4, "task": "Line 3', b'{"step": 4}', "é".encode()[:1]])
    def test_torn_last_line_is_done_again(self, server: FakeServer, tmp_path: Path, torn: bytes) -> None:
        assert self.run(server, tmp_path) == 0
        before = steps(run_folder(tmp_path / "run"))
        path = self.unfinish(tmp_path, 3)
        path.write_bytes(path.read_bytes() + torn)
        assert self.run(server, tmp_path) == 0
        assert steps(path.parent) == before
        assert len(server.chats) == 6 + 3

    @pytest.mark.parametrize("damage", ["{not json", '{"step": 9}', "[]", '{"step": 2}', "\xff"])
    def test_damaged_line_is_named(
        self, server: FakeServer, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(server, tmp_path) == 0
        path = self.unfinish(tmp_path, 4)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(lines[0] + damage.encode("latin-1") + b"\n" + lines[2])
        before = path.read_bytes()
        capsys.readouterr()
        assert self.run(server, tmp_path) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {path}:2: damaged") and "--overwrite" in line
        assert path.read_bytes() == before
        assert self.run(server, tmp_path, "--overwrite") == 0

    @pytest.mark.parametrize("name, text", [("config.yaml", "identity: ["), ("config.yaml", ""), ("summary.json", "{")])
    def test_damaged_file_is_named(
        self, server: FakeServer, tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(server, tmp_path) == 0
        (run_folder(tmp_path / "run") / name).write_text(text)
        capsys.readouterr()
        assert self.run(server, tmp_path) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{name}: damaged" in line and "--overwrite" in line

    def test_steps_of_unknown_origin_are_refused(
        self, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(server, tmp_path) == 0
        path = self.unfinish(tmp_path, 2)
        (path.parent / "config.yaml").unlink()
        capsys.readouterr()
        assert self.run(server, tmp_path) == 1
        assert "no config.yaml beside it" in capsys.readouterr().err

    def test_other_data_is_another_run(
        self, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(server, tmp_path) == 0
        self.unfinish(tmp_path, 2)
        stream(tmp_path, 7)
        capsys.readouterr()
        assert self.run(server, tmp_path) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "holds another run (data_sha256: " in line and "--overwrite" in line and "--output_dir" in line
        assert self.run(server, tmp_path, "--overwrite") == 0
        assert len(steps(run_folder(tmp_path / "run"))) == 7

    def test_config_records_the_run(self, server: FakeServer, tmp_path: Path) -> None:
        assert self.run(server, tmp_path, "--limit", 5) == 0
        recorded = yaml.safe_load((run_folder(tmp_path / "run") / "config.yaml").read_text())
        assert recorded["options"]["limit"] == 5 and recorded["options"]["exploration"] == 0.1
        assert recorded["data"]["rows"] == 5 and recorded["data"]["origin"] == "user"
        assert len(recorded["data"]["sha256"]) == 64
        assert {"torch", "numpy", "openai"} <= set(recorded["versions"])


def test_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream(tmp_path, 8)

    def tasks(output: Path) -> list[list[str]]:
        return [[step["task"] for step in steps(folder)] for folder in run_folders(output)]

    with serving() as server:
        for output in ("one", "two"):
            assert main.main(argv(server, tmp_path / output, "--agent", "icrl", "--seed", 3, "--shuffle")) == 0
        assert main.main(argv(server, tmp_path / "five", "--agent", "icrl", "--seed", -1, "--shuffle")) == 0
        assert main.main(argv(server, tmp_path / "plain", "--agent", "icrl", "--seed", 3)) == 0
    assert steps(run_folder(tmp_path / "one")) == steps(run_folder(tmp_path / "two"))
    assert [folder.name for folder in run_folders(tmp_path / "five")] == [f"seed{seed}" for seed in range(5)]
    orders = tasks(tmp_path / "five")
    assert len({tuple(order) for order in orders}) == 5
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert [orders[3]] == tasks(tmp_path / "one")
    (plain,) = tasks(tmp_path / "plain")
    assert plain == [json.loads(line)["task"] for line in (tmp_path / "stream.jsonl").read_text().splitlines()]
    assert {chat["seed"] for chat in server.chats} == set(range(5))
    assert "over 5 seeds" in capsys.readouterr().out
