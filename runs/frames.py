"""Run folders as pandas DataFrames, for notebooks and analyses of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import UserError

from .reader import Record, RunFolder, find_folders, open_folder, summarize

if TYPE_CHECKING:
    from pandas import DataFrame


def load_runs(path: str | Path, tell: Callable[[str], None] = warnings.warn) -> tuple[DataFrame, DataFrame]:
    """The runs in and below `path`, and their steps.

    Of a run: `folder`, its settings under the names of config.yaml's identity, `origin`, `sha256` and `rows` of its
    data, `finished`, and its figures as in summary.json. Of a step: `folder`, then the record, with `usage` and
    `metrics` as columns of their own and `cases` as a list. What a run or step lacks is NaN or None; the reward of a
    step that was skipped is missing.

    A folder that is damaged is left out and told of. Raises UserError where `path` is no folder.
    """
    import pandas as pd

    runs: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    for folder in find_folders(Path(path)):
        try:
            run = open_folder(folder)
            if run is None:
                continue
            records = list(run.records())
            run.check_length(len(records))
        except UserError as error:
            tell(f"left out: {error}")
            continue
        runs.append(_run_row(run, records))
        steps += [_step_row(run, record) for record in records]
    frame = pd.DataFrame(steps)
    if "reward" in frame:
        frame["reward"] = frame["reward"].astype("Int64")  # whole numbers also where some are missing
    return pd.DataFrame(runs), frame


def _run_row(run: RunFolder, records: list[Record]) -> dict[str, Any]:
    data = {key: run.data.get(key) for key in ("origin", "sha256", "rows")}
    where = {"folder": str(run.folder), **run.identity, **data, "finished": run.summary is not None}
    return where | {"bank_size": (run.summary or {}).get("bank_size")} | summarize(records)


def _step_row(run: RunFolder, record: Record) -> dict[str, Any]:
    plain = {key: value for key, value in record.items() if key not in ("usage", "metrics")}
    return {"folder": str(run.folder)} | plain | record["usage"] | record["metrics"]
