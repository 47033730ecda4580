"""ReasoningBank (arXiv 2509.25140): after each step the LLM writes down what is to be learned from it.

A success gives what to repeat, a failure what to avoid, by two instructions. The calls are the step's: they are
charged to it, and what they gave stands in its record, so that a replay asks nothing again. The items are text of the
LLM's own; no label reaches it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent import Agent, control_of
from env.tools.judge import read_verdict
from errors import RefusedError
from step import Lesson, Step

if TYPE_CHECKING:
    from llm import Session

MOST = 3  # items of one step
LONGEST = 8000  # characters of a step's task or output that are shown to be learned from
JUDGE = "Did this attempt do what its task asked for, and correctly? End with a single word: right or wrong."
FORM = f"""Write at most {MOST} lessons, each in exactly this form:
TITLE: a few words
WHEN: one sentence on the kind of task that it is for
DO: two or three sentences that would help with another task of that kind
Do not speak of this task's own names and numbers: the next one will have others."""
REPEAT = f"This attempt was right. What made it so, that should be done again in similar tasks?\n{FORM}"
AVOID = f"This attempt was wrong. What led there, and what should be done instead in similar tasks?\n{FORM}"
_MARK = r"[^\w\n]*"  # bullets, stars and blanks
_FIELD = re.compile(rf"^{_MARK}(?:\d+{_MARK})?(title|when|do){_MARK}:{_MARK}", re.IGNORECASE | re.MULTILINE)


class ReasoningAgent(Agent):
    """Retains what the LLM has learned from a step, by the feedback's word on it or by its own (--judge)."""

    def reflect(self, step: Step) -> None:
        """Raises LLMError where the LLM does not answer: then the step is not over, and is not logged."""
        env = step.env or self.env
        if control_of(self.config) != "empty" and env.case_key(step.task) is not None:
            assert step.session is not None
            finish_reason = step.finish_reason  # the answer's
            with step.measure("agent"):
                try:
                    self._distil(step, step.session)
                finally:
                    step.charge(step.session)
                    step.finish_reason = finish_reason

    def _distil(self, step: Step, session: Session) -> None:
        attempt = f"<task>\n{_cut(step.task)}\n</task>\n\n<attempt>\n{_cut(step.output)}\n</attempt>\n\n"
        step.lessons = []
        try:
            right: bool | None = bool(step.reward)
            if self.config.judge == "self":
                right = read_verdict(session(attempt + JUDGE))
                step.metrics["lessons/judge_agrees"] = int(right == bool(step.reward))
            if right is not None:
                step.lessons, malformed = read_lessons(session(attempt + (REPEAT if right else AVOID)))
                step.metrics["lessons/malformed"] = malformed
        except RefusedError:  # the answer was given; only what could be learned from it is lost
            step.metrics["lessons/refused"] = 1
        step.metrics["lessons/kept"] = len(step.lessons)


def read_lessons(text: str) -> tuple[list[Lesson], int]:
    """The first items of a reply, and how many are not in the form."""
    pieces = _FIELD.split(text.encode(errors="replace").decode())[1:]
    found: list[Lesson] = []
    for name, content in zip(pieces[::2], pieces[1::2]):
        if name.lower() == "title":
            found.append({})
        if found:
            found[-1].setdefault(name.lower(), " ".join(content.split()))
    whole = [lesson for lesson in found if lesson.get("title") and lesson.get("do")]
    return whole[:MOST], len(found) - len(whole)


def _cut(text: str) -> str:
    """`text`, without its middle where it is too long."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n[...]\n{text[-LONGEST // 2 :]}"
