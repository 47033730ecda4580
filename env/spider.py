"""Text-to-SQL (Spider): a question about a small database, answered by one query."""

from __future__ import annotations

from .prompts import spider_prompt
from .sql_env import SQLEnv


class Spider(SQLEnv):
    name = "spider"
    fields = {"task": str, "db_id": str, "query": str}
    prompts = spider_prompt
