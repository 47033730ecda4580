"""The cosql sample: conversations about two invented databases, their turns asked one by one."""

from __future__ import annotations

import random
import re
import sqlite3
from pathlib import Path
from typing import Any

from .facts import load_facts
from .text_to_sql import Tables, is_settled, write_database
from .wording import expand

facts = load_facts("cosql")
SLOT = re.compile(r"\[(\w+)\]")


def rows(rng: random.Random, folder: Path) -> list[dict[str, Any]]:
    """Write the databases under `folder`/source and return the turns, whole conversations in random order.

    A turn that was asked of the same database before, or whose query finds nothing, is left out.
    """
    paths = {name: folder / "source" / name / f"{name}.sqlite" for name in facts.databases}
    for name, described in facts.databases.items():
        write_database(paths[name], described["schema"], draw_tables(described["tables"], rng))
    kinds = [kind for kind in facts.conversations for _ in range(kind["times"])]
    rng.shuffle(kinds)
    result: list[dict[str, Any]] = []
    asked: set[tuple[str, str]] = set()
    for dialogue, kind in enumerate(kinds, 1):
        connection = sqlite3.connect(paths[kind["database"]])
        for turn, (task, sql) in enumerate(converse(kind, connection, rng), 1):
            if (kind["database"], task) not in asked and is_settled(sql, connection):
                asked.add((kind["database"], task))
                row = {"task": task, "db_id": kind["database"], "query": sql}
                result.append(row | {"dialogue": dialogue, "turn": turn})
        connection.close()
    return result


def draw_tables(described: dict[str, dict[str, Any]], rng: random.Random) -> Tables:
    """Random rows of each table; a first column that is not described counts them."""
    tables: Tables = {}
    for table, columns in described.items():
        counts = any(column.endswith("*") for column in columns)
        different = {column: rng.sample(values, len(values)) for column, values in columns.items() if column[-1] == "*"}
        rows = []
        for number in range(columns["rows"]):
            values = [
                different[column][number] if column in different else _draw(choices, rng)
                for column, choices in columns.items()
                if column != "rows"
            ]
            rows.append((number + 1, *values) if counts else tuple(values))
        tables[table] = rows
    return tables


def _draw(choices: list[Any], rng: random.Random) -> Any:
    """One of the choices, or a whole number between the two that are given."""
    return rng.randint(*choices) if isinstance(choices[0], int) else rng.choice(choices)


def converse(kind: dict[str, Any], connection: sqlite3.Connection, rng: random.Random) -> list[tuple[str, str]]:
    """(question, SQL) of each turn, with one value for each slot."""
    values = {
        slot: str(rng.choice([row[0] for row in connection.execute(f"SELECT * FROM ({source}) ORDER BY 1")]))
        for slot, source in kind["slots"].items()
    }

    def fill(text: str) -> str:
        return SLOT.sub(lambda slot: values[slot[1]], text)

    return [(fill(expand(wording, rng)), fill(" ".join(sql.split()))) for wording, sql in kind["turns"]]
