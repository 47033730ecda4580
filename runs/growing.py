"""The beginning of a run, taken from another that differs in --limit alone.

A stream's order does not depend on how much of it is played, and no step depends on those after it: the first 100
steps of a run with --limit 3000 are those of the run with --limit 100. So a run that has no step yet takes over the
log of such a run, finished or stopped, and goes on behind it as any continued run does: what was learned comes from
that run's checkpoint, where it has one, or from replaying its log. No LLM is asked for a step twice.

Only agents whose steps depend on the stream's length (`AgentRow.plans_ahead`) cannot do so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from errors import UserError

from .checkpoint import Checkpoint, remove
from .journal import JOURNAL
from .reader import read_config, whole_requests, whole_steps

STEPS, REQUESTS, CHECKPOINT = "steps.jsonl", "requests.jsonl", "checkpoint"
CODE = ("task_code", "method_code")


@dataclass(frozen=True)
class Beginning:
    """The first `steps` steps of the run in `folder`, the first `length` bytes of its log; `whole`: all that it has."""

    folder: Path
    config: dict[str, Any]
    steps: int
    length: int
    whole: bool

    @property
    def name(self) -> str:
        """The run's name below --output_dir."""
        return "/".join(self.folder.parts[-4:])

    def record(self) -> dict[str, Any]:
        """What config.yaml says of a run that begins so: who made its first steps, and where they come from."""
        starts = [start for start in self.config.get("starts") or [] if start.get("from_step", 1) <= self.steps]
        return {"starts": starts, "taken_from": {"run": self.name, "steps": self.steps}}

    def copy_to(self, folder: Path) -> None:
        """Put all but the steps into `folder`, and those beside it under another name; see `place_steps`."""
        for name in (CHECKPOINT, JOURNAL, REQUESTS):
            remove(folder / name)
        lock = FileLock(self.folder / ".lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            pass  # it goes on meanwhile, or cannot be locked: its log is enough, for that only grows
        else:
            try:
                self._copy_state(folder)
            finally:
                lock.release()
        self._copy_requests(folder)
        _copy_bytes(self.folder / STEPS, _new_steps(folder), self.length)

    def _copy_state(self, folder: Path) -> None:
        """The checkpoint, if it is of no later step, and the replies that wait for theirs to be over.

        Copied, not linked: what two runs append to a file of both would be torn.
        """
        checkpoint = Checkpoint.open(self.folder / CHECKPOINT)
        if checkpoint is not None and checkpoint.step <= self.steps:
            shutil.copytree(self.folder / CHECKPOINT, folder / CHECKPOINT)
        if self.whole and (self.folder / JOURNAL).exists():
            shutil.copyfile(self.folder / JOURNAL, folder / JOURNAL)

    def _copy_requests(self, folder: Path) -> None:
        length = 0
        for line, end in whole_requests(self.folder / REQUESTS):
            if line["step"] > self.steps:
                break
            length = end
        if length:
            _copy_bytes(self.folder / REQUESTS, folder / REQUESTS, length)


def place_steps(folder: Path) -> None:
    """Let the copied steps be the run's: the last thing to be done, for they make it one."""
    os.replace(_new_steps(folder), folder / STEPS)


def find_beginning(
    folder: Path, identity: dict[str, Any], rows: int, tell: Callable[[str], None] = lambda line: None
) -> Beginning | None:
    """The run below the same --output_dir that has most of the `rows` steps of the one in `folder`, if there is one.

    `tell` takes a line where one would do, had the code of its task or method not changed since.
    """
    found = []
    for other in _siblings(folder):
        try:
            config = read_config(other / "config.yaml")
            then, now = _but_limit(config["identity"]), _but_limit(identity)
            changed = [name for name in CODE if then.pop(name, None) != now.pop(name, None)]
            if then != now or not (other / STEPS).exists():
                continue
            beginning = None if changed else _beginning(other, config, rows)
        except (UserError, OSError):
            continue  # damaged: whoever continues it is told
        if beginning is not None:
            found.append(beginning)
        elif changed:
            tell(f"note: {other} begins as this run does, but its task's or method's code has changed since: not used")
    return max(found, key=lambda one: (one.steps, one.whole), default=None)


def _siblings(folder: Path) -> Iterator[Path]:
    """The folders of runs that may differ in --limit alone, which shows in the first part of a run's name."""
    stream, *others = folder.parts[-4:]
    for place in sorted(folder.parents[3].iterdir()):
        other = place.joinpath(*others)
        if place.name != stream and place.name.split(",")[0] == stream.split(",")[0] and other.is_dir():
            yield other


def _beginning(folder: Path, config: dict[str, Any], rows: int) -> Beginning | None:
    steps = length = 0
    whole = True
    for record, end in whole_steps(folder / STEPS):
        if record["step"] > rows:
            whole = False
            break
        steps, length = record["step"], end
    return Beginning(folder, config, steps, length, whole) if steps else None


def _but_limit(identity: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in identity.items() if name != "limit"}


def _new_steps(folder: Path) -> Path:
    return folder / f".{STEPS}.new"


def _copy_bytes(source: Path, target: Path, length: int) -> None:
    """Make `target` of the first `length` bytes of `source`, on the disk when this returns."""
    target.unlink(missing_ok=True)
    with source.open("rb") as old, target.open("xb") as new:
        while length and (block := old.read(min(length, 2**20))):
            new.write(block)
            length -= len(block)
        new.flush()
        os.fsync(new.fileno())
