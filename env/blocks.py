"""Whether a stream lies in blocks of one label, as files sorted by label do.

There the case kept a step ago is nearly always of the right label, so that any memory gains over zero-shot, even one
that picks at random. Nothing is refused: it is for the person who runs it to know.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

LABELS = ("label", "api_name")  # the fields that a row's label can be in
FEWEST = 30  # rows; below that a few neighbours agree by chance
SURPRISE = 5.0  # standard deviations beyond a random order
SHARE = 0.1  # of the agreement that chance leaves open; a long stream makes less than that a surprise as well


def label_blocks(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """A line that says so if neighbouring rows agree in their label far more often than in random order, else None.

    The number of equal neighbours is n minus the number of runs, whose mean and variance over all orders of the
    same labels are known (Barton and David, 1957: multiple runs).
    """
    named = (row[field] for row in rows for field in LABELS if field in row)
    labels = [json.dumps(label, sort_keys=True, default=str) for label in named]
    n = len(labels)
    if n < FEWEST:
        return None
    equal = sum(a == b for a, b in zip(labels, labels[1:]))
    squares, cubes = (sum(count**power for count in Counter(labels).values()) for power in (2, 3))
    expected = (squares - n) / n
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
    excess = equal - expected
    if excess <= SURPRISE * math.sqrt(max(variance, 0)) or excess <= SHARE * (n - 1 - expected):
        return None
    return (
        f"the rows lie in blocks of one label: neighbours agree in {equal / (n - 1):.0%} of cases, "
        f"{expected / (n - 1):.0%} by chance. The case kept last then helps whatever chooses it; --shuffle mixes them"
    )
