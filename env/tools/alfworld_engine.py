"""The TextWorld engine for ALFWorld's games, with the package's names of things. Imported when a game is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alfworld.agents.utils.misc import Demangler
from alfworld.info import ALFRED_PDDL_PATH, ALFRED_TWL2_PATH
from textworld import EnvInfos
from textworld.envs.pddl.logic import GameLogic
from textworld.envs.pddl.pddl import PddlEnv


class HouseholdEngine(PddlEnv):
    """PddlEnv translates a game's PDDL when it is loaded and again at every reset; this does so at the reset only."""

    def __init__(self) -> None:
        super().__init__(EnvInfos(won=True, admissible_commands=True))
        self._infos: dict[str, Any] | None = None

    def load(self, game: dict[str, Any]) -> None:
        """Take a game given as the contents of its file; without domain and grammar it gets the package's."""
        if "pddl_domain" not in game:
            grammar = Path(ALFRED_TWL2_PATH).read_text(encoding="utf-8").replace("UNKNOWN GOAL", game["goal"])
            game = game | {"pddl_domain": Path(ALFRED_PDDL_PATH).read_text(encoding="utf-8"), "grammar": grammar}
        self._game_data = game
        self._logic = GameLogic(domain=game["pddl_domain"], grammar=game["grammar"])

    def reset(self) -> Any:
        self._infos = None
        return super().reset()

    @property
    def _entity_infos(self) -> dict[str, Any]:
        """What there is in the game, by its PDDL name, with the names that players see."""
        if self._infos is None:
            self._infos = self._get_entity_infos()
            names = Demangler(game_infos=self._infos)
            for info in self._infos.values():
                info.name = names.demangle_alfred_name(info.id)
        return self._infos
