"""How the embedded reader answers where SQL is asked for: by the shown query, or by the plainest one."""

from __future__ import annotations

import re

from env.parsing import last_code_block
from memory.bank import Embedder

from .reading import Reading

_NO_VALUES = set("and are at by do for from have in is of on or that the there was with".split())
_CLAUSES = {"PRIMARY", "FOREIGN", "UNIQUE", "CONSTRAINT", "CHECK"}
_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"|\b\d+(?:\.\d+)?\b")
_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|\b\d+(?:\.\d+)?\b|\b[A-Z][\w-]*(?: [A-Z][\w-]*)*")


def write_sql(reading: Reading, encoder: Embedder) -> str | None:
    """The case's query with its literals exchanged for the task's, else a plain query on the table that fits best."""
    shown = last_code_block(reading.case[1], "sql") if reading.case and reading.case_similarity > 0.8 else None
    sql = _exchange_literals(shown, reading.case[0], reading.task) if shown else _plain_query(reading)
    return None if sql is None else f"```sql\n{sql}\n```"


def _exchange_literals(sql: str, old_question: str, new_question: str) -> str:
    """Put the values that only the new question names where the query has values of the old one, in order."""
    new_values = [value.strip("'\"") for value in _VALUE.findall(new_question)]
    fresh = [value for value in new_values if value.lower() not in old_question.lower()]

    def exchange(match: re.Match[str]) -> str:
        literal = match[0].strip("'\"")
        if literal.lower() not in old_question.lower() or literal.lower() in new_question.lower():
            return match[0]
        numeric = literal.replace(".", "", 1).isdigit()
        for value in fresh:
            if value.replace(".", "", 1).isdigit() == numeric:
                fresh.remove(value)
                quote = match[0][0] if match[0][0] in "'\"" else ""
                return f"{quote}{value}{quote}"
        return match[0]

    return _LITERAL.sub(exchange, sql)


def _plain_query(reading: Reading) -> str | None:
    """SELECT count(*) or the columns that the question names, from the table that shares most words with it."""
    words = _stems(reading.task)
    tables = re.findall(r"CREATE TABLE\s+[\"`\[]?(\w+)[\"`\]]?\s*\((.*?)\)\s*(?:;|$)", reading.schema, re.S | re.I)
    if not tables:
        return None
    table, body = max(tables, key=lambda t: 2 * len(words & _stems(t[0])) + len(words & _stems(t[1])))
    first_words = re.findall(r"(?:^|,)\s*[\"`\[]?(\w+)[\"`\]]?\s+\w+", body)
    columns = [word for word in first_words if word.upper() not in _CLAUSES]
    column, condition = _condition(reading.task, columns)
    named = [name for name in columns if _stems(name) & words and name != column]
    counts = re.search(r"\b(how many|count|number of)\b", reading.task, re.I)
    return f"SELECT {'count(*)' if counts else ', '.join(named) or '*'} FROM {table}{condition}"


def _condition(task: str, columns: list[str]) -> tuple[str, str]:
    """The column that the question gives a value for ("whose year is above 1990") and its WHERE clause, or blanks."""
    for column in columns:
        spelled = column.replace("_", " ")
        found = re.search(rf"\b{spelled}s? (?:is |of )?(?:(above|over|below|under) )?('[^']*'|\w[\w.-]*)", task)
        if found and found[2] not in _NO_VALUES:
            sign = {"above": ">", "over": ">", "below": "<", "under": "<"}.get(found[1], "=")
            value = found[2].rstrip(".")
            literal = value if value[0] == "'" or value[0].isdigit() else f"'{value}'"
            return column, f" WHERE {column} {sign} {literal}"
    return "", ""


def _stems(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z0-9]+", text.replace("_", " ").lower()) if len(word) > 2}
