"""ScienceWorld: an elementary science lab, played on the package's Java simulator.

A row names task and variation, and its text is what the simulator shows of them at the beginning; both are compared
before a game starts, so that figures on another version's worlds are not taken for the benchmark's. The package's own
`step` lists every valid action after each one, which takes far longer than the action; this asks its server directly,
which env/tools/scienceworld_engine.py starts.

A game must not depend on those that the same process played before it, or a continued run would differ from one that
was not stopped. The simulator seeds its random numbers, but lists things in the order of their hash codes, which Java
draws afresh for each, and draws some numbers when it loads a task for the first time. So all hash codes are made equal,
which leaves things in the order in which they were made, and a task's first load is done twice.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from errors import DataError, UserError, missing_package

from .families.game import Game, GameEnv, Row
from .prompts import scienceworld_prompt, scienceworld_react_prompt

if TYPE_CHECKING:
    from config import Config

    from .tools.scienceworld_engine import LabServer

PACKAGES = ("scienceworld", "py4j")
SIMPLIFICATION = "easy"
TURN_LIMITS = {
    "use-thermometer": 30,
    "test-conductivity": 30,
    "test-conductivity-of-unknown-substances": 30,
    "grow-plant": 30,
    "find-animal": 15,
    "find-living-thing": 15,
    "find-non-living-thing": 15,
    "find-plant": 15,
    "lifespan-longest-lived-then-shortest-lived": 12,
    "lifespan-longest-lived": 10,
    "lifespan-shortest-lived": 10,
}
FRAME = frozenset(  # words that a row's text may have beside what the simulator shows: those of headings
    "a the task description goal room environment initial first current observation look around inventory your".split()
)
NOT_UNDERSTOOD = ("No known action matches", "Unknown action")
_WORD = re.compile(r"[\w'-]+")
TROUBLE = "The world could not carry that out."


class LabGame(Game):
    """One simulator process, started at the first game. `start` takes tenths of a second, `play` hundredths."""

    def __init__(self) -> None:
        self.server: LabServer | None = None
        self._seen: set[tuple[str, bool]] = set()  # loaded before by this process, with or without solution

    def prepare(self, config: Config) -> None:
        _check_java()
        _import_server()

    def check_row(self, row: Row, folder: Path) -> str | None:
        if row["taskName"] not in TURN_LIMITS:
            return f"the taskName {row['taskName']!r} is none of: {', '.join(TURN_LIMITS)}"
        return None if row["variationIdx"] >= 0 else f"the variationIdx {row['variationIdx']} is below 0"

    def start(self, row: Row, folder: Path) -> None:
        shown = self.begin(row["taskName"], row["variationIdx"])
        difference = _difference(shown, row["task"])
        if difference:
            raise DataError(
                f"{row['taskName']}, variation {row['variationIdx']}: the row's text {difference}: "
                "the row comes from another world, or scienceworld from another version"
            )

    def begin(self, task: str, variation: int, gold: bool = False) -> str:
        """Start a variation of a task; returns its description, the first look and the inventory."""
        known = self.variations(task)
        if not 0 <= variation < known:
            raise DataError(f"{task} has no variation {variation}: the simulator's last is {known - 1}")
        agent = self.server.agent
        for _ in range(1 if (task, gold) in self._seen else 2):
            agent.load(task, variation, SIMPLIFICATION, gold)
        self._seen.add((task, gold))
        self.won = self.over = False
        parts = (agent.freeActionTaskDesc(), agent.step("look around"), agent.freeActionInventory())
        return "\n\n".join(part.strip() for part in parts)

    def variations(self, task: str) -> int:
        """How many variations of a task there are; starts the simulator where none runs."""
        if self.server is None:
            _check_java()
            self.server = _import_server()()
            self._seen = set()
        return self.server.agent.getTaskMaxVariations(task)

    def play(self, action: str) -> tuple[str, bool]:
        from py4j.protocol import Py4JJavaError, Py4JNetworkError

        agent = self.server.agent
        try:
            observation = agent.step(action)
            score = round(100 * agent.getScore())
            completed = agent.getCompleted()
        except Py4JJavaError:
            return TROUBLE, False
        except Py4JNetworkError as error:
            raise UserError(f"the ScienceWorld simulator has stopped ({error}): the same command goes on") from None
        self.won = score >= 100
        self.over = bool(completed) or self.won or score < 0
        return observation, not observation.startswith(NOT_UNDERSTOOD)

    def solution(self, row: Row, folder: Path) -> list[str]:
        self.begin(row["taskName"], row["variationIdx"], gold=True)
        return list(self.server.agent.getGoldActionSequence())

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None


class ScienceWorld(GameEnv):
    name = "scienceworld"
    fields = {"task": str, "taskName": str, "variationIdx": int}
    prompts = scienceworld_prompt
    packages = PACKAGES
    make_game = LabGame

    @property
    def turn_limit(self) -> int:
        return TURN_LIMITS[self.row["taskName"]]


class ScienceWorldReact(GameEnv):
    name = "scienceworld-react"
    stream = "scienceworld"
    fields = {"task": str, "taskName": str, "variationIdx": int}
    prompts = scienceworld_react_prompt
    packages = PACKAGES
    react = True
    make_game = LabGame
    turn_limit = ScienceWorld.turn_limit


def _difference(shown: str, told: str) -> str | None:
    """What a row's text has less or more than the simulator shows, in any order; None where they say the same."""
    missing, added = _words(shown) - _words(told), _words(told) - _words(shown)
    if missing:
        return f"lacks what the simulator shows ({', '.join(sorted(missing)[:8])})"
    named = sorted(word for word in added if word not in FRAME)
    return f"has what the simulator does not show ({', '.join(named[:8])})" if named else None


def _words(text: str) -> Counter[str]:
    """The words of a text and how often it has them, whatever stands in between."""
    return Counter(_WORD.findall(text.lower().replace("task description:", " ")))


def _check_java() -> None:
    if shutil.which("java") is None:
        raise UserError(
            "ScienceWorld's simulator needs Java, and there is no `java` on the PATH: install a Java runtime, "
            "version 8 or later (on Debian and Ubuntu: apt install default-jre-headless)"
        )


def _import_server() -> type[LabServer]:
    try:
        from .tools.scienceworld_engine import LabServer
    except ImportError as error:
        raise missing_package(error) from None
    return LabServer
