"""ReasoningBank: lessons after each step, whose calls are the step's, and which no kill loses or pays for twice."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import ROOT

import main
from agents.lessons import AVOID, FORM, JUDGE, LONGEST, REPEAT, read_lessons
from agents.refining import CRITIQUE, REWRITE
from env import Env
from env.prompts.layout import ALL_RIGHT, FEEDBACK, NOTES
from errors import LLMError, RefusedError
from helpers.fake_server import FakeServer, choose_option, serving
from helpers.prompts import half_right, play
from helpers.runs import argv, lfd_stream, run_folder, steps
from runs.journal import JOURNAL, Journal

if TYPE_CHECKING:
    from memory.encoders import TextEncoder


def is_lesson(prompt: str) -> bool:
    return prompt.endswith(FORM)


def learn(env: Env, prompt: str) -> str:
    """Half right; a lesson that names its step, and none of every fifth."""
    if prompt.endswith(JUDGE):
        return "It is right." if env.index % 3 else "It is wrong."
    if is_lesson(prompt):
        return "Nothing." if env.index % 5 == 4 else f"TITLE: step {env.index + 1}\nWHEN: in logs\nDO: read it\ntwice"
    return half_right(env, prompt)


@pytest.mark.parametrize("agent", ["reasoning-bank", "reasoning-bank-cases"])
def test_lessons_of_the_nearest_step_are_shown(agent: str, tmp_path: Path, text_encoder: TextEncoder) -> None:
    played = play(tmp_path, text_encoder, learn, agent=agent)
    answers = [prompt for prompt in played.prompts if not is_lesson(prompt)]
    asked = [prompt for prompt in played.prompts if is_lesson(prompt)]
    assert len(answers) == len(asked) == 40
    shown_failures = 0
    for step, prompt, lesson, shown in zip(played.steps, answers, asked, played.shown):
        assert step["calls"] == 2 and step["metrics"]["lessons/kept"] == len(step["lessons"])
        assert lesson.endswith(REPEAT if step["reward"] else AVOID)
        assert step["task"] in lesson and step["output"] in lesson and NOTES not in lesson
        for case in shown:
            assert f"- step {case} (in logs): read it twice" in prompt and NOTES in prompt and ALL_RIGHT not in prompt
            assert case % 5 != 0, "what left no lesson is not in the bank"
            whole = played.steps[case - 1]["task"] in prompt
            assert whole == (agent == "reasoning-bank-cases")
            assert (FEEDBACK[played.steps[case - 1]["reward"]] in prompt) == whole
            shown_failures += 1 - played.steps[case - 1]["reward"]
    assert shown_failures > 5 and len(played.agent.retrieval.bank) == 32
    cost = [step["usage"]["completion_tokens"] for step in played.steps]
    assert min(cost) > 1 and len([shown for shown in played.shown if len(shown) == 1]) > 35
    labels = {step["task"]: row["label"] for step, row in zip(played.steps, played.env.dataset)}
    wrong = [(prompt, step) for prompt, step in zip(asked, played.steps) if not step["reward"]]
    assert wrong and not any(f"boxed{{{labels[step['task']]}}}" in prompt for prompt, step in wrong)


def test_the_llm_may_judge_itself(tmp_path: Path, text_encoder: TextEncoder) -> None:
    played = play(tmp_path, text_encoder, learn, agent="reasoning-bank", judge="self")
    for i, step in enumerate(played.steps):
        verdict = bool(i % 3)
        assert step["calls"] == 3 and step["metrics"]["lessons/judge_agrees"] == int(verdict == bool(step["reward"]))
        assert played.prompts[3 * i + 2].endswith(REPEAT if verdict else AVOID)
    assert 0 < sum(step["metrics"]["lessons/judge_agrees"] for step in played.steps) < 40
    fed = play(tmp_path, text_encoder, learn, agent="reasoning-bank")
    assert fed.config.run_name() != played.config.run_name()


def test_the_empty_control_learns_nothing(tmp_path: Path, text_encoder: TextEncoder) -> None:
    played = play(tmp_path, text_encoder, learn, agent="reasoning-bank", control="empty")
    assert len(played.prompts) == 40 and all(NOTES in prompt for prompt in played.prompts)
    chance = play(tmp_path, text_encoder, learn, agent="reasoning-bank", control="random")
    assert len(chance.prompts) == 80 and len(chance.agent.retrieval.bank) == 32


def test_a_refused_lesson_leaves_the_step(tmp_path: Path, text_encoder: TextEncoder) -> None:
    def refuse(env: Env, prompt: str) -> str:
        if is_lesson(prompt):
            raise RefusedError("too long")
        return half_right(env, prompt)

    played = play(tmp_path, text_encoder, refuse, agent="reasoning-bank", limit=4)
    assert [step["metrics"]["lessons/refused"] for step in played.steps] == [1] * 4
    assert [step["lessons"] for step in played.steps] == [[]] * 4 and not any(played.shown)

    def fail(env: Env, prompt: str) -> str:
        if is_lesson(prompt) and env.index == 2:
            raise LLMError("down")
        return learn(env, prompt)

    with pytest.raises(LLMError, match="down"):
        play(tmp_path, text_encoder, fail, agent="reasoning-bank", limit=4)


@pytest.mark.parametrize("text, titles, malformed", [
    ("TITLE: a\nWHEN: b\nDO: c", ["a"], 0),
    ("1. **Title:** a\n**When:** b\n**Do:** c\nd\n\n2. **Title:** e\n**Do:** f", ["a", "e"], 0),
    ("TITLE: a\nWHEN: b\n\nTITLE: c\nDO: d", ["c"], 1),
    ("".join(f"TITLE: {i}\nDO: x\n" for i in range(5)), ["0", "1", "2"], 0),
    ("DO: x\nWHEN: y", [], 0), ("", [], 0), ("TITLE:\nDO:", [], 1), ("\ud800TITLE", [], 0), ("{" * 100_000, [], 0),
    ("TITLE: a\ud800\nDO: b\0\n" * 1000, ["a?", "a?", "a?"], 0), ("TITLE: a\nDO:\nWHEN: b\nDO: c", [], 1),
])  # fmt: skip
def test_lessons_are_read_from_any_text(text: str, titles: list[str], malformed: int) -> None:
    found, wrong = read_lessons(text)
    assert ([lesson["title"] for lesson in found], wrong) == (titles, malformed)


def test_a_long_attempt_is_cut_in_its_middle(tmp_path: Path, text_encoder: TextEncoder) -> None:
    def ramble(env: Env, prompt: str) -> str:
        return learn(env, prompt) if is_lesson(prompt) else "x" * 50_000 + half_right(env, prompt)

    played = play(tmp_path, text_encoder, ramble, agent="reasoning-bank", limit=2)
    assert all(LONGEST < len(prompt) < 2 * LONGEST and "[...]" in prompt for prompt in played.prompts[1::2])
    assert all("boxed" in prompt for prompt in played.prompts[1::2])


# -- kills between a step's calls --------------------------------------------------------------------------------------


def reply(prompt: str) -> str:
    """An answer, a lesson, a critique or a rewriting: the same for the same prompt."""
    if is_lesson(prompt):
        found = re.search(r"Line (\d+)", prompt)
        return f"TITLE: line {found[1]}\nDO: read it"
    if prompt == CRITIQUE:
        return "VERDICT: change"
    return "\\boxed{CPU}" if prompt == REWRITE else choose_option(prompt)


def kill_at(server: FakeServer, words: list[str], call: int) -> None:
    """Start main.py and kill it when the server gets its chat request number `call`, before that is answered."""
    process = subprocess.Popen([sys.executable, str(ROOT / "main.py"), *words], stderr=subprocess.DEVNULL)

    def fault(number: int) -> str | None:
        if number < call:
            return None
        process.send_signal(signal.SIGKILL)
        return "reset"

    server.fault = fault
    assert process.wait(timeout=200) == -signal.SIGKILL
    server.fault = lambda number: None


@pytest.mark.parametrize("agent, calls", [("reasoning-bank", 2), ("self-refine", 9)])
def test_a_kill_between_answer_and_lesson_repeats_no_call(agent: str, calls: int, tmp_path: Path) -> None:
    lfd_stream(tmp_path, 5)
    more = ("--agent", agent, "--checkpoint_seconds", 600)
    rng = random.Random(calls)
    with serving(reply) as server:
        assert main.main(argv(server, tmp_path / "unharmed", *more)) == 0
        assert server.answered == 5 * calls
        whole = steps(run_folder(tmp_path / "unharmed"))
        sent = server.chats[:]
        server.chats.clear()
        server.answered = 0
        words = argv(server, tmp_path / "killed", *more)
        for call in sorted({1, calls + 1, calls + rng.randrange(1, calls + 1) + 1}):
            before = len(server.chats)
            kill_at(server, words, max(call, before + 1))
            server.chats.pop()  # the one that was not answered
        with (run_folder(tmp_path / "killed") / JOURNAL).open("ab") as file:
            file.write(b'{"step": 2, "key": "torn')
        assert main.main(words) == 0
        assert server.answered == 5 * calls
        assert [chat["messages"] for chat in server.chats] == [chat["messages"] for chat in sent]
    folder = run_folder(tmp_path / "killed")
    assert steps(folder) == whole
    assert [step["calls"] for step in whole] == [calls] * 5
    assert not list(folder.glob("unfinished*"))


def test_a_journal_is_of_steps_in_flight_and_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.jsonl"
    journal = Journal(path)
    entry: dict[str, Any] = {"reply": {"text": "a\u2028b"}, "cached": False, "seconds": 0.5}
    journal.put(3, "one", entry)
    journal.put(3, "two", entry)
    with path.open("ab") as file:
        file.write(b'{"step": 3, "key": "three", "rep')
    again = Journal(path)
    assert {key for key in ("one", "two", "three") if again.get(3, key)} == {"one", "two"}
    assert again.get(3, "one")["reply"] == entry["reply"] and again.get(2, "one") is None
    again.put(4, "one", entry)
    assert Journal(path).get(3, "two") is not None and Journal(path).get(4, "one") is not None
    again.forget(3)
    assert Journal(path, logged=3).get(3, "two") is None and Journal(path).get(4, "one") is not None
    again.forget(4)
    assert not path.exists()
