"""Text-to-SQL with evidence (BIRD): a question about a large, untidy database, and a hint at what its words mean."""

from __future__ import annotations

from .families.sql import SQLEnv
from .prompts import bird_prompt


class Bird(SQLEnv):
    name = "bird"
    fields = {"task": str, "evidence": str, "db_id": str, "SQL": str}
    prompts = bird_prompt
    gold_field = "SQL"
    databases = "source/dev_databases"

    def observe(self) -> str:
        evidence = self.row["evidence"].strip()
        return f"{self.row['task']}\nEvidence: {evidence}" if evidence else self.row["task"]
