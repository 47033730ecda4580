"""Runs as processes of this machine, several at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO, Protocol

from errors import UserError

from .plan import Run

CHILD = Path(__file__).with_name("child.py")
GRACE_SECONDS = 15.0  # for a run to end by itself after Ctrl-C


class Engine(Protocol):
    """What carries runs out; `active` are those that were started and have not ended."""

    capacity: int
    active: list[Run]

    def start(self, run: Run) -> None: ...

    def wait(self, seconds: float) -> list[tuple[Run, int]]:
        """The runs that have ended since the last call, with their exit codes; after `seconds` at the latest."""

    def stop(self) -> None:
        """Interrupt what is active, so that it can be continued, and see it end."""

    def close(self) -> None:
        """Let go of what the engine holds."""


def log_path(run: Run) -> Path:
    """Where a run's console output goes."""
    return Path(run.config.output_dir) / "logs" / f"{run.config.run_name()}.log"


def open_log(path: Path, command: str) -> BinaryIO:
    """A run's log, for appending; a line with the command parts it from what an earlier start wrote."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("ab")
    except OSError as error:
        reason = f"cannot write here ({error.strerror}); --output_dir chooses another place"
        raise UserError(f"{path}: {reason}") from None
    log.write(f"$ {command}\n".encode())
    log.flush()
    return log


def start_child(argv: tuple[str, ...], command: str, log: Path, environment: dict[str, str]) -> subprocess.Popen:
    """main.py in a child process that writes to `log`, hears no Ctrl-C of the terminal and dies with this process."""
    with open_log(log, command) as output:
        return subprocess.Popen(
            [sys.executable, str(CHILD), str(os.getpid()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def interrupt(children: list[subprocess.Popen]) -> None:
    """Ctrl-C for each child; those that do not end in time are killed."""
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


class LocalEngine:
    """`workers` processes at once, which share the cores."""

    def __init__(self, workers: int) -> None:
        self.capacity = workers
        self._children: dict[Run, subprocess.Popen] = {}
        self._environment = {"OMP_NUM_THREADS": str(max(1, cores() // workers))} | os.environ

    @property
    def active(self) -> list[Run]:
        return list(self._children)

    def start(self, run: Run) -> None:
        self._children[run] = start_child(run.argv, run.command, log_path(run), self._environment)

    def wait(self, seconds: float) -> list[tuple[Run, int]]:
        deadline = time.monotonic() + seconds
        while True:
            ended = [(run, child.returncode) for run, child in self._children.items() if child.poll() is not None]
            if ended or time.monotonic() >= deadline:
                break
            time.sleep(0.05)
        for run, _ in ended:
            del self._children[run]
        return ended

    def stop(self) -> None:
        interrupt(list(self._children.values()))
        self._children.clear()

    def close(self) -> None:
        pass


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
