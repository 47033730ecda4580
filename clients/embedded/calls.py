"""How the embedded reader calls an API: that of the shown case, or the one whose documentation is most similar.

Arguments are copied: from the case, with the words of its request exchanged for those that stand in their place in the
new one, or else from the request, by what the documentation says an argument is.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

import numpy as np

from env.parsing import first_object
from memory.bank import Embedder

from .apis import Argument, ShownAPI, read_apis
from .reading import Reading

MAX_WORDS = 200  # of a request, that are aligned with another's
_WORD = re.compile(r"[^\s?!,;:\"'()]+(?:,\d{3}\b)*")
_KINDS = {  # what a value can look like; the first that fits
    "email": re.compile(r"[^\s\"'@]+@[\w.-]+\w"),
    "date": re.compile(r"\b(?:\d{4}-\d{2}-\d{2}|\d{2}/\d{2}/\d{4})\b"),
    "number": re.compile(r"(?<![\w./-])-?\d[\d,]*(?:\.\d+)?(?![\w/-])"),
    "quoted": re.compile(r"\"([^\"]+)\""),
    "name": re.compile(r"(?<=[\w,] )[A-Z][\w'-]*(?: [A-Z0-9][\w'-]*)*"),
}


def write_call(reading: Reading, encoder: Embedder) -> str | None:
    shown = first_object(reading.case[1]) if reading.case and reading.follows_case else None
    if shown and isinstance(shown.get("action_input"), dict):
        arguments = _carried_over(shown["action_input"], reading.case[0], reading.task)
        return _written(str(shown.get("action")), arguments)
    apis = read_apis(reading.apis)
    if not apis:
        return None
    api = apis[int(np.argmax(reading.similarity))]
    return _written(api.name, _from_request(api, reading.task))


def _written(name: str, arguments: dict[str, Any]) -> str:
    return json.dumps({"action": name, "action_input": arguments}, ensure_ascii=False)


def _carried_over(arguments: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The case's arguments; one that its request names becomes what the new request has at the same place."""
    old_words, new_words = (_WORD.findall(text)[:MAX_WORDS] for text in (old, new))
    lower = [[word.lower() for word in words] for words in (old_words, new_words)]
    matcher = difflib.SequenceMatcher(a=lower[0], b=lower[1], autojunk=False)
    return {name: _exchanged(value, old_words, new_words, matcher) for name, value in arguments.items()}


def _exchanged(value: Any, old: list[str], new: list[str], matcher: difflib.SequenceMatcher[str]) -> Any:
    wanted = [word.lower() for word in _WORD.findall(str(value))]
    lower = [word.lower().replace(",", "") for word in old]
    start = next((i for i in range(len(lower)) if wanted and lower[i : i + len(wanted)] == wanted), None)
    if start is None:
        return value
    end = start + len(wanted)
    blocks = matcher.get_matching_blocks()
    before = [block.b + min(block.size, start - block.a) for block in blocks if block.a < start]
    after = [block.b + max(0, end - block.a) for block in blocks if block.a + block.size > end]
    found = new[max(before, default=0) : min(after, default=len(new))]
    kind = _kind_of(str(value))
    if kind in ("email", "date", "number"):  # it has to look as it did
        alike = [text for words in (found, new) for text in _KINDS[kind].findall(" ".join(words))]
        return _as(value, alike[0]) if alike else value
    return " ".join(found) or value


def _kind_of(text: str) -> str | None:
    return next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(text)), None)


def _from_request(api: ShownAPI, request: str) -> dict[str, Any]:
    """The API's arguments: each from the request where it has something of the kind, else its default if needed."""
    left = {kind: pattern.findall(request) for kind, pattern in _KINDS.items()}
    alone = sum(argument.needed for argument in api.arguments) == 1
    values = {argument.name: _value(argument, left, request, alone) for argument in api.arguments}
    return {name: value for name, value in values.items() if value is not None}


def _value(argument: Argument, left: dict[str, list[str]], request: str, alone: bool) -> Any:
    """`alone`: whether it is the only argument that is needed, which then may be the request itself."""
    for kind in _kinds_for(argument):
        if left[kind]:
            return _as(0 if argument.kind == "integer" else "", left[kind].pop(0))
    if not argument.needed or argument.default is not None:
        return argument.default if argument.needed else None
    return request.rstrip("?. ") if alone else ""


def _kinds_for(argument: Argument) -> list[str]:
    """What in a request an argument can be, by its name and type and by what its default looks like."""
    said, default = f"{argument.name} {argument.kind}".lower(), str(argument.default or "")
    named = [kind for kind in ("email", "date", "number") if kind in said]
    if argument.kind == "integer":
        return ["number"]
    if default:
        looks = ["number"] if _kind_of(default) == "number" else []
        return named + looks + ["name"] * (default.istitle() and argument.needed)
    if not argument.needed or re.search(r"query|input|question|search", said):  # which is the request itself
        return named
    return named or ["quoted", "name"]


def _as(value: Any, text: str) -> Any:
    """`text` as the same type as `value`: figures where that is a number, and never with commas between them."""
    plain = text.replace(",", "") if _kind_of(text) == "number" else text
    try:
        return type(value)(plain) if isinstance(value, int | float) else plain
    except ValueError:
        return plain
