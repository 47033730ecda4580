"""Penalty prediction (CMDL): which of six kinds of penalty each defendant of a criminal case is given."""

from __future__ import annotations

from typing import Any

from .families.defendants import DefendantsEnv
from .parsing import python_literal
from .prompts import cmdl_prompt


class CMDL(DefendantsEnv):
    name = "cmdl"
    prompts = cmdl_prompt

    def observe(self) -> str:
        return f"{self.row['task']}\n\nDefendants: {', '.join(self.get_ground_truth())}"

    def parse(self, text: str) -> Any | None:
        return python_literal(text, dict)

    def read_verdict(self, value: Any) -> list[str] | None:
        """A list of penalties, sorted and without repeats; one that does not exist stays as it is written."""
        if not isinstance(value, list) or not all(isinstance(penalty, str) for penalty in value):
            return None
        return sorted({self.labels.find(penalty) or penalty for penalty in value})

    def format_answer(self, answer: dict[str, list[str]]) -> str:
        return repr(answer)
