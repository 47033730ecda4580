"""Log fault diagnosis: which part of a machine its log shows to have failed."""

from __future__ import annotations

from .base import LabelEnv
from .prompts import lfd_prompt


class LFD(LabelEnv):
    name = "lfd"
    prompts = lfd_prompt
