"""What the spider and bird samples share: writing small databases, and filling question templates from their data."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

Tables = dict[str, list[tuple[Any, ...]]]  # table -> its rows
SQLITE_VERSION_OFFSET = 96  # in the file header: which SQLite wrote the file last


@dataclass(frozen=True)
class Template:
    """One query kind: several wordings of a question and its SQL, with {slots} that a filling gives values to.

    `slots` maps a slot to its possible values, or to the SQL that lists them (one column). In `sql` a slot stands for
    an SQL literal, in the wordings for the plain value. `{tie}` in `sql`, after an ORDER BY term, marks where ties
    would leave the result open: fillings with such ties are dropped.
    """

    sql: str
    wordings: Sequence[str]
    slots: dict[str, str | list] = field(default_factory=dict)
    evidence: str = ""


def write_database(path: Path, schema: str, tables: Tables) -> None:
    """Write a database whose bytes depend on nothing but its contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; {schema}")
    connection.execute("BEGIN")
    for table, rows in tables.items():
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    connection.execute("COMMIT")
    connection.execute("VACUUM")
    connection.close()
    erase_sqlite_version(path)


def erase_sqlite_version(path: Path) -> None:
    """Take from a database which SQLite wrote it, so that its bytes are the same everywhere."""
    with path.open("r+b") as file:
        file.seek(SQLITE_VERSION_OFFSET)
        file.write(bytes(4))


def literal(value: Any) -> str:
    return str(value) if isinstance(value, (int, float)) else "'" + str(value).replace("'", "''") + "'"


def fillings(template: Template, connection: sqlite3.Connection, rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Yield (question, SQL, evidence) for random values of the slots, without end; the wordings take turns."""
    values = {
        slot: [row[0] for row in connection.execute(source)] if isinstance(source, str) else source
        for slot, source in template.slots.items()
    }
    turn = rng.randrange(len(template.wordings))
    while True:
        chosen = {slot: rng.choice(column) for slot, column in values.items()}
        literals = {slot: literal(value) for slot, value in chosen.items()}
        sql = template.sql.format(**literals, tie="{tie}")
        wording = template.wordings[turn % len(template.wordings)]
        yield wording.format(**chosen), sql, template.evidence.format(**chosen)
        turn += 1


def is_settled(sql: str, connection: sqlite3.Connection) -> bool:
    """Whether the query has a result (more than NULL) that no tie leaves open."""
    up, down = (set(connection.execute(sql.replace("{tie}", tie))) for tie in (", 1", ", 1 DESC"))
    return up == down and any(value is not None for row in up for value in row)


def ask(
    candidates: Iterator[tuple[str, str, str]],
    count: int,
    connection: sqlite3.Connection,
    asked: set[str],
    attempts: int = 200,
) -> list[tuple[str, str, str]]:
    """The first `count` candidates with a settled result whose question is not among those `asked`; adds them there."""
    chosen: list[tuple[str, str, str]] = []
    for question, sql, evidence in islice(candidates, attempts):
        if len(chosen) == count:
            break
        if question not in asked and is_settled(sql, connection):
            asked.add(question)
            chosen.append((question, sql.replace("{tie}", ""), evidence))
    return chosen
