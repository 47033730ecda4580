"""Referral (MIMIC-IV): a medical specialty that should see the patient; several can be right."""

from __future__ import annotations

from typing import Any

from .base import LabelEnv
from .prompts import mimic_iv_msr_prompt


class MimicReferral(LabelEnv):
    name = "mimic-iv-msr"
    fields = {"task": str, "label": list}
    prompts = mimic_iv_msr_prompt

    def check_row(self, row: dict[str, Any]) -> str | None:
        if not row["label"]:
            return "the label names no specialty"
        return next((self.labels.unknown(label) for label in row["label"] if self.labels.find(label) is None), None)

    def reward_function(self, answer: str) -> int:
        return int(answer in map(self.labels.find, self.row["label"]))

    def get_ground_truth(self) -> str:
        """The first of the right specialties: an answer names one."""
        return self.labels.find(self.row["label"][0])
