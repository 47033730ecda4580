"""The ehr sample: questions of every kind in its facts about the invented hospital, each with its answer and a script.

The answer is computed by SQL from the tables; the script reaches it by the task's five functions, so that each checks
the other.
"""

from __future__ import annotations

import contextlib
import csv
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from env.tools.ehr_tables import DATABASE, build_database

from .ehr_hospital import Hospital
from .facts import load_facts
from .text_to_sql import erase_sqlite_version

facts = load_facts("ehr")
PER_KIND = 5
ATTEMPTS = 60


@dataclass(frozen=True)
class Kind:
    """One kind: its wordings, the SQL that lists fillings of the {slots}, the SQL of the answer, and a script.

    The answer's SQL gives one value, or several where the kind is for `many`; a result that differs from row to row
    otherwise (a tie) makes no question.
    """

    wordings: Sequence[str]
    slots: str
    sql: str
    script: str
    many: bool = False
    yes_or_no: bool = False


def rows(rng: random.Random, folder: Path) -> list[dict[str, Any]]:
    """Write the hospital under `folder`/source and return the questions, shuffled."""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    database = write_tables(Hospital(rng), source)
    questions = []
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for kind in facts.kinds:
            questions += ask(Kind(**kind), connection, rng)
    rng.shuffle(questions)
    return questions


def write_tables(hospital: Hospital, source: Path) -> Path:
    """Write the CSV files and the database, whose bytes depend on nothing but the contents."""
    paths = {}
    for name, rows in hospital.tables.items():
        paths[name] = source / f"{name.upper()}.csv"
        with paths[name].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(facts.columns[name])
            writer.writerows(rows)
    database = source / DATABASE
    build_database(paths, database)
    erase_sqlite_version(database)
    return database


def ask(kind: Kind, connection: sqlite3.Connection, rng: random.Random) -> list[dict[str, Any]]:
    """A few questions of one kind whose answers exist, with different slots."""
    cursor = connection.execute(kind.slots)
    names = [column[0] for column in cursor.description]
    fillings = [dict(zip(names, row)) for row in sorted(cursor)]
    questions: list[dict[str, Any]] = []
    for slots in rng.sample(fillings, min(ATTEMPTS, len(fillings))):
        label = answer(kind, connection.execute(kind.sql.format(**slots)).fetchall())
        if len(questions) == PER_KIND:
            break
        if label is not None:
            wording = kind.wordings[len(questions) % len(kind.wordings)]
            script = kind.script.strip().format(**slots)
            questions.append({"task": wording.format(**slots), "label": label, "script": script})
    return questions


def answer(kind: Kind, result: list[tuple[Any, ...]]) -> Any:
    """The label in a query's result, None where there is none or it is not settled."""
    values = [row[0] for row in result]
    if kind.many:
        return sorted(values, key=str) or None
    if len(set(values)) != 1 or values[0] is None:
        return None
    return bool(values[0]) if kind.yes_or_no else values[0]
