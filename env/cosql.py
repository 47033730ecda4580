"""Text-to-SQL (CoSQL): turns of a conversation about a small database, each asked on its own, as StreamBench does."""

from __future__ import annotations

from .families.sql import SQLEnv
from .prompts import cosql_prompt


class CoSQL(SQLEnv):
    """The earlier turns are not shown, so some questions cannot be understood. Rows may have a `dialogue` and `turn`.

    StreamBench's own scorer finds no query right whose result is empty: that is the metric `streambench_reward`.
    """

    name = "cosql"
    fields = {"task": str, "db_id": str, "query": str}
    prompts = cosql_prompt
    second_score = True
