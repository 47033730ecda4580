"""Several steps at once: as many requests as were asked for, and the steps that one after another would have given."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT

import main
from agent import make_agent, make_policy
from clients.scripted import ScriptedClient
from clients.transport import LANE, Gate, Lanes, retry_after
from command_line import config_of
from config import Config
from env import Env, make_env
from env.base import twin_of
from env.families.judged import JudgedEnv
from helpers import own_task
from helpers.fake_server import FakeServer, choose_option, serving
from helpers.own_game import StairsEnv, climb
from helpers.runs import argv, lfd_stream, run_folder, run_folders, steps
from helpers.tiny_models import save_bert_of_letters
from llm import LLM
from memory.encoders import TextEncoder
from pool import Pool
from registry import AGENTS
from runs.folder import RunLog
from runs.journal import JOURNAL, Journal
from runs.track import Tracker
from step import Case, Step

SIZE = 24


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    lfd_stream(tmp_path, SIZE)
    with serving(reply) as server:
        yield server


def reply(prompt: str) -> str:
    """An option, or what self-refine's critique ends with."""
    return choose_option(prompt) if "<options>" in prompt else "VERDICT: keep"


class Together:
    """An answer that waits until `size` requests are at the server at once."""

    def __init__(self, size: int, answer: Callable[[str], str] = reply) -> None:
        self.inside = self.most = 0
        self._size, self._answer = size, answer
        self._changed = threading.Condition()

    def __call__(self, prompt: str) -> str:
        with self._changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most >= self._size, timeout=10)
        time.sleep(0.005)  # so that answers come in another order than the questions
        with self._changed:
            self.inside -= 1
        return self._answer(prompt)


def play(server: FakeServer, output: Path, *more: object) -> list[dict[str, Any]]:
    assert main.main(argv(server, output, "--max_retries", 0, *more)) == 0
    return steps(run_folder(output))


# -- what is the same, and what is another run -------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["zero-shot", "cot", "self-refine"])
def test_as_many_as_asked_for_are_in_flight_and_nothing_else_changes(
    agent: str, server: FakeServer, tmp_path: Path
) -> None:
    alone = play(server, tmp_path / "alone", "--agent", agent)
    server.answer = together = Together(8)
    assert play(server, tmp_path / "many", "--agent", agent, "--concurrency", 8) == alone
    assert together.most == 8
    assert [step["step"] for step in alone] == list(range(1, SIZE + 1))
    one, other = run_folder(tmp_path / "alone"), run_folder(tmp_path / "many")
    assert one.relative_to(tmp_path / "alone") == other.relative_to(tmp_path / "many")
    assert not (other / JOURNAL).exists()


def test_the_rows_of_the_registry_say_who_learns() -> None:
    def learns(agent: str, **more: Any) -> bool:
        more |= {"llms": "a,b"} if AGENTS[agent].who != "one" else {}
        more |= {"serving_mode": "hf", "llm": "m"} if agent == "reinforce" else {}
        config = Config(agent=agent, examples="train.jsonl", concurrency=4, **more)
        assert config.learns == ("concurrency" in config.identity()) == ("concurrency=4" in config.run_name())
        assert "concurrency" not in Config(agent=agent, examples="train.jsonl", **more).identity()
        return config.learns

    still = [agent for agent in AGENTS if not learns(agent)]
    assert still == ["zero-shot", "few-shot", "cot", "self-refine", "ground-truth"]
    assert [agent for agent in ("icrl", "cbr", "reasoning-bank") if learns(agent, control="empty")] == []
    assert learns("cbr", control="random") and learns("cbrdiscover", control="empty")
    assert Config(agent="traj-bootstrap-turns", llm="m", concurrency=4).in_flight == 1  # it looks up while it answers
    assert Config(agent="traj-bootstrap", llm="m", concurrency=4).in_flight == 4
    assert learns("reinforce", control="empty") and not learns("zero-shot", control="random")


