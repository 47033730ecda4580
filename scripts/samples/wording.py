"""A very small text grammar, so that the samples' wordings can stay tables of plain strings, and bits of prose."""

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


def draw_two(rng: random.Random, table: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Two draws of one entry for each name of `table`, different at every name."""
    drawn = {name: rng.sample(values, 2) for name, values in table.items()}
    one, other = ({name: pair[place] for name, pair in drawn.items()} for place in (0, 1))
    return one, other


def article(words: str) -> str:
    """The indefinite article that `words` (which may begin with a number) takes."""
    return "an" if words.startswith(("8", "11-", "18-")) or words[0].lower() in "aeiou" else "a"


def listing(items: Sequence[str], last: str = "and") -> str:
    """Join items as prose does: "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def start_upper(text: str) -> str:
    """`text` with a capital first letter and the rest as it is."""
    return text[:1].upper() + text[1:]
