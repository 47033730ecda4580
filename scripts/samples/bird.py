"""Sample of bird: questions with evidence over three invented databases of untidy records (see bird_databases.py)."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from .bird_databases import FILLERS
from .facts import load_facts
from .text_to_sql import Template, ask, fillings, write_database

facts = load_facts("bird")
PER_TEMPLATE = 4  # questions, where there are so many different ones


def rows(rng: random.Random, folder: Path) -> list[dict[str, str]]:
    """Write the databases under `folder`/source/dev_databases and return the questions, shuffled."""
    questions = []
    for name, database in facts.databases.items():
        path = folder / "source" / "dev_databases" / name / f"{name}.sqlite"
        write_database(path, database["schema"], FILLERS[name](rng, **database["words"]))
        connection = sqlite3.connect(path)
        asked: set[str] = set()
        for template in (Template(**question) for question in database["questions"]):
            for question, sql, evidence in ask(fillings(template, connection, rng), PER_TEMPLATE, connection, asked):
                questions.append({"task": question, "evidence": evidence, "db_id": name, "SQL": sql})
        connection.close()
    rng.shuffle(questions)
    return questions
