"""What tasks have in common whose answers a second LLM may judge (--judge_llm)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..base import Env
from ..tools.judge import judge, make_judge

if TYPE_CHECKING:
    from config import Config
    from llm import LLM


class JudgedEnv(Env):
    """A task that asks a judge for verdicts where the command line names one.

    A verdict and what it cost are logged as one of the step's turns, apart from the usage of the agent's LLM.
    """

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

    @property
    def judge_name(self) -> str:
        return str(self._config.judge_llm)

    def judged_right(self, question: str, labels: Sequence[str], answer: str) -> bool:
        """The judge's verdict on `answer`, logged. Raises LLMError where there is none."""
        ask = self.judge.session(self.index + 1)
        right = judge(ask, question, labels, answer)
        spent = ask.spent
        verdict = {
            "judge": self.judge_name,
            "verdict": "right" if right else "wrong",
            "usage": {"prompt_tokens": spent.prompt_tokens, "completion_tokens": spent.completion_tokens},
            "llm_seconds": round(spent.seconds, 6),
        }
        self.turns = [*(self.turns or []), verdict]
        return right
