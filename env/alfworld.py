"""ALFWorld: household tasks, played on the TextWorld engine.

A row names its game file. The files of the package's own download are looked for in --alfworld_path, then in
ALFWORLD_DATA, wherever the path in the row begins; those of the sample are beside its rows. A game file without domain
and grammar is completed with those of the installed package.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import DataError, UserError, missing_package

from .families.game import Game, GameEnv, Row
from .prompts import alfworld_prompt, alfworld_react_prompt

if TYPE_CHECKING:
    from config import Config

    from .tools.alfworld_engine import HouseholdEngine

PACKAGES = ("alfworld", "textworld", "fast_downward_textworld")  # the last one lists what is admissible
NOT_ADMISSIBLE = "That is not one of the possible actions, so nothing happened."
_GOAL = re.compile(r"Your task is to: *(.+?)\.?\s*$", re.MULTILINE)
_HEADER = re.compile(r"\A\s*-=.*=-\s*")


class HouseholdGame(Game):
    """One PDDL game at a time. `start` takes a second or two, `play` about a tenth."""

    def __init__(self) -> None:
        self._root: Path | None = None
        self._engine: HouseholdEngine | None = None
        self._state: Any = None

    def prepare(self, config: Config) -> None:
        self._root = Path(config.alfworld_path).expanduser() if config.alfworld_path else None
        if self._root is not None and not self._root.is_dir():
            raise UserError(f"--alfworld_path {config.alfworld_path} is not a folder")
        _import_engine()

    def check_row(self, row: Row, folder: Path) -> str | None:
        if self.find(row["game_file"], folder) is not None:
            return None
        return (
            f"the game file {row['game_file']} is missing: `python scripts/prepare_data.py alfworld` gets the games; "
            "--alfworld_path or ALFWORLD_DATA says where they are"
        )

    def find(self, name: str, folder: Path) -> Path | None:
        """The game file of that name: below the rows' folder or where the games are, from any of its folders on."""
        data = Path(os.environ.get("ALFWORLD_DATA") or "~/.cache/alfworld").expanduser()
        roots = [folder, *([self._root] if self._root else []), data]
        parts = Path(name).parts[-6:]  # json_2.1.1 / split / task / trial / game.tw-pddl, at most
        tails = [Path(*parts[start:]) for start in range(max(1, len(parts) - 1))]
        candidates = [root / below / tail for root in roots for tail in tails for below in ("", "json_2.1.1")]
        return next((path for path in candidates if path.is_file()), None)

    def start(self, row: Row, folder: Path) -> None:
        game = self._read(row, folder)
        self._state = self.begin(game)
        wanted, found = _GOAL.search(row["task"]), _GOAL.search(self._state.feedback)
        if wanted and found and wanted[1].lower() != found[1].lower():
            raise DataError(f"the game {row['game_file']} asks for {found[1]!r}, its row for {wanted[1]!r}")

    def begin(self, game: dict[str, Any]) -> Any:
        """Start a game given as the contents of its file; returns the engine's first state."""
        if self._engine is None:
            self._engine = _import_engine()()
        self._engine.load(game)
        self._state = self._engine.reset()
        self.won = self.over = False
        return self._state

    def names(self) -> dict[str, str]:
        """What the running game calls each thing, by its name in the PDDL problem, which is all lower case there."""
        return {thing: info.name.strip() for thing, info in self._state["_entity_infos"].items()}

    def actions(self) -> list[str]:
        return list(self._state.admissible_commands)

    def play(self, action: str) -> tuple[str, bool]:
        if action not in self._state.admissible_commands:
            return NOT_ADMISSIBLE, False
        self._state, _, _ = self._engine.step(action)
        self.won = self.over = bool(self._state.won)
        return self._state.feedback.strip(), True

    def solution(self, row: Row, folder: Path) -> list[str]:
        walkthrough = self._read(row, folder).get("walkthrough")
        if not walkthrough:
            raise DataError(f"the game {row['game_file']} has no walkthrough")
        return [action.strip() for action in walkthrough]

    def _read(self, row: Row, folder: Path) -> dict[str, Any]:
        path = self.find(row["game_file"], folder)
        if path is None:
            raise DataError(self.check_row(row, folder))
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is not a game file ({error})") from None


class AlfWorld(GameEnv):
    name = "alfworld"
    fields = {"task": str, "game_file": str}
    prompts = alfworld_prompt
    packages = PACKAGES
    turn_limit = 30
    make_game = HouseholdGame


class AlfWorldReact(GameEnv):
    name = "alfworld-react"
    stream = "alfworld"
    fields = {"task": str, "game_file": str}
    prompts = alfworld_react_prompt
    packages = PACKAGES
    turn_limit = 35
    react = True
    make_game = HouseholdGame


def first_observation(feedback: str) -> str:
    """The text that a game begins with, without the engine's banner: the row's task."""
    return _HEADER.sub("", feedback).strip()


def _import_engine() -> type[HouseholdEngine]:
    try:
        from .tools.alfworld_engine import HouseholdEngine
    except ImportError as error:
        raise missing_package(error) from None
    return HouseholdEngine
