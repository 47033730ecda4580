"""ReMem (Evo-Memory, arXiv 2511.20857): before it acts, the LLM may think, or drop shown cases that do not help.

The wrapper stands between the task and the LLM, so it is offered at every turn of a dialogue, three times at most;
then the next reply has to be the action. What is dropped leaves this step's prompt and not the bank, which so stays a
function of the log.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agents.rendering import with_feedback
from env.base import Env
from step import Case, Step

if TYPE_CHECKING:
    from llm import Message, Reply, Session

ROUNDS = 3
CHOICE = """Begin each of your replies with one of these words:
THINK: and a plan, or a part of the task worked out; then you are asked again
PRUNE: and the numbers of those cases above that do not help here, the first one being 1; they are taken out, and you \
are asked again
ACT: and what the task asks you for, in the form it asks for"""
GO_ON = "Go on: THINK, PRUNE or ACT."
ACT_NOW = "Now you have to ACT."
_MARK = re.compile(r"^[^\w\n]*(think|prune|act)[^\w\n]*:[ \t*]*", re.IGNORECASE | re.MULTILINE)


def with_choice(env: Env, query: str, cases: list[Case], framed: bool = False) -> str:
    """The rendering rule: each case with its feedback, and at the end what a reply may be."""
    return f"{with_feedback(env, query, cases, framed)}\n\n{CHOICE}"


def remem(env: Env, prompt: str, session: Session, step: Step) -> str:
    """The answering rule; says in the metrics how often the LLM thought or pruned, and how many cases went."""
    choosing = Choosing(env, prompt, session, step)
    try:
        return env.interact(prompt, choosing)
    finally:
        step.metrics |= {"remem/rounds": choosing.rounds, "remem/pruned": len(step.cases) - len(choosing.cases)}


class Choosing:
    """A session that asks until the reply is an action, and passes on that alone."""

    def __init__(self, env: Env, prompt: str, session: Session, step: Step) -> None:
        self._env, self._session, self._task = env, session, step.task
        self._given = self._prompt = prompt
        self.cases = list(step.cases)
        self.rounds = 0

    def __call__(self, prompt: str | list[Message]) -> str:
        return self.chat([{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt).text

    def chat(self, messages: list[Message], tools: list[dict[str, Any]] | None = None) -> Reply:
        """Answer a conversation; a reply that calls tools is an action."""
        said: list[Message] = []
        for left in range(ROUNDS, -1, -1):
            reply = self._session.chat([*self._pruned(messages), *said], tools)
            kind, content = read_choice(reply.text)
            if reply.tool_calls or kind == "act":
                return replace(reply, text=content)
            if not left:
                break
            self.rounds += 1
            if kind == "prune":
                self._drop(content)
            go_on = GO_ON if left > 1 else ACT_NOW
            said += [{"role": "assistant", "content": reply.text}, {"role": "user", "content": go_on}]
        return replace(reply, text="")

    def _drop(self, numbers: str) -> None:
        wrong = {int(number) for number in re.findall(r"\b\d{1,4}\b", numbers, re.ASCII)}
        self.cases = [case for place, case in enumerate(self.cases, 1) if place not in wrong]
        self._prompt = with_choice(self._env, self._task, self.cases)

    def _pruned(self, messages: list[Message]) -> list[Message]:
        """The conversation with the prompt as it is by now in place of the one that the task was given."""
        first, *rest = messages
        return [first | {"content": first["content"].replace(self._given, self._prompt, 1)}, *rest]


def read_choice(text: str) -> tuple[str, str]:
    """(act, think or prune; what follows). A reply that acts at all is an action, and so is one without these words."""
    marks = list(_MARK.finditer(text))
    acts = [mark for mark in marks if mark[1].lower() == "act"]
    if acts:
        return "act", text[acts[-1].end() :].strip()
    if marks and not text[: marks[0].start()].strip():
        return marks[0][1].lower(), text[marks[0].end() :]
    return "act", text
