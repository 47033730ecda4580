"""Whether the solutions that ScienceWorld's simulator gives fit the turn limits of the tasks: `benchmark.py solutions`.

For the first variations of each task the simulator's own actions are fed through the environment. What is shown is the
turn in which the score reaches 100; a solution that is longer than the task's turns is played on without the limit.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from env.scienceworld import TURN_LIMITS, LabGame

VARIATIONS = 2


@dataclass(frozen=True)
class Solution:
    """The simulator's actions for a variation of a task, and in how many of them the score reached 100."""

    actions: list[str]
    turns: int | None  # None: not with all of them

    def fits(self, task: str) -> bool:
        return self.turns is not None and self.turns <= TURN_LIMITS[task]


def solve(game: LabGame, task: str, variation: int) -> Solution:
    """Play the simulator's own solution of a variation to its end, whatever the turn limit."""
    actions = game.solution({"taskName": task, "variationIdx": variation}, Path())
    game.begin(task, variation)
    for turn, action in enumerate(actions, 1):
        game.play(action)
        if game.won:
            return Solution(actions, turn)
    return Solution(actions, None)


def row(task: str, solutions: list[Solution]) -> str:
    turns = ", ".join("never" if solution.turns is None else str(solution.turns) for solution in solutions)
    fit = [solution.fits(task) for solution in solutions]
    verdict = "yes" if all(fit) else "no" if not any(fit) else f"{sum(fit)} of {len(fit)}"
    return f"| {task} | {TURN_LIMITS[task]} | {turns} | {verdict} |"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variations", type=int, default=VARIATIONS, help="of each task (default: %(default)s)")


def report(arguments: argparse.Namespace) -> None:
    print(f"| task | turns | solutions of the first {arguments.variations} variations | fit |\n|---|---|---|---|")
    game = LabGame()
    try:
        for task in TURN_LIMITS:
            count = min(arguments.variations, game.variations(task))
            print(row(task, [solve(game, task, number) for number in range(count)]), flush=True)
    finally:
        game.close()
