"""Text-to-SQL (Spider): a question about a small database, answered by one query."""

from __future__ import annotations

from .families.sql import SQLEnv
from .prompts import spider_prompt


class Spider(SQLEnv):
    name = "spider"
    fields = {"task": str, "db_id": str, "query": str}
    prompts = spider_prompt
