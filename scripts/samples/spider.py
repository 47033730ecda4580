"""Sample of spider: every kind of query below, asked of four invented databases.

A kind is written once, over the words of any database (see spider_databases.py): {plural} {noun} {name} of an entity,
one of its text columns {text} with its {text_words} and a {value}, one of its numbers {number} with its {number_words}
and two bounds {low} < {high}; for kinds with a join, the {child} and {parent} of a link.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .spider_databases import DATABASES, Database, Entity
from .text_to_sql import Template, ask, literal, write_database

ROWS = 150
PER_KIND = 3  # questions of each kind on each database, where it has so many; ROWS of them all are kept

KINDS = (
    Template(
        "SELECT count(*) FROM {table}",
        ("How many {plural} are there?", "What is the total number of {plural}?", "Count the {plural}."),
    ),
    Template(
        "SELECT count(*) FROM {table} WHERE {text} = {value}",
        (
            "How many {plural} have the {text_words} {value_words}?",
            "Count the {plural} whose {text_words} is {value_words}.",
        ),
    ),
    Template(
        "SELECT {name} FROM {table} WHERE {text} = {value}",
        (
            "What are the {names} of the {plural} whose {text_words} is {value_words}?",
            "List the {names} of all {plural} with the {text_words} {value_words}.",
        ),
    ),
    Template(
        "SELECT {name}, {number} FROM {table} WHERE {number} > {high}",
        (
            "Show the {name_words} and the {number_words} of each {noun} whose {number_words} is above {high}.",
            "Find the {plural} whose {number_words} is greater than {high}. Give {name_words} and {number_words}.",
        ),
    ),
    Template(
        "SELECT avg({number}), max({number}), min({number}) FROM {table}",
        (
            "What are the average, the highest and the lowest {number_words} of the {plural}?",
            "Give the mean, maximum and minimum {number_words} over all {plural}.",
        ),
    ),
    Template(
        "SELECT sum({number}) FROM {table} WHERE {text} = {value}",
        (
            "What is the sum of the {number_words} over the {plural} whose {text_words} is {value_words}?",
            "Add up the {number_words} of all {plural} with the {text_words} {value_words}.",
        ),
    ),
    Template(
        "SELECT {text}, count(*) FROM {table} GROUP BY {text}",
        (
            "For each {text_words}, how many {plural} are there?",
            "Show every {text_words} of the {plural} and the number of {plural} that have it.",
        ),
    ),
    Template(
        "SELECT {text} FROM {table} GROUP BY {text} HAVING count(*) >= {few}",
        (
            "Which {text_words} is shared by at least {few} {plural}?",
            "Find each {text_words} that {few} or more {plural} have.",
        ),
    ),
    Template(
        "SELECT {name} FROM {table} ORDER BY {number} DESC{tie} LIMIT {few}",
        (
            "Give the {names} of the {few} {plural} with the highest {number_words}.",
            "Which {few} {plural} come first when ordered by {number_words} from high to low? List their {names}.",
        ),
    ),
    Template(
        "SELECT {name} FROM {table} WHERE {number} < (SELECT avg({number}) FROM {table}) AND {text} = {value}",
        (
            "Of the {plural} with the {text_words} {value_words}, which are below the average of all "
            "{plural} in {number_words}? "
            "Give the {names}.",
            "List the {names} of the {plural} whose {text_words} is {value_words} and whose {number_words} "
            "is less than average.",
        ),
    ),
    Template(
        "SELECT {text} FROM {table} WHERE {number} > {high} INTERSECT SELECT {text} FROM {table} WHERE "
        "{number} < {low}",
        (
            "Which {text_words} has both {plural} whose {number_words} is above {high} and {plural} where it "
            "is below {low}?",
            "Find each {text_words} that occurs among the {plural} whose {number_words} is over {high} and "
            "also among those "
            "under {low}.",
        ),
    ),
)

JOINS = (
    Template(
        "SELECT {child}.{child_name} FROM {child} JOIN {parent} ON {child}.{key} = {parent}.{key} "
        "WHERE {parent}.{text} = {value}",
        (
            "What are the {child_names} of the {children} whose {noun} has the {text_words} {value_words}?",
            "List the {child_names} of all {children} that go with a {noun} of {text_words} {value_words}.",
        ),
    ),
    Template(
        "SELECT count(*) FROM {child} JOIN {parent} ON {child}.{key} = {parent}.{key} WHERE {parent}.{name} "
        "= {parent_name}",
        (
            "How many {children} does the {noun} {parent_name_words} have?",
            "Count the {children} of the {noun} {parent_name_words}.",
        ),
    ),
    Template(
        "SELECT {parent}.{name} FROM {child} JOIN {parent} ON {child}.{key} = {parent}.{key} "
        "GROUP BY {parent}.{key} ORDER BY count(*) DESC{tie} LIMIT 1",
        (
            "Which {noun} has the most {children}? Give the {name_words}.",
            "Show the {name_words} of the {noun} with the largest number of {children}.",
        ),
    ),
    Template(
        "SELECT {name} FROM {parent} WHERE {key} NOT IN (SELECT {key} FROM {child})",
        (
            "Which {plural} have no {children}? Give the {names}.",
            "List the {names} of the {plural} without any {children}.",
        ),
    ),
    Template(
        "SELECT {parent}.{text}, count(*) FROM {child} JOIN {parent} ON {child}.{key} = {parent}.{key} GROUP "
        "BY {parent}.{text}",
        (
            "How many {children} are there for each {text_words} of the {plural}?",
            "Count the {children} by the {text_words} of their {noun}.",
        ),
    ),
)


def words(column: str) -> str:
    return column.replace("_id", " id").replace("_", " ")


def entity_slots(entity: Entity, connection: sqlite3.Connection, rng: random.Random) -> dict[str, Any]:
    """A random filling of the slots that speak of one entity; without a text column, those of the text are missing."""
    number = rng.choice(list(entity.numbers))
    values = sorted(value for (value,) in connection.execute(f"SELECT {number} FROM {entity.table}"))
    slots = {
        "table": entity.table,
        "noun": entity.noun,
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
    entities = {entity.table: entity for entity in database.entities}
    link = rng.choice(database.links)
    parent, child = entities[link.parent], entities[link.child]
    name = rng.choice([row[0] for row in connection.execute(f"SELECT {parent.name} FROM {parent.table} ORDER BY 1")])
    return entity_slots(parent, connection, rng) | {
        "child": child.table,
        "children": child.plural,
        "child_name": child.name,
        "child_names": words(child.name) + "s",
        "parent": parent.table,
        "key": link.key,
        "parent_name": literal(name),
        "parent_name_words": name,
    }


def candidates(
    kind: Template, database: Database, connection: sqlite3.Connection, rng: random.Random
) -> Iterator[tuple[str, str, str]]:
    """Yield (question, SQL, evidence) of one kind, without end; the wordings take turns."""
    turn = rng.randrange(len(kind.wordings))
    while True:
        if kind in JOINS:
            slots = link_slots(database, connection, rng)
        else:
            slots = entity_slots(rng.choice(database.entities), connection, rng)
        if "{text}" in kind.sql and "text" not in slots:
            continue
        if "sum(" in kind.sql and "year" in slots["number_words"]:
            continue
        yield kind.wordings[turn % len(kind.wordings)].format(**slots), kind.sql.format(**slots, tie="{tie}"), ""
        turn += 1


def rows(rng: random.Random, folder: Path) -> list[dict[str, str]]:
    """Write the databases under `folder`/source and return the questions, shuffled."""
    questions = []
    for database in DATABASES:
        path = folder / "source" / database.name / f"{database.name}.sqlite"
        write_database(path, database.schema, database.fill(rng))
        connection = sqlite3.connect(path)
        asked: set[str] = set()
        for kind in KINDS + JOINS:
            for question, sql, _ in ask(candidates(kind, database, connection, rng), PER_KIND, connection, asked):
                questions.append({"task": question, "db_id": database.name, "query": sql})
        connection.close()
    rng.shuffle(questions)
    return questions[:ROWS]
