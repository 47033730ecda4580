"""What tasks have in common whose answers a second LLM may judge (--judge_llm)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from errors import UsageError

from ..base import Env
from ..tools.judge import judge, make_judge

if TYPE_CHECKING:
    from config import Config
    from llm import LLM, Session


class JudgedEnv(Env):
    """A task that asks a judge where the command line names one; a task of one's own that extends it takes --judge_llm.

    What the judge said and what it cost are logged as one of the step's turns, apart from the usage of the agent's
    LLM, and summed up apart from it (`judges` in summary.json); who judges is part of a run's identity.
    """

    judged = True

    def __init__(self) -> None:
        super().__init__()
        self._config: Config | None = None

    def prepare(self, config: Config, make_llm: Callable[[Config], LLM]) -> None:
        self._config, self._make_llm = config, make_llm

    @functools.cached_property
    def judge(self) -> LLM | None:
        """The judge, its server checked when first needed; None where there is to be none."""
        if self._config is None or self._config.judge_llm is None:
            return None
        return make_judge(self._config, self._make_llm)

    def llms(self) -> list[LLM]:
        return [self.judge] if self.judge is not None else []

    @functools.cached_property
    def adviser(self) -> LLM:
        """The judge's LLM as it is, for questions other than whether an answer equals a label. Raises UsageError."""
        if self._config is None:
            raise UsageError("this task has its answers judged by an LLM: --judge_llm NAME says which")
        return make_judge(self._config, self._make_llm, verdicts=False)

    @property
    def judge_name(self) -> str:
        return str(self._config.judge_llm)

    def judged_right(self, question: str, labels: Sequence[str], answer: str) -> bool:
        """The judge's verdict on `answer`, logged. Raises LLMError where there is none."""
        ask = self.judge.session(self.index + 1)
        right = judge(ask, question, labels, answer)
        self._note(ask, verdict="right" if right else "wrong")
        return right

    def ask_judge(self, prompt: str) -> str:
        """What the judge replies to a prompt of the task's own (a rubric), logged. Raises LLMError, UsageError."""
        ask = self.adviser.session(self.index + 1)
        reply = ask(prompt)
        self._note(ask, said=reply)
        return reply

    def _note(self, ask: Session, **said: str) -> None:
        spent = ask.spent
        usage = {"prompt_tokens": spent.prompt_tokens, "completion_tokens": spent.completion_tokens}
        if spent.from_cache:
            usage |= {f"cached_{kind}": getattr(spent, f"cached_{kind}") for kind in list(usage)}
        cost = {"calls": spent.calls, "usage": usage, "llm_seconds": round(spent.seconds, 6)}
        turn = {"judge": self.judge_name, **said, **cost}
        self.turns = [*(self.turns or []), turn]
