"""A small game of one's own on lfd's rows, in this process (`use` of own_task.py) and as a main.py of its own."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from env.families.game import Game, GameEnv, Row  # noqa: E402
from env.prompts import alfworld_prompt  # noqa: E402


class Stairs(Game):
    """Climb to a floor that the row tells by its length; the state is in the simulator alone."""

    def start(self, row: Row, folder: Path) -> None:
        self.floor, self.top = 0, 2 + len(row["task"]) % 4
        self.won = self.over = False

    def check_row(self, row: Row, folder: Path) -> str | None:
        return None

    def actions(self) -> list[str]:
        return ["up", "down"]

    def play(self, action: str) -> tuple[str, bool]:
        if action not in self.actions():
            return "You stay.", False
        self.floor += 1 if action == "up" else -1
        self.won = self.over = self.floor == self.top
        return f"You are on floor {self.floor} of {self.top}.", True

    def solution(self, row: Row, folder: Path) -> list[str]:
        self.start(row, folder)
        return ["up"] * self.top


class StairsEnv(GameEnv):
    name = "lfd"
    fields = {"task": str, "label": str}
    prompts = alfworld_prompt
    turn_limit = 8
    make_game = Stairs


def climb(message: str) -> str:
    """A player that never comes to the fifth floor: the same action for the same message."""
    return "Action: down" if "floor 1 of 5" in message else "Action: up"


if __name__ == "__main__":
    import env

    env.ENV_DICT["lfd"] = StairsEnv
    import main

    sys.exit(main.main(sys.argv[1:]))
