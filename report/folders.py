"""Runs as the report uses them: settings, data, figures, and the columns of the steps that curves are made of.

runs/reader.py reads and checks the folders. A run keeps its steps as a few columns of numbers; `records` reads the
whole lines again, so hundreds of long runs fit into memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from errors import UserError
from runs.reader import RunFolder, Tally, find_folders, open_folder
from runs.screen import say

from .naming import method_name

CURVES = ("UCB/exploit_chosen_mean", "UCB/explore_chosen_mean")  # the metrics that are drawn


@dataclass(frozen=True, eq=False)
class Columns:
    """What curves are made of, one entry a step; the reward of a skipped step and a metric that is missing are nan."""

    rewards: np.ndarray
    rows: np.ndarray  # which row was answered: a hash of the task's text
    metrics: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Run:
    """One run folder with its figures (as in summary.json, of the steps that are there) and columns."""

    source: RunFolder
    figures: dict[str, Any]
    columns: Columns

    @property
    def folder(self) -> Path:
        return self.source.folder

    @property
    def identity(self) -> dict[str, Any]:
        return self.source.identity

    @property
    def config(self) -> dict[str, Any]:
        return self.source.config

    @property
    def options(self) -> dict[str, Any]:
        return self.source.options

    @property
    def data(self) -> dict[str, Any]:
        """path, origin, sha256 and rows."""
        return self.source.data

    @property
    def finished(self) -> bool:
        return self.source.summary is not None

    @property
    def records(self) -> list[dict[str, Any]]:
        """The logged steps, read anew at each call; those that came since the first reading are left out."""
        return [record for record, _ in zip(self.source.records(), range(self.steps))]

    @property
    def env(self) -> str:
        return self.identity["env"]

    @property
    def agent(self) -> str:
        return self.identity["agent"]

    @property
    def llm(self) -> str:
        return self.identity["llm"]

    @property
    def seed(self) -> int:
        return self.identity["seed"]

    @property
    def method(self) -> str:
        """The paper's name of the method, or the agent's and policy's own."""
        return method_name(self.identity)

    @property
    def rewards(self) -> np.ndarray:
        return self.columns.rewards

    @property
    def steps(self) -> int:
        return len(self.rewards)

    def figure(self, name: str) -> float:
        """One of the figures; nan where the run does not tell it."""
        value = self.figures.get(name)
        return np.nan if value is None else value


def setting_key(identity: dict[str, Any]) -> str:
    """All that two runs of a setting share. Which rows were answered is said by their hash, not by --data."""
    kept = {name: value for name, value in identity.items() if name not in ("seed", "data")}
    return json.dumps(kept, sort_keys=True)


def read_runs(roots: Path | Iterable[Path], tell: Callable[[str], None] = say) -> list[Run]:
    """The runs in and below each of `roots`, in their order, below each in the order of the paths.

    Folders that are not ours are passed over. Damaged runs, and second runs of the same settings and seed, are left
    out and told of, a line each. Of two runs that are the same a finished one is taken, then the one with more steps,
    then the first.
    """
    runs: dict[tuple, Run] = {}
    damaged = 0
    for folder in _folders_of([roots] if isinstance(roots, Path) else roots):
        try:
            run = read_run_folder(folder)
        except (UserError, OSError) as error:
            damaged += 1
            tell(f"left out: {error}")
            continue
        if run is None:
            continue
        key = (setting_key(run.identity), run.seed, run.data["origin"], run.data["sha256"])
        twin = runs.get(key)
        if twin is not None:
            keep, drop = (run, twin) if (run.finished, run.steps) > (twin.finished, twin.steps) else (twin, run)
            tell(f"left out: {drop.folder}: the same run as {keep.folder}, which is taken{_why(keep, drop, twin)}")
            run = keep
        runs[key] = run
    if damaged:
        tell(f"{damaged} damaged run folder{'s' if damaged > 1 else ''} left out")
    return list(runs.values())


def _folders_of(roots: Iterable[Path]) -> Iterable[Path]:
    """The run folders below `roots`, one that is below several once."""
    found: dict[Path, Path] = {}
    for root in roots:
        for folder in find_folders(root):
            found.setdefault(folder.resolve(), folder)
    return found.values()


def _why(taken: Run, other: Run, first: Run) -> str:
    """Why of two runs that are the same one was taken, where it is not for being the first."""
    if taken is first and taken.finished == other.finished and taken.steps == other.steps:
        return ""
    return (
        ": it is finished" if taken.finished != other.finished else f": it has {taken.steps} steps, not {other.steps}"
    )


def read_run_folder(folder: Path) -> Run | None:
    """The run in `folder`, or None where it holds none of ours. Raises UserError where it is damaged."""
    source = open_folder(folder)  # asks for the summary before the steps: a run may end while it is read
    if source is None:
        return None
    rewards, rows, metrics, tally = [], [], [], Tally()
    for record in source.records():
        tally.add(record)
        rewards.append(np.nan if record["reward"] is None else record["reward"])
        rows.append(_hash(record["task"]))
        metrics.append([record["metrics"].get(name, np.nan) for name in CURVES])
    source.check_length(len(rewards))
    curves = np.array(metrics, np.float32).reshape(-1, len(CURVES)).T
    drawn = {name: curve for name, curve in zip(CURVES, curves) if np.isfinite(curve).any()}
    return Run(source, tally.summary(), Columns(np.array(rewards, float), np.array(rows, np.uint64), drawn))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest(), "little")
