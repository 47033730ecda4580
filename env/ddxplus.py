"""Differential diagnosis (DDXPlus): which of 49 diseases explains the patient's evidence."""

from __future__ import annotations

from .base import LabelEnv
from .prompts import ddxplus_prompt


class DDXPlus(LabelEnv):
    name = "ddxplus"
    prompts = ddxplus_prompt
