"""Medication (MIMIC-IV): which of 122 classes of drugs the patient should be given; close is right."""

from __future__ import annotations

import json
from typing import Any

from .base import Env
from .labels import LabelSet
from .parsing import json_value
from .prompts import mimic_iv_mr_prompt

CLOSE_ENOUGH = 0.2  # Jaccard similarity of the answer and the label, as sets of classes


class MimicMedication(Env):
    name = "mimic-iv-mr"
    fields = {"task": str, "label": list}
    prompts = mimic_iv_mr_prompt

    def __init__(self) -> None:
        super().__init__()
        self.labels = LabelSet(self.name)

    def check_row(self, row: dict[str, Any]) -> str | None:
        if not row["label"]:
            return "the label names no medication"
        return next((self.labels.unknown(label) for label in row["label"] if self.labels.find(label) is None), None)

    def evaluate(self, generated_text: str) -> tuple[list[str] | None, int]:
        """As Env's, but a right answer gives way to the label, so that cases hold the whole list."""
        answer, reward = super().evaluate(generated_text)
        return self.get_ground_truth() if reward else answer, reward

    def extraction(self, text: str) -> list[str] | None:
        """The names in the last JSON list, without repeats; a class that does not exist stays and counts against it."""
        names = json_value(text, list)
        if not names or not all(isinstance(name, str) for name in names):
            return None
        return self._canonical(names)

    def reward_function(self, answer: list[str]) -> int:
        given, right = set(answer), set(self.get_ground_truth())
        return int(len(given & right) >= CLOSE_ENOUGH * len(given | right))

    def get_ground_truth(self) -> list[str]:
        return self._canonical(self.row["label"])

    def format_answer(self, answer: list[str]) -> str:
        return f"```json\n{json.dumps(answer, ensure_ascii=False)}\n```"

    def _canonical(self, names: list[str]) -> list[str]:
        return list(dict.fromkeys(self.labels.find(name) or name for name in names))
