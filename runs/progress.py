"""How far runs are, while they are played: a bar in a terminal, else a line a minute, which a log file can hold."""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

LINE_SECONDS = 60.0  # between two lines where there is no terminal
BAR_SECONDS = 0.2


def clock() -> float:
    """Seconds, for what is said every so often."""
    return time.monotonic()


class Progress:
    """Steps done and the running success rate, of one run or of several that are played beside each other."""

    def __init__(self) -> None:
        self._shown: _Bar | _Lines | None = None
        self._rates: dict[int, float] = {}  # by seed
        self._costs: dict[int, str] = {}
        self._replayed = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._shown is not None:
            self._shown.close()

    def expect(self, steps: int, done: int) -> None:
        """A run of so many steps begins, some of which were done before."""
        if self._shown is None:
            self._shown = _Bar() if sys.stderr.isatty() else _Lines()
        self._shown.expect(steps, done)

    def advance(self, seed: int, success_rate: float | None, cost: str = "", replayed: bool = False) -> None:
        """One more step of the run of `seed` is done, which has cost so much; one that is `replayed` counted before."""
        assert self._shown is not None
        if success_rate is not None:
            self._rates[seed] = success_rate
        self._costs[seed] = cost
        self._replayed += replayed
        more = [" + ".join(filter(None, self._costs.values()))]
        more += [f"learning from logged step {self._replayed:,}"] if replayed else []
        self._shown.advance(0 if replayed else 1, self._rate(), ", ".join(filter(None, more)))

    def _rate(self) -> str:
        if not self._rates:
            return ""
        over = f" over {len(self._rates)} seeds" if len(self._rates) > 1 else ""
        return f"success rate {statistics.fmean(self._rates.values()):.3f}{over}"


class _Bar:
    """tqdm's, with the success rate in front, where a narrow terminal does not cut it off."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._said = clock()

    def expect(self, steps: int, done: int) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=steps, initial=done, unit="step", mininterval=BAR_SECONDS, dynamic_ncols=True)
            return
        self._bar.total += steps
        self._bar.n += done
        self._bar.initial += done

    def advance(self, steps: int, rate: str, more: str) -> None:
        self._bar.set_description_str(rate, refresh=False)
        self._bar.set_postfix_str(more, refresh=False)
        if steps:
            self._bar.update(steps)
        elif clock() - self._said >= BAR_SECONDS:  # tqdm shows nothing before something has advanced
            self._said = clock()
            self._bar.refresh()

    def close(self) -> None:
        self._bar.close()


class _Lines:
    """`22:14:05  120 of 3,080 steps, 1.9 a second, success rate 0.612, 26 min to go`."""

    def __init__(self) -> None:
        self._total = self._done = self._new = 0
        self._began = self._said = clock()
        self._tail, self._open = "", False

    def expect(self, steps: int, done: int) -> None:
        self._total += steps
        self._done += done

    def advance(self, steps: int, rate: str, more: str) -> None:
        self._done += steps
        self._new += steps
        self._tail, self._open = ", ".join(filter(None, (rate, more))), True
        if clock() - self._said >= LINE_SECONDS:
            self._say()

    def close(self) -> None:
        """Say where it ended."""
        if self._open:
            self._say()

    def _say(self) -> None:
        self._said, self._open = clock(), False
        speed = self._new / max(1e-9, self._said - self._began)
        parts = [f"{self._done:,} of {self._total:,} steps", f"{speed:.1f} a second" if self._new else "", self._tail]
        left = self._total - self._done
        parts += [f"{_duration(left / speed)} to go"] if left and speed else []
        print(f"{time.strftime('%H:%M:%S')}  {', '.join(filter(None, parts))}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
