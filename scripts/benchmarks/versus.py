"""Contestants played in turn, some steps each, so that they share the machine's good and bad minutes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .player import Contestant

ROOT = Path(__file__).resolve().parent.parent.parent
TURN = 16  # steps before the other's turn


@dataclass
class Costs:
    """What a contestant's steps from `first` on have cost, and which cases it chose in all."""

    first: int
    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    cases: list[list[int]] = field(default_factory=list)

    def add(self, played: dict[str, Any]) -> None:
        cases = played.pop("cases")
        self.cases += cases
        if len(self.cases) > self.first:
            self.steps += len(cases)
            self.sums = {name: self.sums.get(name, 0.0) + value for name, value in played.items()}

    def ms(self, name: str = "cpu") -> float:
        """Milliseconds a step."""
        return 1000 * self.sums[name] / self.steps


def play(contestants: dict[str, Contestant], first: int, steps: int) -> dict[str, Costs]:
    """Let all play up to step `steps` in turns and close them; what they cost after step `first`."""
    costs = {name: Costs(first) for name in contestants}
    for done in range(0, steps, TURN):
        for name, contestant in contestants.items():
            costs[name].add(contestant.play(min(TURN, steps - done)))
    for contestant in contestants.values():
        contestant.close()
    return costs


def agreement(one: list[list[int]], other: list[list[int]]) -> tuple[int, int | None]:
    """At how many steps both showed the same cases, and the first step, from 1, at which they did not."""
    differing = [number for number, (a, b) in enumerate(zip(one, other), 1) if a != b]
    return len(one) - len(differing), differing[0] if differing else None
