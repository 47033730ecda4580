"""Every policy on every planted stream: `python scripts/simulate.py`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from registry import POLICIES
from report.statistics import t_interval

from .playing import ZERO_SHOT, play
from .worlds import WORLDS

NULL_ARM = "EvidenceLogUCB, null arm"  # rows of their own: policies with an option off its default
VARIANTS: dict[str, dict[str, Any]] = {
    NULL_ARM: {"bandit": "EvidenceLogUCB", "null_arm": "on"},
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


def regrets(policy: str, world: str, steps: int, seeds: int) -> list[float]:
    """The regret of each seed's whole stream."""
    return [float(play(WORLDS[world], steps=steps, seed=seed, **rows()[policy]).regret.sum()) for seed in range(seeds)]


def measure(policies: list[str], worlds: list[str], steps: int, seeds: int, out: Path | None) -> list[dict[str, Any]]:
    """Play everything; after each policy on a world, `out` holds all results so far as JSON."""
    results: list[dict[str, Any]] = []
    for world in worlds:
        for policy in policies:
            found = regrets(policy, world, steps, seeds)
            results.append({"world": world, "policy": policy, "steps": steps, "regret": found})
            if out is not None:
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def markdown(results: list[dict[str, Any]]) -> str:
    """A table: a policy a row, a world a column; mean regret and half of its 95 % t interval over the seeds."""
    worlds, policies = (list(dict.fromkeys(result[key] for result in results)) for key in ("world", "policy"))
    found = {(result["policy"], result["world"]): result["regret"] for result in results}
    lines = [["policy", *worlds], ["---"] * (len(worlds) + 1)]
    lines += [[policy, *(_cell(found[policy, world]) for world in worlds)] for policy in policies]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(regret: list[float]) -> str:
    interval = t_interval(np.array(regret))
    return f"{interval.mean:.1f}" + ("" if math.isnan(interval.low) else f" ± {interval.half_width:.1f}")
