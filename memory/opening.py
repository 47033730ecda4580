"""Opening a bank by its path: a SQLite file, a run's folder, or a file that a bank was exported to."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from errors import UsageError, UserError
from runs.checkpoint import Checkpoint
from runs.folder import CHECKPOINTS, FINAL
from runs.reader import RunFolder, open_folder
from step import Case

from .entries import Contents, EncoderIdentity, Entry
from .exchange import SUFFIXES, read_file
from .store import Store

AROUND = 50  # scored steps on each side whose mean reward is the success that was to be expected of a step


def open_bank(path: str | Path) -> Contents:
    """What the bank at `path` holds. Raises UserError where there is none, or it cannot be read."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such run folder or bank")
    return _open_bank(path, _stamp(path))


@functools.lru_cache(maxsize=1)  # the seeds of one command start from the same
def _open_bank(path: Path, stamp: tuple[Any, ...]) -> Contents:
    if path.is_dir():
        return run_contents(path)
    if path.suffix in SUFFIXES:
        return read_file(path)
    with Store.open(path) as store:
        return store.contents()


def _stamp(path: Path) -> tuple[Any, ...]:
    """What changes when the bank does."""
    files = [path, Path(f"{path}-wal"), path / "summary.json", path / "steps.jsonl"]
    found = [file.stat() for file in files if file.exists()]
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


def open_final(folder: str | Path, bandit: str | None) -> Checkpoint:
    """What a finished run has kept. Raises UsageError where that is no policy, or another than `bandit`."""
    run = open_folder(Path(folder))
    checkpoint = Checkpoint.open(Path(folder) / FINAL)
    if run is None or run.summary is None or checkpoint is None or not checkpoint.has("policy"):
        raise UsageError(f"{folder}: no finished run that has kept its policy; --final all keeps a trained one")
    if run.identity.get("bandit") != bandit:
        raise UsageError(f"{folder}: its policy is {run.identity.get('bandit')}, not {bandit}; --bandit says which")
    return checkpoint


# -- a run's bank ------------------------------------------------------------------------------------------------------


def run_contents(folder: Path) -> Contents:
    """The bank of the run in `folder`, as it was at its end, or at its last checkpoint; the records are the log's.

    Of cases with the same content the first stands for all. Raises UserError.
    """
    run = open_folder(folder)
    if run is None:
        raise UserError(f"{folder}: neither a run's folder nor a bank")
    checkpoint = _checkpoint_of(folder)
    state, about = checkpoint.get("bank"), checkpoint.get("bank-encoder")
    dropped, first, kept = set(state.get("dropped", ())), {}, []
    for position, row in enumerate(state["cases"]):
        if position in dropped or row is None:
            continue
        case = Case(*row)
        if case.key not in first:
            first[case.key] = case
            kept.append(position)
    records = read_records(run)
    who = {"env": run.identity["env"], "llm": run.identity["llm"], "time": _time(run), "source": str(folder)}
    entries = [Entry(replace(case, step=0), step=case.step, **who) for case in first.values()]
    entries = [_with_record(entry, records.get(entry.key)) for entry in entries]
    vectors = np.asarray(state["embeddings"])
    if not about or not vectors.shape[1]:
        return Contents(entries)
    return Contents(entries, vectors[kept], EncoderIdentity(**about))


def _checkpoint_of(folder: Path) -> Checkpoint:
    for _ in range(3):  # a run that is going on renames its checkpoints meanwhile
        for name in (FINAL, *CHECKPOINTS):
            checkpoint = Checkpoint.open(folder / name)
            if checkpoint is not None:
                return checkpoint
    raise UserError(
        f"{folder}: the run keeps no bank: it was finished with --final none, or by an earlier version, or it has no "
        "checkpoint yet; --overwrite plays it anew"
    )


def read_records(run: RunFolder) -> dict[str, tuple[int, int, float]]:
    """By the key of each case that was shown: in how many steps, how many right ones, and the success expected of them.

    Expected of a step is the mean reward of the scored steps around it, itself left out, which follows what the agent
    has learned along the stream.
    """
    shown = [
        ([case["key"] for case in record["cases"] if case.get("key")], record["reward"])
        for record in run.records()
        if record["reward"] is not None
    ]
    found: dict[str, tuple[int, int, float]] = {}
    for (keys, reward), expected in zip(shown, _expected([reward for _, reward in shown])):
        for key in keys:
            times, won, sum_expected = found.get(key, (0, 0, 0.0))
            found[key] = times + 1, won + reward, sum_expected + expected
    return found


def _expected(rewards: list[int]) -> Iterator[float]:
    total = np.concatenate([[0], np.cumsum(rewards)])
    for i, reward in enumerate(rewards):
        start, end = max(0, i - AROUND), min(len(rewards), i + AROUND + 1)
        others = end - start - 1
        yield float(total[end] - total[start] - reward) / others if others else 0.5


def _with_record(entry: Entry, record: tuple[int, int, float] | None) -> Entry:
    shown, won, expected = record or (0, 0, 0.0)
    values = {name: getattr(entry, name) for name in ("env", "llm", "time", "origin", "source", "step")}
    return Entry(entry.case, **values, shown=shown, won=won, expected=round(expected, 6))


def _time(run: RunFolder) -> str | None:
    starts = run.config.get("starts") or [{}]
    return starts[0].get("time")
