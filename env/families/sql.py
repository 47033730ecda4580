"""What the text-to-SQL tasks share: a question about a database, answered by a query and scored by its result."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import DataError

from ..base import Env
from ..parsing import last_code_block
from ..tools.sql import QueryFailed, Row, SQLRunner, read_schema

if TYPE_CHECKING:
    from config import Config
    from llm import LLM

GOLD_SECONDS = 300.0  # the benchmark's own queries may take longer than a model's
ALLOWANCE = 2.0  # times the gold query's own time, where that is more than the runner's deadline
QUERY = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Gold:
    """What a gold query gave: its rows, how long it took, and the state of the database's file at that time."""

    key: tuple[str, str]  # db_id and query
    rows: set[Row]
    seconds: float
    state: tuple[int, ...]


class SQLEnv(Env):
    """Questions answered by SQL; the reward is 1 when the result equals the gold query's as sets of rows.

    A gold query whose result is empty is matched by any query that runs and gives no rows; a query that does not run
    scores 0 all the same. A query has 30 seconds, or twice as long as the gold query just took on this machine where
    that is more: a right answer need not be faster than the gold. The gold query's own text is right without being run
    again.

    A database that is lost, damaged or exchanged during a run stops it (DataError); no answer is scored for that.
    """

    gold_field: str = "query"  # which field of a row holds the gold query
    databases: str = "source"  # where the databases are, below the data folder
    second_score: bool = False  # whether the metric `streambench_reward` is wanted, which finds no empty result right

    def __init__(self) -> None:
        super().__init__()
        self.runner = SQLRunner()
        self._runners = [self.runner]  # those of further instances too
        self._schemas: dict[str, str] = {}  # by db_id
        self._gold: Gold | None = None  # the latest

    def prepare(self, config: Config, make_llm: Callable[[Config], LLM]) -> None:
        self.second_score = self.second_score or config.as_streambench

    def another(self) -> Env | None:
        twin = super().another()
        if isinstance(twin, SQLEnv):
            twin.runner = SQLRunner()
            self._runners.append(twin.runner)
        return twin

    def close(self) -> None:
        for runner in self._runners:
            runner.close()

    def check_row(self, row: dict[str, Any]) -> str | None:
        db_id = row["db_id"]
        if not re.fullmatch(r"[\w-]+", db_id):
            return f"db_id {db_id!r} is not the plain name of a database"
        path = self.database(db_id)
        if not path.is_file():
            return f"the database of db_id {db_id!r} is missing: there is no {path}"
        try:
            self._schema(db_id)
        except DataError as error:
            return str(error)
        return None

    def database(self, db_id: str) -> Path:
        return self.data_file.folder / self.databases / db_id / f"{db_id}.sqlite"

    def prompt_context(self) -> dict[str, str]:
        return {"schema": self._schema(self.row["db_id"])}

    def extraction(self, text: str) -> str | None:
        """The last ```sql block; without one, an unlabelled block or else a whole text that begins as a query does."""
        sql = last_code_block(text, "sql")
        if sql is None:
            sql = last_code_block(text, "")
            sql = text if sql is None else sql
            if not QUERY.match(sql):
                return None
        return sql.strip() or None

    def evaluate(self, generated_text: str) -> tuple[Any, int]:
        answer, reward = super().evaluate(generated_text)
        if self.second_score:
            self.step_metrics["streambench_reward"] = float(bool(reward) and bool(self._current_gold().rows))
        return answer, reward

    def reward_function(self, answer: str) -> int:
        gold, database = self._current_gold(), self.database(self.row["db_id"])
        if answer == self.get_ground_truth():
            return 1
        try:
            rows = self.runner.run(database, answer, max(self.runner.seconds, ALLOWANCE * gold.seconds))
        except QueryFailed:
            rows = None
        if rows != gold.rows and file_state(database) != gold.state:
            raise DataError(f"{database} changed while a query was running on it")
        return int(rows == gold.rows)

    def get_ground_truth(self) -> str:
        return self.row[self.gold_field].strip()

    def format_answer(self, answer: str) -> str:
        return f"```sql\n{answer}\n```"

    def _schema(self, db_id: str) -> str:
        if db_id not in self._schemas:
            self._schemas[db_id] = read_schema(self.database(db_id))
        return self._schemas[db_id]

    def _current_gold(self) -> Gold:
        """The current row's; the query is run once, and again where the database is not as it was."""
        db_id, sql = key = (self.row["db_id"], self.get_ground_truth())
        database = self.database(db_id)
        state = file_state(database)
        if self._gold is None or (self._gold.key, self._gold.state) != (key, state):
            started = time.monotonic()
            try:
                rows = self.runner.run(database, sql, GOLD_SECONDS)
            except QueryFailed as error:
                raise DataError(
                    f"{self.data_file.path}: the gold query {sql!r} on {db_id} fails: {error}; correct the row of "
                    f"{self.row['task']!r} or take it out"
                ) from None
            self._gold = Gold(key, rows, time.monotonic() - started, state)
        return self._gold


def file_state(path: Path) -> tuple[int, ...]:
    """What differs when a file was written to or another one took its place. Raises DataError where there is none."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
