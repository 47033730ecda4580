"""Ctrl-C, and the SIGTERM that Slurm, Docker and a shutdown send: a run stops where nothing is half learned.

While a step waits for its answer, the signal interrupts at once, by an exception. While something is being learned or
written it is held back to the end of that (`Hold`), which a second signal does not wait for. Before and after the work,
while Python still loads the program or shuts down, the process just ends (`end_at_once`).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WAITING = b"\nstopping once this step is learned; again: at once\n"


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def end_at_once(exit_code: int | None = None) -> None:
    """Let the signals end the process without a word of Python's: with `exit_code`, or 128 and the signal's number."""

    def end(number: int, frame: FrameType | None) -> None:
        os._exit(128 + number if exit_code is None else exit_code)

    for number in _heeded():
        signal.signal(number, end)


class Hold:
    """Whether signals are held back, and the one that came meanwhile. There is one for the process: `HOLD`."""

    def __init__(self) -> None:
        self._held = False
        self._came: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let what is inside be done before a signal is followed. In other threads than the main one none arrives."""
        if threading.current_thread() is not threading.main_thread() or self._held:
            yield
            return
        self._held = True
        try:
            yield
        finally:
            self._held = False
            came, self._came = self._came, None
        if came is not None:
            raise _exception(came)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler."""
        if self._held and self._came is None:
            self._came = number
            os.write(2, WAITING)  # not print: the signal may have come in the middle of one
            return
        raise _exception(number)


HOLD = Hold()


def _heeded() -> list[signal.Signals]:
    """Those of the signals that are not to be ignored, as a shell has its background jobs do."""
    return [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]


def _exception(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGINT is a KeyboardInterrupt in the main thread, SIGTERM a Terminated; afterwards what they were before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.signal(number, HOLD.receive) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
