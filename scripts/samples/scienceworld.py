"""Sample of scienceworld: some variations of each of the benchmark's tasks, as the installed simulator shows them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from env.scienceworld import TURN_LIMITS, LabGame

VARIATIONS_A_TASK = 4


def rows(rng: random.Random, folder: Path) -> list[dict[str, Any]]:
    game = LabGame()
    try:
        result = []
        for task in TURN_LIMITS:
            for variation in rng.sample(range(game.variations(task)), VARIATIONS_A_TASK):
                shown = game.begin(task, variation)
                result.append({"task": shown, "taskName": task, "variationIdx": variation})
    finally:
        game.close()
    rng.shuffle(result)
    return result
