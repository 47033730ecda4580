"""What the endpoint has been worth so far: success with and without cases, and the difference with its interval."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

from .ledger import Ledger

LEVEL = 0.95
GROUPS = ("cases", "holdout", "shadow")


@dataclass
class Tally:
    """Requests of one group, how many of them have feedback, and how many of these were right."""

    requests: int = 0
    feedback: int = 0
    right: int = 0

    def describe(self) -> dict[str, Any]:
        rate = self.right / self.feedback if self.feedback else None
        low, high = wilson(self.right, self.feedback)
        return {**vars(self), "success_rate": rate, "interval": None if rate is None else [low, high]}


class Stats:
    """Counts by group, kept beside the ledger and begun from it."""

    def __init__(self, ledger: Ledger) -> None:
        self._lock = threading.Lock()
        self._groups = {group: Tally() for group in GROUPS}
        self.refused = {"unknown": 0, "repeated": 0, "contradicting": 0}
        self._seconds = {name: {"count": 0, "sum": 0.0} for name in ("ranking", "request")}
        for group, counts in ledger.tallies().items():
            self._groups[group] = Tally(*counts)

    def answered(self, group: str, ranking: float, request: float) -> None:
        """Count an answered request that took `request` seconds, `ranking` of them to choose its cases."""
        with self._lock:
            self._groups[group].requests += 1
            for name, seconds in (("ranking", ranking), ("request", request)):
                self._seconds[name]["count"] += 1
                self._seconds[name]["sum"] += seconds

    def fed(self, group: str, reward: int) -> None:
        with self._lock:
            self._groups[group].feedback += 1
            self._groups[group].right += reward

    def refuse(self, why: str) -> None:
        with self._lock:
            self.refused[why] += 1

    def describe(self) -> dict[str, Any]:
        """Everything of GET /v1/stats that is counted here; rates are None where nothing is known yet."""
        with self._lock:
            groups = {name: tally.describe() for name, tally in self._groups.items()}
            cases, held = self._groups["cases"], self._groups["holdout"]
            return {
                "requests": sum(tally.requests for tally in self._groups.values()),
                "feedback": sum(tally.feedback for tally in self._groups.values()),
                "groups": groups,
                "gain": newcombe(cases, held),
                "refused_feedback": dict(self.refused),
                "seconds": {name: dict(timed) for name, timed in self._seconds.items()},
            }


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion (1927); (0, 1) where nothing is known."""
    if n == 0:
        return 0.0, 1.0
    z = 1.959963984540054
    centre, spread = right / n + z * z / (2 * n), z * math.sqrt(right * (n - right) / n**3 + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def newcombe(one: Tally, other: Tally) -> dict[str, Any] | None:
    """The difference of two success rates with Newcombe's score interval (1998, method 10), or None."""
    if not one.feedback or not other.feedback:
        return None
    p, q = one.right / one.feedback, other.right / other.feedback
    (low_p, high_p), (low_q, high_q) = wilson(one.right, one.feedback), wilson(other.right, other.feedback)
    low = p - q - math.hypot(p - low_p, high_q - q)
    high = p - q + math.hypot(high_p - p, q - low_q)
    return {"difference": p - q, "interval": [low, high], "level": LEVEL}
