"""The embedded reader: what answers when no LLM is at hand.

It is not a language model. Like one, it sees only the prompt, never the label: it finds the task, the options and the
shown cases by their tags, embeds them, and answers with the option most similar to the task, or with the answer of a
shown case whose task is more similar still. Two long texts are always more alike than a text and a label, so a case
must also resemble the same options as the task does. That is little, but enough that well-chosen cases raise the
success rate, so the agents and policies can be tried and compared without a GPU, a key or a server.

It fills in the answer format that the prompt asks for (a label, a list, a dict, entity lines, SQL). Where the prompt
has neither options nor a usable case, it says that it cannot answer, which scores 0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from config import EMBEDDED_READER
from env.parsing import json_value, last_code_block, python_literal
from llm import Message, Reply
from memory.bank import Embedder

from .games import game_reply, plays
from .scripts import write_script
from .search import search_reply

SAME_PROFILE = 0.8  # correlation of two texts' similarities to the options from which they count as alike
CANNOT = "I cannot answer this: the prompt has neither options that I can find nor a case that I can follow."
_CASE = re.compile(
    r"<case>\s*<task>(.*?)</task>\s*<answer>(.*?)</answer>\s*</case>(\s*Feedback: this answer was wrong)?", re.S
)
_TASK = re.compile(r"<task>(.*?)</task>", re.S)
_OPTIONS = re.compile(r"<options>(.*?)</options>", re.S)
_SCHEMA = re.compile(r"<schema>(.*?)</schema>", re.S)
_NAMES = re.compile(r"[Dd]efendants?:? ((?:[A-Z][\w'-]*,? ?(?:and )?)+)")
_ENTITY = re.compile(r"(?:[A-Z][\w&'.-]*)(?: (?:[A-Z][\w&'.-]*|of|&))*")
_NO_VALUES = set("and are at by do for from have in is of on or that the there was with".split())
_CLAUSES = {"PRIMARY", "FOREIGN", "UNIQUE", "CONSTRAINT", "CHECK"}
_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"|\b\d+(?:\.\d+)?\b")
_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|\b\d+(?:\.\d+)?\b|\b[A-Z][\w-]*(?: [A-Z][\w-]*)*")


@dataclass(frozen=True)
class Reading:
    """What the reader found in a prompt. `case` is the shown case most similar to the task, (task, answer)."""

    task: str
    options: list[str]
    similarity: np.ndarray  # of each option to the task, [n options]
    schema: str
    case: tuple[str, str] | None
    case_similarity: float
    case_profile: float  # correlation of the case's and the task's similarities to the options

    @property
    def ranked(self) -> list[str]:
        """The options, most similar first."""
        return [self.options[i] for i in np.argsort(-self.similarity, kind="stable")]

    @property
    def follows_case(self) -> bool:
        """Whether a shown case resembles the task more than any option does, and the same options as the task."""
        if self.case is None or not self.options:
            return self.case is not None
        return self.case_similarity > float(self.similarity.max()) and self.case_profile > SAME_PROFILE


class EmbeddedReader:
    """A client that answers prompts by text similarity."""

    def __init__(self, encoder: Embedder) -> None:
        self._encoder = encoder
        self._formats: list[tuple[str, Callable[[Reading], str | None]]] = [
            ("```python", lambda reading: write_script(reading.task, reading.schema, reading.case)),
            ("```sql", write_sql),
            ("'entity'", self._write_entities),
            ("JSON list", write_list),
            ("```json", self._write_json_dict),
            ("dict", self._write_dict),
            ("\\boxed", write_label),
        ]

    def request(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> dict[str, Any]:
        return {"model": EMBEDDED_READER, "messages": messages} | ({"tools": tools} if tools else {})

    def complete(self, request: dict[str, Any]) -> Reply:
        messages = request["messages"]
        if "tools" in request or any(message["role"] == "tool" for message in messages):
            task = self.read(messages[0]["content"]).task
            reply = search_reply(task, messages, request.get("tools", []), self._encoder.encode)
        elif plays(messages):
            reading = self.read(messages[0]["content"])
            reply = Reply(game_reply(reading.task, reading.case, messages, self._encoder.encode))
        else:
            reply = Reply(self.answer(messages[-1]["content"]))
        words = sum(len(message["content"].split()) for message in messages)
        return replace(reply, prompt_tokens=words, completion_tokens=len(reply.text.split()))

    def answer(self, prompt: str) -> str:
        """The answer's text, in the format that the prompt names before its first case."""
        reading = self.read(prompt)
        head = _TASK.sub("", prompt.partition("<case>")[0])
        for cue, write in self._formats:
            if cue in head:
                return write(reading) or CANNOT
        return reading.case[1] if reading.case else CANNOT

    def read(self, prompt: str) -> Reading:
        """Find the prompt's parts and compare them with its task."""
        cases = [(task.strip(), answer.strip()) for task, answer, wrong in _CASE.findall(prompt) if not wrong]
        tasks = _TASK.findall(_CASE.sub("", prompt))
        task = tasks[-1].strip() if tasks else prompt
        listed = _OPTIONS.search(prompt)
        options = [line[2:].strip() for line in listed[1].splitlines() if line.startswith("- ")] if listed else []
        schema = _SCHEMA.search(prompt)
        query = self._encoder.encode([task])[0]
        similarity = self._encoder.encode(options) @ query
        case, case_similarity = None, -1.0
        for shown in cases:
            value = float(self._encoder.encode([shown[0]])[0] @ query)
            if value >= case_similarity:
                case, case_similarity = shown, value
        profile = 0.0
        if case is not None and len(options) > 1:
            profile = _correlation(similarity, self._encoder.encode(options) @ self._encoder.encode([case[0]])[0])
        return Reading(task, options, similarity, schema[1] if schema else "", case, case_similarity, profile)

    def _nearest(self, text: str, options: list[str]) -> str:
        return options[int(np.argmax(self._encoder.encode(options) @ self._encoder.encode([text])[0]))]

    def _write_entities(self, reading: Reading) -> str | None:
        """Each capitalised name of the headline, with the followed case's first sentiment or the nearest option."""
        if not reading.options:
            return None
        sentiment = self._nearest(reading.task, reading.options)
        if reading.follows_case:
            shown = re.findall(r"'label': '(\w+)'", reading.case[1])
            sentiment = shown[0] if shown else sentiment
        entities = dict.fromkeys(_ENTITY.findall(reading.task))
        return "\n".join(str({"entity": entity, "label": sentiment}) for entity in entities) or None

    def _write_json_dict(self, reading: Reading) -> str | None:
        charges = self._by_name(reading, json_value)
        return None if charges is None else f"```json\n{json.dumps(charges, ensure_ascii=False)}\n```"

    def _write_dict(self, reading: Reading) -> str | None:
        penalties = self._by_name(reading, python_literal)
        if penalties is None:
            return None
        return repr({name: value if isinstance(value, list) else [value] for name, value in penalties.items()})

    def _by_name(self, reading: Reading, parse: Callable[[str], Any]) -> dict[str, Any] | None:
        """A value for each person in the task: the case's, in order, where it is followed, else the nearest option."""
        names = names_in(reading.task)
        if not names or not reading.options:
            return None
        shown = parse(reading.case[1]) if reading.follows_case else None
        if isinstance(shown, dict) and shown:
            values = list(shown.values())
            return {name: values[min(i, len(values) - 1)] for i, name in enumerate(names)}
        return {name: self._nearest(_sentences_about(name, reading.task), reading.options) for name in names}


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))


def names_in(task: str) -> list[str]:
    """The names that follow the word defendant(s), in order of occurrence."""
    found = (re.split(r",\s*|\s+and\s+", match) for match in _NAMES.findall(task))
    return list(dict.fromkeys(name.strip() for names in found for name in names if name.strip()))


def _sentences_about(name: str, task: str) -> str:
    about = [sentence for sentence in re.split(r"(?<=[.;\n])\s+", task) if name in sentence]
    return " ".join(about) or task


def write_label(reading: Reading) -> str | None:
    """The case's answer where the case is nearer than every option, else the nearest option."""
    if reading.follows_case:
        return reading.case[1]
    return f"\\boxed{{{reading.ranked[0]}}}" if reading.options else None


def write_list(reading: Reading, size: int = 8) -> str | None:
    """The case's list where the case is nearer than every option, else the nearest options."""
    if reading.follows_case:
        return reading.case[1]
    return json.dumps(reading.ranked[:size], ensure_ascii=False) if reading.options else None


def write_sql(reading: Reading) -> str | None:
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
