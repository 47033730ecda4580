"""What a bank's records say: the cases that help, those that mislead, near-duplicates.

A case is judged by the steps that showed it: its successes there against those that were to be expected. Few showings
say little, so its rate is shrunk towards the expected one, by as many imagined showings as make the cases of this bank
differ as much as they do beyond chance (beta-binomial, by moments), and it helps or misleads only where the 90 %
interval of the rate lies wholly on one side. About one case in twenty of those that are neither is still told as
misleading by chance, which is why `report` says how many were judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .entries import Contents, Entry

INTERVAL = 0.9
STRENGTHS = (1.0, 100.0)  # imagined showings, at least and at most
ALIKE = 0.95  # the cosine from which two cases are near-duplicates
LATEST = 20_000  # cases that are compared with each other


@dataclass(frozen=True)
class Verdict:
    """A case that was shown. `rate` is its success rate when shown, shrunk; `low` to `high` its interval."""

    entry: Entry
    expected: float
    rate: float
    low: float
    high: float

    @property
    def misleads(self) -> bool:
        return self.high < self.expected

    @property
    def helps(self) -> bool:
        return self.low > self.expected

    @property
    def gain(self) -> float:
        """The successes that showing it has brought beyond those expected; below 0 those that it has cost."""
        return (self.rate - self.expected) * self.entry.shown


def judge(entries: Sequence[Entry]) -> list[Verdict]:
    """The cases that were shown, those that cost most successes first."""
    from scipy.stats import beta

    shown = [entry for entry in entries if entry.shown]
    if not shown:
        return []
    n = np.array([entry.shown for entry in shown], float)
    won = np.array([entry.won for entry in shown], float)
    expected = np.clip(np.array([entry.expected for entry in shown]) / n, 0.01, 0.99)
    strength = prior_strength(n, won, expected)
    a, b = strength * expected + won, strength * (1 - expected) + n - won
    tail = (1 - INTERVAL) / 2
    low, high = beta.ppf(tail, a, b), beta.ppf(1 - tail, a, b)
    figures = zip(shown, *(values.tolist() for values in (expected, a / (a + b), low, high)))
    return sorted((Verdict(*row) for row in figures), key=lambda verdict: (verdict.gain, verdict.entry.key))


def prior_strength(shown: np.ndarray, won: np.ndarray, expected: np.ndarray) -> float:
    """How many imagined showings at its expected rate a case starts with.

    Between cases whose rates differ by an intraclass correlation r, (won - n p)^2 has the mean
    n p (1 - p) (1 + (n - 1) r), and r = 1 / (strength + 1). Where no case was shown twice, nothing tells r.
    """
    variance = expected * (1 - expected)
    room = float((shown * (shown - 1) * variance).sum())
    if not room:
        return STRENGTHS[1]
    excess = float(((won - shown * expected) ** 2 - shown * variance).sum())
    return float(np.clip(room / excess - 1, *STRENGTHS)) if excess > 0 else STRENGTHS[1]


@dataclass(frozen=True)
class Twins:
    """Two cases at a cosine of at least ALIKE; `agree` where they have the same answer and reward."""

    first: Entry
    second: Entry
    cosine: float

    @property
    def agree(self) -> bool:
        one, other = self.first.case, self.second.case
        return (one.answer, one.reward) == (other.answer, other.reward)


def near_duplicates(contents: Contents, alike: float = ALIKE) -> list[Twins]:
    """Each case with the most similar one before it, where that is a near-duplicate; the most similar first.

    Of more than LATEST cases the latest are compared. Without vectors there are none.
    """
    if contents.vectors is None:
        return []
    vectors, offset = contents.vectors[-LATEST:], max(0, len(contents.entries) - LATEST)
    found = []
    for start in range(0, len(vectors), 1000):
        cosines = vectors[start : start + 1000] @ vectors[: start + 1000].T
        for row in range(len(cosines)):
            before = cosines[row, : start + row]
            if len(before) and before.max() >= alike:
                other = int(before.argmax())
                pair = contents.entries[offset + other], contents.entries[offset + start + row]
                found.append(Twins(*pair, float(before[other])))
    return sorted(found, key=lambda twins: -twins.cosine)
