"""What a person sees of many runs: a live view at a terminal, else a line an event; at the end a table."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from errors import printable
from options import flag
from runs.prices import Prices

from .grid import CAVEAT, Contest, Setting
from .local import log_path
from .plan import FIELDS, LeftOut, Run, reasons
from .state import Watch

if TYPE_CHECKING:
    from .runner import Outcome

WIDTH = 140  # of tables where the output is no terminal
NEWS_SECONDS = 60.0  # between two lines on how far the runs are, where there is no live view
STATES = ("finished", "already finished", "failed", "left")


class Board:
    """The progress of a batch, on stderr. A context manager."""

    def __init__(self, total: int, already: int) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._live = (
            Live(console=self._console, auto_refresh=False, transient=True) if self._console.is_terminal else None
        )
        self._watches: dict[Run, Watch] = {}
        self._started: dict[Run, float] = {}
        self._states = Counter({"already finished": already})
        self._total, self._start, self._news = total, time.monotonic(), time.monotonic()

    def __enter__(self) -> Board:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line, which may hold what a server wrote into a run's log."""
        self._console.print(printable(text))

    def started(self, run: Run) -> None:
        self._watches[run], self._started[run] = Watch(run.folder), time.monotonic()
        if not run.config.overwrite:
            self._watches[run].read()
        if not self._live:
            step = self._watches[run].step
            self.say(f"started {run.title}" + (f", continues after step {step}" if step else ""))

    def ended(self, run: Run, state: str, error: str) -> None:
        watch, seconds = self._watches.pop(run), time.monotonic() - self._started.pop(run)
        self._states[state] += 1
        watch.read()
        if state == "failed":
            self.say(f"failed {run.title}: {error} (log: {log_path(run)})")
        elif not self._live:
            self.say(f"{state} {run.title}: success rate {_rate(watch)}, {_time(seconds)} ({self._counts()})")

    def refresh(self, queued: int) -> None:
        """Look at the running runs' folders and show how far they are."""
        for watch in self._watches.values():
            watch.read()
        if self._live:
            self._live.update(self._view(queued), refresh=True)
        elif time.monotonic() - self._news >= NEWS_SECONDS:
            self._news = time.monotonic()
            for run, watch in self._watches.items():
                self.say(f"{run.title}: step {watch.step} of {watch.total or '?'}, success rate {_rate(watch)}")

    def _counts(self) -> str:
        done = sum(self._states.values())
        failed = f", {self._states['failed']} failed" if self._states["failed"] else ""
        return f"{done} of {self._total} done{failed}"

    def _view(self, queued: int) -> Table:
        """The whole batch, and a line a run under way; a low terminal cuts off runs."""
        table = Table.grid(padding=(0, 2))
        done = sum(self._states.values())
        table.add_row(
            Text(f"{self._counts()}, {len(self._watches)} running, {queued} waiting", style="bold"),
            ProgressBar(total=self._total, completed=done, width=20),
            f"{done}/{self._total}",
            "",
            f"{_time(time.monotonic() - self._start)} so far",
        )
        for run, watch in self._watches.items():
            left = watch.seconds_left
            table.add_row(
                Text(printable(run.title), overflow="ellipsis", no_wrap=True),
                ProgressBar(total=watch.total or 1, completed=watch.step, width=20),
                f"{watch.step}/{watch.total or '?'}",
                f"success rate {_rate(watch)}",
                "" if left is None else f"{_time(left)} left",
            )
        return table


def print_outcomes(outcomes: dict[Run, Outcome], left_out: list[LeftOut]) -> None:
    """The table at the end, on stdout: what became of each task, LLM and method; then the failures, and why not all."""
    console = _stdout()
    console.print(_outcome_table(outcomes, left_out))
    counts = Counter(outcome.state for outcome in outcomes.values())
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    console.print(", ".join(parts + ([f"{len(left_out)} left out"] if left_out else [])), soft_wrap=True)
    for run, outcome in outcomes.items():
        if outcome.state == "failed":
            lines = f"failed: {run.title}\n  {outcome.error}\n  log: {log_path(run)}"
            console.print(printable(lines), soft_wrap=True)
    for line in reasons(left_out):
        console.print(printable(line), soft_wrap=True)
    for currency, amounts in _costs(outcomes).items():
        console.print(printable(f"cost: {Prices(currency=currency).money(sum(amounts))}"), soft_wrap=True)


def _costs(outcomes: dict[Run, Outcome]) -> dict[str, list[float]]:
    """What the finished runs say that they have cost, by currency; nothing where none was given prices."""
    costs: dict[str, list[float]] = {}
    for outcome in outcomes.values():
        cost = (outcome.summary or {}).get("cost")
        if isinstance(cost, int | float):
            costs.setdefault(str((outcome.summary or {}).get("currency", "")), []).append(cost)
    return costs


def _outcome_table(outcomes: dict[Run, Outcome], left_out: list[LeftOut]) -> Table:
    rows: dict[tuple[str, ...], tuple[Counter, list[float]]] = {}
    for run, outcome in outcomes.items():
        states, rates = rows.setdefault((run.task, run.config.llm, run.method, run.setting), (Counter(), []))
        states[outcome.state] += 1
        rate = (outcome.summary or {}).get("success_rate")
        if rate is not None:
            rates.append(rate)
    for cell in left_out:
        names = (cell.task, cell.options.get("llm", "-"), cell.method, "")
        rows.setdefault(names, (Counter(), []))[0]["left out"] += 1
    swept = any(setting for *_, setting in rows)
    table = Table(show_edge=False, pad_edge=False)
    for name in ("task", "llm", "method", *(["setting"] if swept else [])):
        table.add_column(name)
    shown = [state for state in (*STATES, "left out") if any(states[state] for states, _ in rows.values())]
    for name in (*shown, "success rate"):
        table.add_column(name, justify="right")
    for (*names, setting), (states, rates) in sorted(rows.items()):
        counts = [str(states[state] or "") for state in shown]
        table.add_row(
            *map(printable, [*names, setting] if swept else names),
            *counts,
            f"{statistics.fmean(rates):.3f}" if rates else "",
        )
    return table


def print_contests(contests: list[Contest]) -> None:
    """Which setting of a grid won, and by how much; with the caveat."""
    table = Table(show_edge=False, pad_edge=False, title="Settings: mean success rate ± standard deviation over seeds")
    for name in ("task", "agent", "llm", "best", "next", "lowest"):
        table.add_column(name)
    for name in ("settings", "incomplete"):
        table.add_column(name, justify="right")
    for contest in sorted(contests, key=lambda contest: (contest.env, contest.agent, contest.llm)):
        best, *others = map(_setting, contest.settings)
        ends = (others[0], others[-1]) if others else ("", "")
        counts = (str(len(contest.settings)), str(len(contest.incomplete) or ""))
        table.add_row(contest.env, contest.agent, printable(contest.llm), best, *ends, *counts)
    console = _stdout()
    console.print()
    if contests:
        console.print(table)
        console.print(CAVEAT, soft_wrap=True)
    else:
        console.print("settings: no two of the same task and method have finished, so there is no winner yet")


def _setting(setting: Setting) -> str:
    values = ", ".join(f"{flag(FIELDS[name])}={value}" for name, value in setting.values)
    spread = "" if setting.deviation is None else f" ± {setting.deviation:.3f}"
    return f"{values}: {setting.mean:.3f}{spread}"


def _stdout() -> Console:
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=WIDTH)


def _rate(watch: Watch) -> str:
    return "-" if watch.success_rate is None else f"{watch.success_rate:.3f}"


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
