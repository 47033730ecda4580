"""Root cause analysis: which of six alarm types a telecom network's log reports."""

from __future__ import annotations

from .base import LabelEnv
from .prompts import rca_prompt


class RCA(LabelEnv):
    name = "rca"
    prompts = rca_prompt