@pytest.mark.parametrize("words, said", [
    (("--agent", "zero-shot"), "note: --concurrency has no effect with --serving_mode embedded"),
    (("--agent", "icrl"), ""),
])  # fmt: skip
def test_a_client_that_answers_one_at_a_time_says_so(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lfd_stream(tmp_path, 2)
    config = config_of(argv(None, tmp_path, *words, "--concurrency", 4))
    assert config.in_flight == 1
    assert "".join(f"note: {note}" for note in config.without_effect(["concurrency"])) == said


# -- rounds ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return TextEncoder(save_bert_of_letters(tmp_path_factory.mktemp("tiny-bert")), torch.device("cpu"))


def half_right(env: Env) -> Callable[[str], str]:
    """Right or wrong by the prompt alone."""
    truth = {row["task"]: row["label"] for row in env.dataset}

    def answer(prompt: str) -> str:
        right = next(label for task, label in truth.items() if prompt.rfind(task) >= 0)
        return f"\\boxed{{{right}}}" if sum(prompt.encode()) % 2 else choose_option(prompt)

    return answer


class Side(ScriptedClient):
    """Takes several questions at once."""


@pytest.mark.parametrize("bandit", ["Random", "NeuralLinLogUCB"])
def test_rounds_are_batched_feedback(bandit: str, tmp_path: Path, encoder: TextEncoder) -> None:
    """Against a loop written anew: four retrieve, four answer, four are learned from."""
    data = str(lfd_stream(tmp_path, 22))
    config = Config(env="lfd", data=data, bandit=bandit, concurrency=4, recall_size=5, batch_size=4, llm="m")
    env = make_env("lfd", data)
    answer = half_right(env)
    log = RunLog(tmp_path / "run", config.identity(), False, 600)
    agent = make_agent(config, env, LLM(Side(answer)), lambda: encoder)
    main.run(env, agent, log, Tracker(config))
    log.close()
    played = steps(tmp_path / "run")

    policy, bank, expected = make_policy(config, encoder), [], []
    for first in range(0, 22, 4):
        begun = []
        for number in range(first + 1, min(first + 4, 22) + 1):
            task = env.dataset[number - 1]["task"]
            shown, arms = list(bank), None
            if len(bank) > 1:
                near = encoder.encode([case.task for case in bank]) @ encoder.encode([task])[0]
                recalled = [bank[i] for i in sorted(range(len(bank)), key=lambda i: -near[i])[:5]]
                scores = policy.score(task, recalled)
                best = scores.top(1)
                shown, arms = [recalled[best[0]]], scores.chosen(best)
            begun.append((number, task, shown, arms))
        for number, task, shown, arms in begun:
            env.index = number - 1
            prompt = (
                env.get_case_based_prompt(task, [c.view() for c in shown]) if shown else env.get_zero_shot_prompt(task)
            )
            found, reward = env.evaluate(answer(prompt))
            if shown:
                policy.update(task, shown, reward, arms)
            if reward:
                bank.append(Case(task, found, 1, number))
            expected.append((task, [case.step for case in shown], found, reward))
    assert [
        (step["task"], [case["id"] for case in step["cases"]], step["answer"], step["reward"]) for step in played
    ] == expected
    assert all(case["id"] <= (step["step"] - 1) // 4 * 4 for step in played for case in step["cases"])
    assert 4 < len(bank) < 22 and len({tuple(ids) for _, ids, _, _ in expected}) > 4


def test_a_round_is_answered_at_once_and_learned_from_in_order(server: FakeServer, tmp_path: Path) -> None:
    server.answer = together = Together(6)
    played = play(server, tmp_path / "run", "--agent", "icrl", "--comk", 9, "--concurrency", 6)
    assert together.most == 6
    assert [len(step["cases"]) for step in played] == [0] * 6 + [6] * 6 + [9] * 12
    assert [case["id"] for case in played[-1]["cases"]] == list(range(10, 19))
    assert "concurrency=6" in str(run_folder(tmp_path / "run"))


def test_a_budget_is_not_overdrawn_by_a_round(tmp_path: Path, server: FakeServer) -> None:
    more = ("--agent", "cbrdiscover", "--control", "empty", "--discover_strategy", "random", "--budget_ratio", 0.4)
    played = play(server, tmp_path / "run", *more, "--skip_steps", 0, "--concurrency", 8)
    asked = [step["metrics"]["discover/asked"] for step in played]
    assert 1 <= sum(asked) <= int(0.4 * SIZE) and played[-1]["metrics"]["NumDiscovery"] == sum(asked)


def test_the_seeds_are_played_beside_each_other(server: FakeServer, tmp_path: Path) -> None:
    more = ("--agent", "icrl", "--shuffle", "--limit", 8, "--seed")
    server.answer = together = Together(9)
    assert main.main(argv(server, tmp_path / "many", *more, -1, "--concurrency", 2)) == 0
    assert together.most >= 9
    server.answer = choose_option
    for seed in range(5):
        assert main.main(argv(server, tmp_path / "alone", *more, seed, "--concurrency", 2)) == 0
    many, alone = run_folders(tmp_path / "many"), run_folders(tmp_path / "alone")
    assert [folder.name for folder in many] == [f"seed{seed}" for seed in range(5)]
    assert [steps(folder) for folder in many] == [steps(folder) for folder in alone]
    assert len({json.dumps(steps(folder)) for folder in many}) == 5
    assert Counter(chat["seed"] for chat in server.chats) == {seed: 16 for seed in range(5)}


def test_what_stops_one_seed_stops_all_and_all_continue(server: FakeServer, tmp_path: Path) -> None:
    more = ("--agent", "zero-shot", "--shuffle", "--limit", 8, "--seed", -1, "--concurrency", 2, "--max_retries", 0)
    server.fault = lambda number: (400, "down") if number == 20 else None
    assert main.main(argv(server, tmp_path / "run", *more)) == 1
    server.fault = lambda number: None
    assert main.main(argv(server, tmp_path / "run", *more)) == 0
    assert [len(steps(folder)) for folder in run_folders(tmp_path / "run")] == [8] * 5


# -- tasks with a dialogue ---------------------------------------------------------------------------------------------


def test_games_are_played_at_once_each_in_a_simulator_of_its_own(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_task.use(monkeypatch, StairsEnv)
    server.answer = climb
    alone = play(server, tmp_path / "alone", "--agent", "zero-shot")
    server.answer = together = Together(6, climb)
    assert play(server, tmp_path / "many", "--agent", "zero-shot", "--concurrency", 6) == alone
    assert together.most == 6 and {len(step["turns"]) for step in alone} == {2, 3, 4, 8}
    assert 0 < sum(step["reward"] for step in alone) < SIZE


class Judged(JudgedEnv, own_task.Parity):
    """Even or odd, as a judge finds it."""

    def reward_function(self, answer: str) -> int:
        return int(self.judged_right(self.row["task"], [self.row["label"]], answer))


def test_verdicts_are_asked_for_at_once_and_kept_with_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_task.use(monkeypatch, Judged)
    together = Together(3, lambda prompt: "right")
    asked = Counter[str]()

    def answer(prompt: str) -> str:
        asked[prompt] += 1
        return together(prompt) if "<accepted_answers>" in prompt else own_task.right(prompt)

    with serving(answer) as server:
        more = ("--agent", "icrl-plus", "--concurrency", 4, "--max_retries", 0, "--judge_llm", "m")
        assert main.main(own_task.argv(server, tmp_path / "whole", *more)) == 0
        assert together.most >= 3 and sum(asked.values()) == 24
        asked.clear()
        server.fault = lambda number: (400, "down") if number == 24 + 4 + 4 + 4 + 2 else None
        assert main.main(own_task.argv(server, tmp_path / "broken", *more)) == 1
        server.fault = lambda number: None
        assert main.main(own_task.argv(server, tmp_path / "broken", *more)) == 0
    whole, broken = (steps(run_folder(tmp_path / name)) for name in ("whole", "broken"))
    assert [{**step, "turns": len(step["turns"])} for step in broken] == [
        {**step, "turns": len(step["turns"])} for step in whole
    ]
    assert [step["turns"][0]["verdict"] for step in whole] == ["right"] * 12
    assert 24 <= sum(asked.values()) <= 24 + 3  # what was on its way when the run was given up


class Dialogue(own_task.Parity):
    """A task of one's own with a dialogue, of which nothing says that there can be several."""

    def interact(self, prompt: str, ask: Any) -> str:
        self.said = ask(prompt)
        return self.said if ask("Sure?") else ""


def test_a_task_with_a_single_instance_is_played_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own_task.use(monkeypatch, Dialogue)
    with serving(lambda prompt: own_task.right(prompt) if "number" in prompt else "yes") as server:
        words = own_task.argv(server, tmp_path / "run", "--agent", "icrl-plus", "--concurrency", 4)
        assert main.main(words) == 0
    assert "the task parity has a single instance" in capsys.readouterr().err
    played = steps(run_folder(tmp_path / "run"))
    assert [step["reward"] for step in played] == [1] * 12
    assert [case["id"] for step in played for case in step["cases"]] == [4] * 4 + [8] * 4


def test_a_step_in_flight_lies_in_no_shared_instance(tmp_path: Path) -> None:
    env = make_env("lfd", str(lfd_stream(tmp_path, 8)))
    met = threading.Barrier(4, timeout=10)
    seen: list[tuple[int, int]] = []

    def answer(step: Step) -> None:
        assert step.env is not None and step.env is not env
        step.env.turns = [{"step": step.number}]
        met.wait()
        seen.append((step.number, step.env.turns[0]["step"]))
        assert step.env.index == step.number - 1

    with Pool(env, 4, answer) as pool:
        handed = [(step.number, step.env, env.index) for step in pool.answered(Step(i) for i in range(1, 9))]
    assert handed == [(i, None, i - 1) for i in range(1, 9)]
    assert sorted(seen) == [(i, i) for i in range(1, 9)]
    assert twin_of(env).dataset is env.dataset


# -- outages, kills, interruptions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["zero-shot", "icrl", "self-refine"])
def test_an_outage_loses_no_answer(agent: str, server: FakeServer, tmp_path: Path) -> None:
    more = ("--agent", agent, "--concurrency", 6)
    whole = play(server, tmp_path / "whole", *more)
    asked, server.answered = server.answered, 0
    for faults in ({0}, {4, 5}, {2}):  # early enough to be met, though five more may be answered each time
        numbers = {len(server.chats) + fault for fault in faults}
        server.fault = lambda number: (400, "down") if number in numbers else None  # noqa: B023
        assert main.main(argv(server, tmp_path / "broken", "--max_retries", 0, *more)) == 1
    server.fault = lambda number: None
    assert play(server, tmp_path / "broken", *more) == whole
    # an answer that was on its way when the run was given up is the only one that may be asked for again
    assert asked <= server.answered <= asked + 3 * 5
    assert not (run_folder(tmp_path / "broken") / JOURNAL).exists()


def cut_now_and_then(number: int) -> Any:
    """One reply in twenty is cut, one request in seven told to come back."""
    return "cut body" if number % 20 == 7 else too_many(0.02) if number % 7 == 3 else None


def too_many(seconds: float) -> Callable[[Any], None]:
    def refuse(handler: Any) -> None:
        handler.send_response(429)
        handler.send_header("Retry-After", str(seconds))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return refuse


@pytest.mark.parametrize("agent", ["zero-shot", "icrl"])
def test_cuts_and_rate_limits_leave_every_step_once_and_in_order(
    agent: str, server: FakeServer, tmp_path: Path
) -> None:
    more = ("--agent", agent, "--concurrency", 8, "--max_retries", 5, "--log_requests")
    whole = play(server, tmp_path / "whole", *more)
    server.chats.clear()
    server.answered, server.fault = 0, cut_now_and_then
    assert play(server, tmp_path / "cut", *more) == whole
    assert server.answered == SIZE < len(server.chats)
    sent = [json.loads(line)["step"] for line in (run_folder(tmp_path / "cut") / "requests.jsonl").open()]
    assert sent == [step["step"] for step in whole] == list(range(1, SIZE + 1))


def test_a_rate_limit_told_to_one_holds_back_all(server: FakeServer, tmp_path: Path) -> None:
    arrivals: list[float] = []
    refused: list[float] = []

    def fault(number: int) -> Any:
        arrivals.append(time.monotonic())
        if number != 10:
            return None
        refused.append(time.monotonic())
        return too_many(2.0)

    def answer(prompt: str) -> str:
        time.sleep(1.0 if refused else 0.05)  # those on their way arrive when the refusal has long been read
        return choose_option(prompt)

    server.fault = fault
    server.answer = answer
    play(server, tmp_path / "run", "--agent", "zero-shot", "--concurrency", 4)  # none of the retries is needed
    later = [time for time in arrivals if time > refused[0]]
    during = [time for time in later if time < refused[0] + 1.9]
    assert len(arrivals) == SIZE + 1
    assert len(during) <= 3  # those that were on their way already


def test_requests_share_pools_of_few_connections() -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(object())
        return made[-1]

    lanes = Lanes(make)
    with ExitStack() as stack:
        used = [stack.enter_context(lanes.one()) for _ in range(2 * LANE + 1)]
        assert [made.index(lane) for lane in used] == [0] * LANE + [1] * LANE + [2]
    with lanes.one() as lane:
        assert lane is made[0] and len(made) == 3


def test_after_a_time_of_refusals_there_are_soon_many_again() -> None:
    gate, inside = Gate(), 0
    refused: list[int] = []  # how many were at the server when it refused one,
    answered: list[int] = []  # and when it answered one

    async def ask() -> None:
        nonlocal inside
        while len(answered) < 150:
            async with gate.passed() as sent:
                inside += 1
                for _ in range(5):  # so that those who may go all go
                    await asyncio.sleep(0)
                if len(refused) < 130:
                    refused.append(inside)
                    gate.refuse(sent, 0.0)
                else:
                    answered.append(inside)
                    gate.accept()
                inside -= 1

    async def all_at_once() -> None:
        await asyncio.gather(*(ask() for _ in range(64)))

    asyncio.run(all_at_once())
    assert max(refused) == 64 and refused[-1] == 1
    assert answered[0] == 1 and max(answered[:100]) >= 32
    assert max(answered) < 40, "but no more than half of what was too many"


def test_a_rate_limit_that_lets_nobody_through_is_an_outage(server: FakeServer, tmp_path: Path) -> None:
    server.fault = lambda number: too_many(0.001)
    words = argv(server, tmp_path / "run", "--agent", "zero-shot", "--concurrency", 8, "--max_retries", 1)
    assert main.main(words) == 1
    assert server.answered == 0 and 1 < len(server.chats) < 400


@pytest.mark.parametrize("headers, seconds", [
    ({"retry-after": "1.5"}, 1.5), ({"retry-after-ms": "20", "retry-after": "9"}, 0.02), ({}, None),
    ({"retry-after": "soon"}, None), ({"retry-after": "nan"}, None), ({"retry-after": "-1"}, None),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
])  # fmt: skip
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_equal_questions_at_once_are_asked_once_with_a_cache(server: FakeServer, tmp_path: Path) -> None:
    rows = (tmp_path / "stream.jsonl").read_text().splitlines()[:4]
    (tmp_path / "stream.jsonl").write_text("\n".join(rows * 6) + "\n")
    more = ("--agent", "zero-shot", "--concurrency", 8, "--cache", tmp_path / "cache.db")
    server.answer = lambda prompt: time.sleep(0.02) or choose_option(prompt)  # type: ignore[func-returns-value]
    played = play(server, tmp_path / "run", *more)
    assert server.answered == 4 and sum(not step["cached"] for step in played) == 4


def test_a_journal_keeps_the_steps_in_flight_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "SPARE", 5)
    path = tmp_path / JOURNAL
    journal = Journal(path)
    for step in range(1, 40):
        journal.put(step, "key", {"reply": {"text": str(step)}})
        if step > 3:
            journal.forget(step - 3)
        assert len(path.read_text().splitlines()) <= 3 + 5 + 1
    again = Journal(path, logged=37)
    assert [step for step in range(1, 40) if again.get(step, "key")] == [38, 39]
    for step in (38, 39):
        again.forget(step)
    assert not path.exists()


KILLED = {  # single questions, a policy that is trained, a game
    "zero-shot": ("main.py", reply, ("--agent", "zero-shot")),
    "cbr": ("main.py", reply, ("--agent", "cbr", "--batch_size", 4)),
    "game": ("tests/helpers/own_game.py", climb, ("--agent", "icrl-plus")),
}


@pytest.mark.parametrize("which, sign", [
    ("zero-shot", signal.SIGKILL), ("cbr", signal.SIGKILL), ("game", signal.SIGKILL), ("zero-shot", signal.SIGINT)
])  # fmt: skip
def test_killed_with_several_in_flight_and_continued(
    which: str, sign: int, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, server.answer, more = KILLED[which]
    if which == "game":
        own_task.use(monkeypatch, StairsEnv)
    more = (*more, "--concurrency", 4, "--checkpoint_seconds", 0)
    whole, asked = play(server, tmp_path / "whole", *more), server.answered
    server.chats.clear()
    server.answered = 0
    words = [sys.executable, str(ROOT / script), *argv(server, tmp_path / "killed", *more)]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, preexec_fn=heed_interrupts)

    def kill(number: int) -> str | None:
        if number < asked // 2:
            return None
        process.send_signal(sign)
        return "hang"

    server.fault = kill
    assert process.wait(timeout=200) == (-sign if sign == signal.SIGKILL else 130)
    assert 0 < len(steps(run_folder(tmp_path / "killed"))) < SIZE
    server.fault = lambda number: None
    assert play(server, tmp_path / "killed", *more) == whole and len(whole) == SIZE
    assert 0 <= server.answered - asked <= 3  # replies that were on their way to a process that was no more


def heed_interrupts() -> None:
    """Undo what a test run in the background passes on: a shell lets its background jobs ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
