"""How the embedded reader answers with options: one, a list, one for each entity or for each person."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from env.parsing import json_value, python_literal
from memory.bank import Embedder

from .reading import Reading

_NAMES = re.compile(r"[Dd]efendants?:? ((?:[A-Z][\w'-]*,? ?(?:and )?)+)")
_ENTITY = re.compile(r"(?:[A-Z][\w&'.-]*)(?: (?:[A-Z][\w&'.-]*|of|&))*")


def write_label(reading: Reading, encoder: Embedder) -> str | None:
    """The case's answer where the case is nearer than every option, else the nearest option."""
    if reading.follows_case:
        return reading.case[1]
    return f"\\boxed{{{reading.ranked[0]}}}" if reading.options else None


def write_list(reading: Reading, encoder: Embedder, size: int = 8) -> str | None:
    """The case's list where the case is nearer than every option, else the nearest options."""
    if reading.follows_case:
        return reading.case[1]
    return json.dumps(reading.ranked[:size], ensure_ascii=False) if reading.options else None


def _nearest(text: str, options: list[str], encoder: Embedder) -> str:
    return options[int(np.argmax(encoder.encode(options) @ encoder.encode([text])[0]))]


def write_entities(reading: Reading, encoder: Embedder) -> str | None:
    """Each capitalised name of the headline, with the followed case's first sentiment or the nearest option."""
    if not reading.options:
        return None
    sentiment = _nearest(reading.task, reading.options, encoder)
    if reading.follows_case:
        shown = re.findall(r"'label': '(\w+)'", reading.case[1])
        sentiment = shown[0] if shown else sentiment
    entities = dict.fromkeys(_ENTITY.findall(reading.task))
    return "\n".join(str({"entity": entity, "label": sentiment}) for entity in entities) or None


def write_json_dict(reading: Reading, encoder: Embedder) -> str | None:
    charges = _by_name(reading, encoder, json_value)
    return None if charges is None else f"```json\n{json.dumps(charges, ensure_ascii=False)}\n```"


def write_dict(reading: Reading, encoder: Embedder) -> str | None:
    penalties = _by_name(reading, encoder, python_literal)
    if penalties is None:
        return None
    return repr({name: value if isinstance(value, list) else [value] for name, value in penalties.items()})


def _by_name(reading: Reading, encoder: Embedder, parse: Callable[[str], Any]) -> dict[str, Any] | None:
    """A value for each person in the task: the case's, in order, where it is followed, else the nearest option."""
    names = names_in(reading.task)
    if not names or not reading.options:
        return None
    shown = parse(reading.case[1]) if reading.follows_case else None
    if isinstance(shown, dict) and shown:
        values = list(shown.values())
        return {name: values[min(i, len(values) - 1)] for i, name in enumerate(names)}
    return {name: _nearest(_sentences_about(name, reading.task), reading.options, encoder) for name in names}


def names_in(task: str) -> list[str]:
    """The names that follow the word defendant(s), in order of occurrence."""
    found = (re.split(r",\s*|\s+and\s+", match) for match in _NAMES.findall(task))
    return list(dict.fromkeys(name.strip() for names in found for name in names if name.strip()))


def _sentences_about(name: str, task: str) -> str:
    about = [sentence for sentence in re.split(r"(?<=[.;\n])\s+", task) if name in sentence]
    return " ".join(about) or task
