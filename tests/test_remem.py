"""ReMem: thinking and pruning before the action, which never make it worse for a slip of form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents.remem import ACT_NOW, CHOICE, GO_ON, ROUNDS, Choosing, read_choice
from clients.scripted import ScriptedClient
from config import Config
from env import Env
from errors import UsageError
from helpers.prompts import half_right, play
from llm import LLM, Reply
from step import Step

if TYPE_CHECKING:
    from memory.encoders import TextEncoder


def test_a_model_that_only_acts_is_exp_rag(tmp_path: Path, text_encoder: TextEncoder) -> None:
    rag = play(tmp_path, text_encoder, agent="exp-rag")
    for answer in (half_right, lambda env, prompt: f"ACT: {half_right(env, prompt)}"):
        played = play(tmp_path, text_encoder, answer, agent="remem")
        assert played.shown == rag.shown and [s["reward"] for s in played.steps] == [s["reward"] for s in rag.steps]
        assert [step["output"] for step in played.steps] == [step["output"] for step in rag.steps]
        assert played.prompts == [f"{prompt}\n\n{CHOICE}" for prompt in rag.prompts]
        assert {step["metrics"]["remem/rounds"] for step in played.steps} == {0}


def test_pruned_cases_leave_the_prompt_and_not_the_bank(tmp_path: Path, text_encoder: TextEncoder) -> None:
    firsts: list[str] = []

    class Recording(ScriptedClient):
        def complete(self, request: dict) -> Reply:
            firsts.append(request["messages"][0]["content"])
            return super().complete(request)

    def answer(env: Env, prompt: str) -> str:
        if prompt.endswith(CHOICE):
            return "THINK: it may be the disk"
        return {GO_ON: "PRUNE: 1, 3 and 9"}.get(prompt, "") or f"ACT: {half_right(env, prompt)}"

    played = play(tmp_path, text_encoder, answer, agent="remem")
    rag = play(tmp_path, text_encoder, agent="exp-rag")
    assert played.shown == rag.shown and len(played.agent.retrieval.bank) == len(rag.agent.retrieval.bank)
    for step, shown in zip(played.steps, played.shown):
        left = shown
        for _ in range(2):  # it is told to go on twice, and prunes twice, the second time of what is left
            left = [case for place, case in enumerate(left, 1) if place not in (1, 3)]
        assert step["metrics"]["remem/pruned"] == len(shown) - len(left)
    env, step = played.env, Step(40, "a task", cases=played.agent.retrieval.bank.cases[:4])
    env.index = 39
    script = iter(["THINK: hm", "PRUNE: 1 and 3", "ACT: done"])
    given = played.agent.render(env, step.task, step.cases)
    choosing = Choosing(env, given, LLM(Recording(lambda prompt: next(script))).session(40), step)
    assert choosing(given) == "done" and (choosing.rounds, choosing.cases) == (2, [step.cases[1], step.cases[3]])
    assert firsts[0] == firsts[1] == given
    assert firsts[2] == played.agent.render(env, step.task, [step.cases[1], step.cases[3]])
    assert len(re.findall("<case>", firsts[2])) == 2


@pytest.mark.parametrize("word", ["THINK: on and on", "PRUNE: none"])
def test_after_three_rounds_it_has_to_act(word: str, tmp_path: Path, text_encoder: TextEncoder) -> None:
    never = play(tmp_path, text_encoder, lambda env, prompt: word, agent="remem", limit=6)
    assert [(step["calls"], step["reward"], step["answer"]) for step in never.steps] == [(ROUNDS + 1, 0, None)] * 6
    assert never.prompts[1 : ROUNDS + 1] == [GO_ON, GO_ON, ACT_NOW]

    def at_last(env: Env, prompt: str) -> str:
        return half_right(env, prompt) if prompt == ACT_NOW else word

    acted = play(tmp_path, text_encoder, at_last, agent="remem", limit=6)
    assert sum(step["reward"] for step in acted.steps) > 1
    assert {step["metrics"]["remem/rounds"] for step in acted.steps} == {ROUNDS}


def test_each_turn_of_a_dialogue_has_its_own_rounds() -> None:
    replies = iter(["THINK: a", "ACT: one", "two", "PRUNE: 1", "THINK: b", "Act: three"])
    session = LLM(ScriptedClient(lambda prompt: next(replies))).session(1)
    choosing = Choosing(Env(), "p", session, Step(1, "t"))
    choosing._drop = lambda numbers: None  # type: ignore[method-assign]  # there is no prompt to build again
    history = [{"role": "user", "content": "p and more"}]
    assert [choosing(history), choosing(history), choosing(history)] == ["one", "two", "three"]
    assert (choosing.rounds, session.spent.calls) == (3, 6)


@pytest.mark.parametrize("text, kind, content", [
    ("ACT: go north", "act", "go north"), ("**Act:** go north", "act", "go north"), ("go north", "act", "go north"),
    ("THINK: where?\nACT: go north", "act", "go north"), ("Think: where?", "think", "where?"),
    ("Prune: [1, 2]", "prune", "[1, 2]"), ("The answer.\nTHINK: no", "act", "The answer.\nTHINK: no"), ("", "act", ""),
    ("Actually: x", "act", "Actually: x"), ("\ud800", "act", "\ud800"),
])  # fmt: skip
def test_choices_are_read_from_any_text(text: str, kind: str, content: str) -> None:
    assert read_choice(text) == (kind, content)


def test_feedback_cannot_be_hidden() -> None:
    with pytest.raises(UsageError, match="--feedback hidden: --agent remem shows its cases in no other way"):
        Config(env="lfd", agent="remem", feedback="hidden")
