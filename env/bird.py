"""Text-to-SQL with evidence (BIRD): a question about a large, untidy database, and a hint at what its words mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .families.sql import SQLEnv
from .prompts import bird_prompt

if TYPE_CHECKING:
    from config import Config
    from llm import LLM


class Bird(SQLEnv):
    name = "bird"
    fields = {"task": str, "evidence": str, "db_id": str, "SQL": str}
    prompts = bird_prompt
    gold_field = "SQL"
    databases = "source/dev_databases"

    def __init__(self) -> None:
        super().__init__()
        self._tells_evidence = True

    def prepare(self, config: Config, make_llm: Callable[[Config], LLM]) -> None:
        super().prepare(config, make_llm)
        self._tells_evidence = not config.as_streambench

    def observe(self) -> str:
        evidence = self.row["evidence"].strip() if self._tells_evidence else ""
        return f"{self.row['task']}\nEvidence: {evidence}" if evidence else self.row["task"]
