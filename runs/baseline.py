"""The zero-shot run beside a run, and what the run gains and costs against it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import Config
from errors import UserError
from plugins import is_outside

from .prices import KINDS, Prices
from .reader import read_run

COUNTS = {"calls": "calls", **KINDS}  # what is compared: as a person calls it -> as a summary does


@dataclass(frozen=True)
class Baseline:
    """The zero-shot run on the same stream below the same --output_dir; its `summary` is None until it is finished."""

    env: str
    summary: dict[str, Any] | None
    folder: Path | None = None


def baseline_of(folder: Path, identity: dict[str, Any]) -> Baseline | None:
    """The zero-shot run beside the one in `folder`; None where there can be none, or it cannot be known."""
    if identity["agent"] in ("zero-shot", "ground-truth") or "," in identity["llm"]:
        return None
    if any(is_outside(identity.get(name)) for name in ("env", "agent", "bandit")):
        return None  # no run is called after a file: whoever wrote this wants it loaded
    names = {spec.name for spec in dataclasses.fields(Config)}
    try:
        config = Config(**{name: value for name, value in identity.items() if name in names})
        twin = dataclasses.replace(config, agent="zero-shot")
    except (UserError, TypeError):
        return None  # a task or an option that this version does not have
    name = Path(config.run_name()).parts
    if folder.absolute().parts[-len(name) :] != name:
        return None  # it was moved
    place = folder.absolute().parents[len(name) - 1] / twin.run_name()
    other = read_run(place)
    if other is None or other["identity"].get("data_sha256") != identity.get("data_sha256"):
        return Baseline(config.env, None)
    return Baseline(config.env, other["summary"], place)


def ratios(
    figures: dict[str, Any], baseline: dict[str, Any] | None, llm: str, prices: Prices | None = None
) -> dict[str, float]:
    """A step's calls, input and output tokens and cost as multiples of zero-shot's: by name, what both tell.

    Answers from the cache count like others, in the cost too: it is the method that is compared.
    """
    if baseline is None or not figures["steps"] or not baseline["steps"]:
        return {}
    pairs = {name: (figures.get(key), baseline.get(key)) for name, key in COUNTS.items()}
    if prices is not None:
        pairs["cost"] = (prices.cost(figures, llm, cached=True), prices.cost(baseline, llm, cached=True))
    steps = baseline["steps"] / figures["steps"]
    multiples = {name: ours / theirs * steps for name, (ours, theirs) in pairs.items() if ours is not None and theirs}
    return {name: value for name, value in multiples.items() if not math.isnan(value)}
