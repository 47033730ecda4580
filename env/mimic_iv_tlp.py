"""Triage (MIMIC-IV): the Emergency Severity Index of a patient, 1 (most urgent) to 5."""

from __future__ import annotations

import re
from typing import Any

from .base import Env
from .parsing import last_boxed
from .prompts import mimic_iv_tlp_prompt


class MimicTriage(Env):
    name = "mimic-iv-tlp"
    fields = {"task": str, "label": int}
    prompts = mimic_iv_tlp_prompt

    def check_row(self, row: dict[str, Any]) -> str | None:
        return None if 1 <= row["label"] <= 5 else f"the label {row['label']} is not a level from 1 to 5"

    def extraction(self, text: str) -> int | None:
        boxed = last_boxed(text)
        return int(boxed) if boxed and re.fullmatch("[1-5]", boxed) else None

    def format_answer(self, answer: int) -> str:
        return f"\\boxed{{{answer}}}"
