"""Charge prediction (MUD): which of 22 charges each defendant of a criminal case is convicted of."""

from __future__ import annotations

import json
from typing import Any

from .families.defendants import DefendantsEnv
from .parsing import json_value
from .prompts import mud_prompt


class MUD(DefendantsEnv):
    name = "mud"
    prompts = mud_prompt

    def parse(self, text: str) -> Any | None:
        return json_value(text, dict)

    def read_verdict(self, value: Any) -> str | None:
        """A charge; one that does not exist stays as it is written."""
        return self.labels.find(value) or (value if isinstance(value, str) else None)

    def format_answer(self, answer: dict[str, str]) -> str:
        return f"```json\n{json.dumps(answer, ensure_ascii=False)}\n```"
