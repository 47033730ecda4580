"""Answers that are given beforehand: for tests, and for trying a task out without an LLM."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from errors import LLMError
from llm import Message, Reply


class ScriptedClient:
    """Answers from a function of the last message, or from a list in order.

    An answer is a text, or a Reply where it calls tools.
    """

    def __init__(self, answers: Callable[[str], str | Reply] | Iterable[str | Reply]) -> None:
        self._answer = answers if callable(answers) else _in_order(answers)

    def details(self) -> dict[str, Any]:
        return {"model": "scripted"}

    def request(
        self, messages: list[Message], tools: list[dict[str, Any]] | None, step: int, call: int
    ) -> dict[str, Any]:
        return {"model": "scripted", "messages": messages, "tools": tools}

    def complete(self, request: dict[str, Any]) -> Reply:
        prompt = request["messages"][-1]["content"]
        answer = self._answer(prompt)
        if isinstance(answer, Reply):
            return answer
        return Reply(answer, len(prompt.split()), len(answer.split()), finish_reason="stop")


def _in_order(answers: Iterable[str | Reply]) -> Callable[[str], str | Reply]:
    remaining = iter(answers)

    def answer(prompt: str) -> str | Reply:
        try:
            return next(remaining)
        except StopIteration:
            raise LLMError("the script has no more answers") from None

    return answer
