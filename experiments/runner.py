"""Carry out planned runs on an engine; no failure stops the rest, Ctrl-C stops all so that it can be gone on with."""

from __future__ import annotations

import signal
from collections import deque
from dataclasses import dataclass
from typing import Any

from .board import Board
from .local import Engine, log_path
from .plan import Run
from .state import error_line, finished_summary

FINISHED, ALREADY, FAILED, LEFT = "finished", "already finished", "failed", "left"
INTERRUPTED = 130  # main.py's exit code after Ctrl-C
POLL_SECONDS = 0.5


@dataclass
class Outcome:
    """What became of a run; `summary` where it is finished, `error` where it failed."""

    state: str
    summary: dict[str, Any] | None = None
    error: str = ""


def look_up(runs: list[Run]) -> dict[Run, Outcome]:
    """The state of each run before anything starts: finished, or left."""
    outcomes = {}
    for run in runs:
        summary = None if run.config.overwrite else finished_summary(run)
        outcomes[run] = Outcome(ALREADY, summary) if summary else Outcome(LEFT)
    return outcomes


def carry_out(outcomes: dict[Run, Outcome], engine: Engine, board: Board) -> bool:
    """Run what is left and fill in `outcomes`; False where Ctrl-C or a signal to end came first."""
    queue = deque(run for run, outcome in outcomes.items() if outcome.state == LEFT)
    previous = {number: signal.signal(number, _interrupt) for number in _ending_signals()}
    try:
        while queue or engine.active:
            while queue and len(engine.active) < engine.capacity:
                run = queue.popleft()
                engine.start(run)
                board.started(run)
            for run, exit_code in engine.wait(POLL_SECONDS):
                outcomes[run] = _outcome(run, exit_code)
                board.ended(run, outcomes[run].state, outcomes[run].error)
            board.refresh(len(queue))
        return True
    except KeyboardInterrupt:
        board.say("stopping: the runs under way are interrupted, what they have logged stays")
        return False
    finally:
        for number in previous:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cost the table at the end
        engine.stop()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _outcome(run: Run, exit_code: int) -> Outcome:
    if exit_code == 0:
        return Outcome(FINISHED, finished_summary(run))
    if exit_code == INTERRUPTED:
        return Outcome(LEFT)
    return Outcome(FAILED, error=error_line(log_path(run), exit_code))


def _ending_signals() -> list[int]:
    """SIGINT, also where the shell has it ignored for what runs in its background, SIGTERM, and a lost terminal."""
    hangup = getattr(signal, "SIGHUP", None)
    lost = [hangup] if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *lost]


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
