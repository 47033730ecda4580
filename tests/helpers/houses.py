"""A small game for the tests: doors to be opened in their order, one a turn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from agents.turns import PLAN, THINK
from env.families.game import Game, GameEnv, Row
from env.prompts import alfworld_prompt

COLOURS = ("red", "blue", "green", "white", "black")
SIZE = 10


class Doors(Game):
    """A row's doors have to be opened in their order; any other door that is tried does nothing."""

    def start(self, row: Row, folder: Path | None) -> None:
        self.way, self.at, self.won, self.over = row["way"], 0, False, False

    def check_row(self, row: Row, folder: Path) -> str | None:
        return None

    def actions(self) -> list[str]:
        return [f"open {colour}" for colour in COLOURS]

    def play(self, action: str) -> tuple[str, bool]:
        if action not in self.actions():
            return "That is not possible, so nothing happened.", False
        if action != self.way[self.at]:
            return "Nothing happens.", True
        self.at += 1
        self.won = self.over = self.at == len(self.way)
        return f"You stand behind the {action.split()[1]} door.", True

    def solution(self, row: Row, folder: Path) -> list[str]:
        return row["way"]


class Nowhere:
    """Stands for the file of rows that are made here."""

    folder = None

    def record(self) -> dict[str, Any]:
        return {"path": None, "origin": "user", "sha256": "0" * 64}


class House(GameEnv):
    name = "alfworld"
    prompts = alfworld_prompt
    turn_limit = 9
    make_game = Doors

    def init_env(self) -> None:
        self.data_file = Nowhere()  # type: ignore[assignment]
        rng = np.random.default_rng(0)
        for i in range(SIZE):
            way = [str(colour) for colour in rng.permutation(COLOURS)[: 3 + i % 2]]
            self.dataset.append(
                {"task": f"Find the cup {i} behind {', '.join(way)}.", "way": [f"open {c}" for c in way]}
            )


def in_house(messages: list[dict[str, Any]]) -> str:
    """A player that plans, thinks, and goes the way that its task tells."""
    if messages[-1]["content"].endswith((PLAN, THINK)):
        return f"through door {len(messages)}"
    found = re.search(r"behind ([a-z, ]+)\.", messages[0]["content"])
    assert found
    way = found[1].split(", ")
    return f"> open {way[(len(messages) // 2) % len(way)]}"
