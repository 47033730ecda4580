"""What the run folders say about planned runs: which are finished, how far the others are, why one failed."""

from __future__ import annotations

import functools
import hashlib
import signal
import time
from pathlib import Path
from typing import Any

from errors import UserError
from runs.reader import last_step, read_config, read_run

from .plan import FIELDS, Run

TAIL = 20_000  # bytes at the end of a log in which its error is looked for


def finished_summary(run: Run) -> dict[str, Any] | None:
    """The summary of `run` where it is finished, with the same settings and data; else None, for main.py to judge."""
    recorded = read_run(run.folder)
    if recorded is None or "data" not in recorded:
        return None
    settings = {name: value for name, value in recorded["identity"].items() if name in FIELDS}
    try:
        same = settings == run.played.identity() and _same_data(recorded["data"], run.played.data)
    except OSError:  # main.py says what to do
        return None
    return recorded["summary"] if same else None


def _same_data(data: dict[str, Any], choice: str) -> bool:
    """Whether the file that a run has read is still there as it was, and is still what `--data choice` means."""
    if data.get("path") is None or not Path(data["path"]).is_file():
        return True
    path = Path(data["path"])
    if choice == "auto" and data["origin"] == "sample" and (path.parent.parent / path.name).exists():
        return False
    return _sha256(path) == data["sha256"]


@functools.cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Watch:
    """How far a run is, read from its folder: `step` of `total`, `success_rate`, `seconds_left`; None is unknown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.total: int | None = None
        self.step = 0
        self.success_rate: float | None = None
        self._offset = 0
        self._first: tuple[float, int] | None = None  # when this watch saw the first step, and which

    def read(self) -> None:
        """Look again; only what was added to steps.jsonl is read."""
        if self.total is None:
            self.total = self._rows()
        try:
            last, self._offset = last_step(self.folder / "steps.jsonl", self._offset)
        except UserError:
            return
        if last is not None:
            self.step, self.success_rate = last["step"], last["success_rate"]
            self._first = self._first or (time.monotonic(), self.step)

    def _rows(self) -> int | None:
        try:
            return read_config(self.folder / "config.yaml").get("data", {}).get("rows")
        except (UserError, FileNotFoundError):
            return None

    @property
    def seconds_left(self) -> float | None:
        if self._first is None or self.total is None or self.step == self._first[1]:
            return None
        start, first = self._first
        return (self.total - self.step) * (time.monotonic() - start) / (self.step - first)


def error_line(log: Path, exit_code: int) -> str:
    """Why a run failed: the last error in its log since its last start, else its last line, else the exit code."""
    if exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"exit code {exit_code}, and its log cannot be read ({error.strerror})"
    lines = [line.strip() for line in text.rpartition("$ python main.py")[2].splitlines()[1:] if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"exit code {exit_code}"])[-1]
