"""Every policy on every planted stream: `python scripts/simulate.py`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from errors import UsageError
from registry import POLICIES
from report.statistics import t_interval

from .playing import ZERO_SHOT, play
from .worlds import WORLDS

VARIANTS: dict[str, dict[str, Any]] = {  # rows of their own: policies with an option off its default
    "EvidenceLogUCB, no null arm": {"null_arm": "off"},
    "EvidenceLogUCB, null arm explored": {"null_arm": "explore"},
    "EvidenceLogUCB, half-life 100": {"half_life": 100.0},
    "EvidenceLogUCB, no null arm, half-life 100": {"null_arm": "off", "half_life": 100.0},
    "NeuralLinLogUCB, nu 0": {"exploration": 0.0},
    "NeuralLinLogUCB, centre nearest": {"centre": "nearest"},
    "NeuralLinLogUCB, centre mean": {"centre": "mean"},
    "NeuralLinLogUCB, w 1": {"w_learning_rate": 1.0},
    "NeuralLinLogUCB, posterior": {"bonus": "posterior"},
    "NeuralLinLogUCB, all three": {"centre": "nearest", "w_learning_rate": 1.0, "bonus": "posterior"},
}


def rows() -> dict[str, dict[str, Any]]:
    """What is compared, by name: keywords of `play`."""
    variants = {name: {"bandit": name.split(",")[0]} | options for name, options in VARIANTS.items()}
    return {name: {"bandit": name} for name in [ZERO_SHOT, *POLICIES]} | variants


def regrets(policy: str, world: str, steps: int, seeds: int) -> np.ndarray:
    """The regret of each step of each seed's stream, [seeds, steps]."""
    return np.array([play(WORLDS[world], steps=steps, seed=seed, **rows()[policy]).regret for seed in range(seeds)])


def measure(policies: list[str], worlds: list[str], steps: int, seeds: int, out: Path | None) -> list[dict[str, Any]]:
    """Play everything; after each policy on a world, `out` holds all results so far as JSON."""
    results: list[dict[str, Any]] = []
    for world in worlds:
        for policy in policies:
            found = regrets(policy, world, steps, seeds)
            late = found[:, -(max(1, steps // 4)) :].sum(1)
            curve = found.mean(0).cumsum().round(3)
            figures = {"regret": found.sum(1), "last_quarter": late, "curve": curve}
            results.append({"world": world, "policy": policy, "steps": steps, **_as_lists(figures)})
            if out is not None:
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def read(path: Path, policies: list[str], worlds: list[str]) -> list[dict[str, Any]]:
    """What `measure` has written of these policies and worlds. Raises UsageError where that is nothing."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        results = [each for each in written if each["policy"] in policies and each["world"] in worlds]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(f"--read {path}: no results of simulate.py --out ({error})") from None
    if not results:
        raise UsageError(f"--read {path}: it holds none of these policies on these worlds")
    return sorted(results, key=lambda each: (worlds.index(each["world"]), policies.index(each["policy"])))


def markdown(results: list[dict[str, Any]]) -> str:
    """A table: a policy a row, a world a column; mean regret and half of its 95 % t interval over the seeds."""
    worlds, policies = (list(dict.fromkeys(result[key] for result in results)) for key in ("world", "policy"))
    found = {(result["policy"], result["world"]): result["regret"] for result in results}
    lines = [["policy", *worlds], ["---"] * (len(worlds) + 1)]
    cells = {at: _cell(regret) for at, regret in found.items()}
    lines += [[policy, *(cells.get((policy, world), "") for world in worlds)] for policy in policies]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def above_zero_shot(results: list[dict[str, Any]], late: bool = False) -> str:
    """The same table of `points_above`."""
    return markdown([{**point, "regret": point["points"]} for point in points_above(results, late)])


def points_above(results: list[dict[str, Any]], late: bool = False) -> list[dict[str, Any]]:
    """Success in points above zero-shot's, paired by seed, under `points`; of the last quarter where `late`."""
    key, share = ("last_quarter", 4) if late else ("regret", 1)
    bare = {result["world"]: np.array(result[key]) for result in results if result["policy"] == ZERO_SHOT}
    points = []
    for result in results:
        if result["policy"] != ZERO_SHOT and result["world"] in bare:
            gained = bare[result["world"]] - np.array(result[key])
            points.append({**result, "points": 100 * gained / max(1, result["steps"] // share)})
    return points


def _as_lists(figures: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in figures.items()}


def _cell(regret: list[float]) -> str:
    interval = t_interval(np.array(regret))
    return f"{interval.mean:.1f}" + ("" if math.isnan(interval.low) else f" ± {interval.half_width:.1f}")
