"""A very small text grammar, so that the samples' wordings can stay tables of plain strings."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

INNERMOST = re.compile(r"\{([^{}]*)\}")


def expand(template: str, rng: random.Random, table: Mapping[str, Sequence[str] | str] | None = None) -> str:
    """Write out a template: {this|that} becomes one of the two, {name} an entry of table[name].

    Braces may nest and entries may hold braces themselves; each is drawn on its own. A name that is not in the table
    is a KeyError.
    """

    def draw(match: re.Match[str]) -> str:
        if "|" in match[1]:
            return rng.choice(match[1].split("|"))
        entry = (table or {})[match[1]]
        return entry if isinstance(entry, str) else rng.choice(entry)

    found = 1
    while found:
        template, found = INNERMOST.subn(draw, template)
    return template


def start_upper(text: str) -> str:
    """`text` with a capital first letter and the rest as it is."""
    return text[:1].upper() + text[1:]
