"""Intent routing (Banking77): which of 77 desks of a bank should take the customer's message."""

from __future__ import annotations

from .base import LabelEnv
from .prompts import banking77_prompt


class Banking77(LabelEnv):
    name = "banking77"
    prompts = banking77_prompt
