"""Reading answers out of what a model wrote.

A model may write anything, so these functions return None where there is nothing to read and never raise. Each passes
over the text a bounded number of times: a long run of brackets costs no more than prose of the same length.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from typing import Any

_BRACES = re.compile(r"\\[{}]|\\boxed\s{0,8}\{|[{}]")
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit)\s*\{(.*)\}", re.DOTALL)
_OPEN = re.compile(r"[\[{]")
# Inside brackets, strings are skipped whole; one that is not closed ends with its line, as in JSON and Python.
_IN_JSON = re.compile(r'[\[\]{}]|"(?:[^"\\\n]|\\.)*"?')
_IN_PYTHON = re.compile(r"""[\[\]{}]|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?""")
_PARTNER = {"}": "{", "]": "["}
MAX_MARKS = 30  # accents on one letter; Unicode's stream-safe text format (UAX #15) allows no more
# SystemError is what Python 3.11 sometimes makes of a literal that is nested too deep for its parser.
_NOT_A_VALUE = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, SystemError)


def last_boxed(text: str) -> str | None:
    """The contents of the last complete \\boxed{...}, braces inside it balanced, without a \\text{...} around them."""
    open_braces: list[int | None] = []  # where the contents start, None for a brace that is not a \boxed's
    last: tuple[int, int] | None = None
    for token in _BRACES.finditer(text):
        if token[0] == "{":
            open_braces.append(None)
        elif token[0].startswith("\\boxed"):
            open_braces.append(token.end())
        elif token[0] == "}" and open_braces:
            start = open_braces.pop()
            if start is not None and (last is None or start > last[0]):
                last = start, token.start()
    return None if last is None else _unwrap(text[last[0] : last[1]])


def _unwrap(contents: str) -> str:
    contents = contents.strip()
    for _ in range(3):
        wrapped = _TEXT.fullmatch(contents)
        if wrapped is None:
            break
        contents = wrapped[1].strip()
    return contents


def last_code_block(text: str, language: str) -> str | None:
    """The last ```language block, stripped; "" takes a block of any language. None where there is none or it is empty.

    The last block may lack its closing fence, as answers cut off at the token limit do.
    """
    if language:
        openings = list(re.finditer(rf"```[ \t]*{re.escape(language)}(?!\w)", text, re.IGNORECASE))
        block = text[openings[-1].end() :].partition("```")[0] if openings else ""
    else:
        block = next((part for part in reversed(text.split("```")[1::2]) if part.strip()), "")
        first_line, newline, rest = block.partition("\n")
        block = rest if newline and re.fullmatch(r"[\w+#.-]*", first_line.strip()) else block
    return block.strip() or None


def json_value(text: str, kind: type | tuple[type, ...] = (dict, list)) -> Any | None:
    """The last JSON object or list (or only one of these), in the last ```json block or else anywhere in the text."""
    block = last_code_block(text, "json")
    value = _last_value(block, kind, json.loads, _IN_JSON) if block else None
    return _last_value(text, kind, json.loads, _IN_JSON) if value is None else value


def first_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in the text that stands in no other braces, or None.

    Unlike `json_value` it takes only what the standard allows: numbers are finite.
    """
    for start, end in _outermost(text):
        with contextlib.suppress(*_NOT_A_VALUE):
            value = json.loads(text[start:end])
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
            return value  # type: ignore[no-any-return]
    return None


def _outermost(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of every stretch from an opening brace to the one that closes it, in order, without overlap."""
    last = 0
    for start, end in sorted(_bracketed(text, _IN_JSON)):
        if start >= last and text[start] == "{":
            yield start, end
            last = end


def python_literal(text: str, kind: type | tuple[type, ...] = (dict, list)) -> Any | None:
    """The last Python dict or list literal (or only one of these) in the text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # "\d" in a string is the model's business
        warnings.simplefilter("ignore", DeprecationWarning)
        return _last_value(_without_piles(text), kind, ast.literal_eval, _IN_PYTHON)


def _without_piles(text: str) -> str:
    """`text` with at most MAX_MARKS accents in a row: Python sorts those of a name, in time that grows as a square."""
    if text.isascii():
        return text
    kept, marks = [], 0
    for character in text:
        first = unicodedata.normalize("NFKD", character)[0]  # some are marks only once taken apart
        marks = marks + 1 if unicodedata.combining(first) else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def _last_value(
    text: str, kind: type | tuple[type, ...], parse: Callable[[str], Any], inside: re.Pattern[str]
) -> Any | None:
    budget = 10_000 + 8 * len(text)  # characters to parse: nested brackets are tried from the outside in
    for start, end in reversed(list(_bracketed(text, inside))):
        budget -= end - start + 64
        if budget < 0:
            return None
        try:
            value = parse(text[start:end])
            json.dumps(value, ensure_ascii=False).encode()  # it will be stored: no bytes, sets or half characters
        except _NOT_A_VALUE:
            continue
        if isinstance(value, kind):
            return value
    return None


def _bracketed(text: str, inside: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """(start, end) of every stretch in matching brackets, in the order in which they close."""
    open_brackets: list[int] = []
    token = _OPEN.search(text)
    while token:
        if token[0] in "[{":
            open_brackets.append(token.start())
        elif token[0] in "]}" and text[start := open_brackets.pop()] == _PARTNER[token[0]]:
            yield start, token.end()
        token = (inside if open_brackets else _OPEN).search(text, token.end())
