"""Self-refine: the LLM criticises its own answer and writes it anew, up to four times; no feedback enters.

The wrapper stands between the task and the LLM, so every reply is refined that is an answer: the only one of a
question, each turn's of a game, the last one of a dialogue with tools.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent import asks_once
from env.base import Env
from errors import RefusedError
from step import Step

if TYPE_CHECKING:
    from llm import Message, Reply, Session

ROUNDS = 4
CRITIQUE = """Check the answer that you have just given against the task: is it right, complete and in the form that \
was asked for? Name each fault and how to mend it. Do not write the new answer yet.
End with one line that says whether the answer should stay as it is:
VERDICT: keep
or should be written anew:
VERDICT: change"""
REWRITE = "Now write the answer anew with these faults mended, in the form that was asked for at first, and only that."
_VERDICT = re.compile(r"\bverdict\W{0,5}(keep|change)\b", re.IGNORECASE)


def refine(env: Env, prompt: str, session: Session, step: Step) -> str:
    """Carry the task out with an LLM that goes over its answers; says in the metrics how often it rewrote one."""
    refining = Refining(session, env.extraction if asks_once(type(env)) else str.strip)
    try:
        return env.interact(prompt, refining)
    finally:
        step.metrics["refine/rounds"] = refining.rounds


class Refining:
    """A session whose replies have been gone over.

    Args:
        read: what finds the answer in a reply; nothing found, and the reply before it stays.
    """

    def __init__(self, session: Session, read: Callable[[str], Any]) -> None:
        self._session = session
        self._read = read
        self.rounds = 0

    def __call__(self, prompt: str | list[Message]) -> str:
        return self.chat([{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt).text

    def chat(self, messages: list[Message], tools: list[dict[str, Any]] | None = None) -> Reply:
        """Answer a conversation. A reply that calls tools, or says nothing, is passed on as it is."""
        reply = self._session.chat(messages, tools)
        if reply.tool_calls or not reply.text.strip():
            return reply
        text = reply.text
        try:
            for _ in range(ROUNDS):
                better = self._round(messages, text)
                if better is None:
                    break
                text = better
        except RefusedError:  # the conversation has grown too long: the answer itself was given
            pass
        return replace(reply, text=text)

    def _round(self, messages: list[Message], text: str) -> str | None:
        """The answer written anew; None where it is to stay."""
        asked = [*messages, {"role": "assistant", "content": text}, {"role": "user", "content": CRITIQUE}]
        critique = self._session.chat(asked).text
        if not wants_change(critique):
            return None
        said = {"role": "assistant", "content": critique}
        rewritten = self._session.chat([*asked, said, {"role": "user", "content": REWRITE}]).text
        self.rounds += 1
        return rewritten if self._read(rewritten) else text


def wants_change(critique: str) -> bool:
    """Whether the last verdict in a critique is to write the answer anew; without a verdict it stays."""
    verdicts = _VERDICT.findall(critique)
    return bool(verdicts) and verdicts[-1].lower() == "change"
