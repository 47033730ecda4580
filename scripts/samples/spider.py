"""Sample of spider: every kind of query in its facts, asked of four invented databases."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .facts import load_facts
from .spider_databases import FILLERS, Database, Entity
from .text_to_sql import Template, ask, literal, write_database

facts = load_facts("spider")
ROWS = 150
PER_KIND = 3  # questions of each kind on each database, where it has so many; ROWS of them all are kept


def words(column: str) -> str:
    return column.replace("_id", " id").replace("_", " ")


def entity_slots(entity: Entity, connection: sqlite3.Connection, rng: random.Random) -> dict[str, Any]:
    """A random filling of the slots that speak of one entity; without a text column, those of the text are missing."""
    number = rng.choice(list(entity.numbers))
    values = sorted(value for (value,) in connection.execute(f"SELECT {number} FROM {entity.table}"))
    slots = {
        "table": entity.table,
        "noun": entity.table,
        "plural": entity.plural,
        "name": entity.name,
        "names": words(entity.name) + "s",
        "name_words": words(entity.name),
        "number": number,
        "number_words": entity.numbers[number],
        "low": rng.choice(values[len(values) // 6 : len(values) // 2]),
        "high": rng.choice(values[len(values) // 2 : -2]),
        "few": rng.randint(2, 6),
    }
    if entity.texts:
        text = rng.choice(list(entity.texts))
        value = rng.choice(
            [row[0] for row in connection.execute(f"SELECT DISTINCT {text} FROM {entity.table} ORDER BY 1")]
        )
        slots |= {"text": text, "text_words": entity.texts[text], "value": literal(value), "value_words": value}
    return slots


def link_slots(database: Database, connection: sqlite3.Connection, rng: random.Random) -> dict[str, Any]:
    """A random filling for a join: the slots of the parent, and its child."""
    link = rng.choice(database.links)
    parent, child = database.entity(link["parent"]), database.entity(link["child"])
    name = rng.choice([row[0] for row in connection.execute(f"SELECT {parent.name} FROM {parent.table} ORDER BY 1")])
    return entity_slots(parent, connection, rng) | {
        "child": child.table,
        "children": child.plural,
        "child_name": child.name,
        "child_names": words(child.name) + "s",
        "parent": parent.table,
        "key": link["key"],
        "parent_name": literal(name),
        "parent_name_words": name,
    }


def candidates(
    kind: Template, database: Database, connection: sqlite3.Connection, rng: random.Random
) -> Iterator[tuple[str, str, str]]:
    """Yield (question, SQL, evidence) of one kind, without end; the wordings take turns."""
    turn = rng.randrange(len(kind.wordings))
    while True:
        if "{parent}" in kind.sql:
            slots = link_slots(database, connection, rng)
        else:
            slots = entity_slots(database.entity(rng.choice(list(database.entities))), connection, rng)
        if "{text}" in kind.sql and "text" not in slots:
            continue
        if "sum(" in kind.sql and "year" in slots["number_words"]:
            continue
        yield kind.wordings[turn % len(kind.wordings)].format(**slots), kind.sql.format(**slots, tie="{tie}"), ""
        turn += 1


def rows(rng: random.Random, folder: Path) -> list[dict[str, str]]:
    """Write the databases under `folder`/source and return the questions, shuffled."""
    questions = []
    kinds = [Template(**kind) for kind in facts.kinds + facts.joins]
    for name, described in facts.databases.items():
        database = Database(**described)
        path = folder / "source" / name / f"{name}.sqlite"
        write_database(path, database.schema, FILLERS[name](rng, **database.words))
        connection = sqlite3.connect(path)
        asked: set[str] = set()
        for kind in kinds:
            for question, sql, _ in ask(candidates(kind, database, connection, rng), PER_KIND, connection, asked):
                questions.append({"task": question, "db_id": name, "query": sql})
        connection.close()
    rng.shuffle(questions)
    return questions[:ROWS]
