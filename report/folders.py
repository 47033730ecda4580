"""Run folders as the report reads them: settings, data, and the columns of the steps that figures are made of.

A run keeps its steps as a few columns of numbers; `records` reads the whole lines again, so hundreds of long runs fit
into memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from errors import UserError
from runs.screen import say

from .naming import method_name

CURVES = ("UCB/exploit_chosen_mean", "UCB/explore_chosen_mean")  # the metrics that are drawn
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # many times quicker where it is built


@dataclass(frozen=True, eq=False)
class Columns:
    """What figures are made of, one entry a step; a metric that a step lacks is nan."""

    rewards: np.ndarray
    rows: np.ndarray  # which row was answered: a hash of the task's text
    prompt_tokens: np.ndarray
    completion_tokens: np.ndarray
    llm_seconds: np.ndarray
    agent_seconds: np.ndarray
    metrics: dict[str, np.ndarray]
    asked: tuple[float, float] | None = None  # cbrdiscover: how often it asked, the share that would have failed


@dataclass(frozen=True, eq=False)
class Run:
    """One run folder. `data` has path, origin, sha256 and rows; `finished` says that its summary.json is there."""

    folder: Path
    identity: dict[str, Any]
    options: dict[str, Any]
    data: dict[str, Any]
    columns: Columns
    finished: bool

    @property
    def records(self) -> list[dict[str, Any]]:
        """The logged steps, read anew at each call. A torn last line is left out."""
        return list(_read_records(self.folder / "steps.jsonl"))[: len(self.rewards)]

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


def setting_key(identity: dict[str, Any]) -> str:
    """All that two runs of a setting share. Which rows were answered is said by their hash, not by --data."""
    kept = {name: value for name, value in identity.items() if name not in ("seed", "data")}
    return json.dumps(kept, sort_keys=True)


def read_runs(root: Path, tell: Callable[[str], None] = say) -> list[Run]:
    """The runs in and below `root`, in the order of their paths.

    Folders that are not ours are passed over. Damaged runs, and second runs of the same settings and seed, are left
    out and told of, a line each.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    runs: dict[tuple, Run] = {}
    damaged = 0
    for path in sorted(root.rglob("config.yaml")):
        try:
            run = read_run_folder(path.parent)
        except UserError as error:
            damaged += 1
            tell(f"left out: {error}")
            continue
        if run is None:
            continue
        key = (setting_key(run.identity), run.seed, run.data["origin"], run.data["sha256"])
        twin = runs.get(key)
        if twin is not None:
            keep, drop = (run, twin) if (run.finished, run.steps) > (twin.finished, twin.steps) else (twin, run)
            tell(f"left out: {drop.folder}: the same run as {keep.folder}")
            run = keep
        runs[key] = run
    if damaged:
        tell(f"{damaged} damaged run folder{'s' if damaged > 1 else ''} left out")
    return list(runs.values())


def read_run_folder(folder: Path) -> Run | None:
    """The run in `folder`, or None where it holds none of ours. Raises UserError where it is damaged."""
    config_path, steps_path = folder / "config.yaml", folder / "steps.jsonl"
    try:
        config = yaml.load(config_path.read_text(encoding="utf-8"), _Loader)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        if steps_path.exists():
            raise UserError(f"{config_path}: damaged ({type(error).__name__})") from None
        return None
    if not isinstance(config, dict) or not isinstance(config.get("identity"), dict):
        return None
    identity, data = config["identity"], config.get("data")
    if not {"env", "agent", "llm", "seed"} <= identity.keys() or not {"origin", "sha256", "rows"} <= set(data or ()):
        raise UserError(f"{config_path}: damaged (its settings or data are missing)")
    finished = (folder / "summary.json").exists()  # asked first: a run may end while it is read
    columns = _read_columns(steps_path)
    if finished:
        _check_summary(folder / "summary.json", len(columns.rewards), data["rows"])
    return Run(folder, identity, config.get("options") or {}, data, columns, finished)


def _check_summary(path: Path, steps: int, rows: int) -> None:
    try:
        counted = json.loads(path.read_text(encoding="utf-8"))["steps"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged ({type(error).__name__})") from None
    if not counted == steps == rows:
        raise UserError(f"{path}: counts {counted} steps where steps.jsonl has {steps} and the stream {rows}")


def _read_records(path: Path) -> Iterable[dict[str, Any]]:
    """The complete lines of steps.jsonl. Raises UserError naming the line that is damaged."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):  # a binary file's lines end in b"\n" alone
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
                if record["step"] != number:
                    raise ValueError(f"step {record['step']} where {number} should be")
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path}:{number}: damaged ({error})") from None
            yield record


def _read_columns(path: Path) -> Columns:
    rows, tasks, metrics, last = [], [], [], {}
    for record in _read_records(path):
        try:
            usage = record["usage"]
            tokens = (usage["prompt_tokens"], usage["completion_tokens"])
            rows.append((record["reward"], *tokens, record["llm_seconds"], record["agent_seconds"]))
            tasks.append(_hash(record["task"]))
            last = record["metrics"]
            metrics.append([last.get(name, np.nan) for name in CURVES])
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}:{record['step']}: damaged ({type(error).__name__}: {error})") from None
    reward, prompt, completion, llm, agent = np.array(rows, float).reshape(-1, 5).T
    curves = np.array(metrics, np.float32).reshape(-1, len(CURVES)).T
    return Columns(
        reward.astype(np.int64), np.array(tasks, np.uint64), prompt.astype(np.int64), completion.astype(np.int64),
        llm, agent, {name: curve for name, curve in zip(CURVES, curves) if np.isfinite(curve).any()},
        (last["NumDiscovery"], last["DiscoverSuccessRate"]) if "NumDiscovery" in last else None,
    )  # fmt: skip


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest(), "little")
