"""The table at the end of several seeds: means with the report's intervals, each seed's figure, the gain on zero-shot.

The gain is paired: both runs of a seed answered the same row at each step, and its interval resamples these rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .baseline import baseline_of
from .prices import Prices
from .reader import Record, iterate_steps

if TYPE_CHECKING:
    from .folder import RunLog
    from .intervals import Interval, Paired

FIGURES: dict[str, Callable[[float], str]] = {
    "success_rate": "{:.3f}".format,
    "last_quarter_success_rate": "{:.3f}".format,
    "regret": "{:.1f}".format,
    "calls_per_step": "{:.2f}".format,
}
NO_RATE = "no step was scored"
Line = tuple[str, str, list[str]]  # a figure's name, its mean, its value of each seed


def print_seeds(logs: list[RunLog], llm: str, prices: Prices | None = None) -> None:
    """The table of finished runs that differ in the seed alone."""
    lines = [line for name in FIGURES if (line := _line(name, logs)) is not None]
    lines += _gain(logs)
    if prices is not None:
        costs = [prices.cost(_figures(log), llm) for log in logs]
        lines.append(("cost of all", prices.money(sum(costs)), [f"{cost:.4g}" for cost in costs]))
    width = max(len(mean) for _, mean, _ in lines)
    seeds = ", ".join(str(log.identity["seed"]) for log in logs)
    print(f"\n  over {len(logs)} seeds: mean ± half of the 95 % interval, then seeds {seeds}")
    for name, mean, values in lines:
        print(f"  {name:<26} {mean:<{width}}   {' '.join(values)}".rstrip())


def _figures(log: RunLog) -> dict[str, float]:
    assert log.summary is not None
    return log.summary


def _line(name: str, logs: list[RunLog]) -> Line | None:
    """A figure of the summaries; None where not all tell it."""
    import numpy as np

    from .intervals import t_interval

    if not all(name in _figures(log) for log in logs):
        return None
    values = [math.nan if (value := _figures(log)[name]) is None else value for log in logs]
    known, said = [value for value in values if not math.isnan(value)], FIGURES[name]
    if not known:
        return name.replace("_", " "), NO_RATE, []
    interval = t_interval(np.array(known))
    mean = said(interval.mean)
    mean += "" if math.isnan(interval.low) else f" ± {said(interval.half_width)}"
    if len(known) < len(values):
        mean += f"   (of {len(known)} seeds; in the others {NO_RATE})"
    return name.replace("_", " "), mean, ["-" if math.isnan(value) else said(value) for value in values]


def _gain(logs: list[RunLog]) -> list[Line]:
    """The success rate above that of the zero-shot runs beside these, in points; nothing where there can be none."""
    import numpy as np

    from .intervals import Paired, paired_bootstrap

    found = [baseline_of(log.folder, log.identity) for log in logs]
    if None in found:
        return []
    twins = [baseline.folder if baseline else None for baseline in found]
    pairs = [_paired(log, twin) if twin else None for log, twin in zip(logs, twins)]
    both = [pair for pair in pairs if pair is not None]
    if not both or not any(np.isfinite(pair.differences).any() for pair in both):
        command = f"the same command with --env {found[0].env if found[0] else ''} --agent zero-shot"
        return [("against zero-shot", f"not run yet: {command}", [])]
    differences, rows = (np.concatenate([getattr(pair, name) for pair in both]) for name in ("differences", "rows"))
    gain = paired_bootstrap(Paired(differences, rows)).scaled(100)
    missing = f", of the {len(both)} seeds that it has, too" if len(both) < len(pairs) else ""
    each = ["-" if pair is None else f"{100 * float(np.nanmean(pair.differences)):+.1f}" for pair in pairs]
    return [("against zero-shot", f"{_points(gain)} points{missing}", each)]


def _points(gain: Interval) -> str:
    return f"{gain.mean:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}]"


def _paired(log: RunLog, twin: Path) -> Paired | None:
    """A run's rewards minus zero-shot's of the same steps; None where these were not on the same rows."""
    import numpy as np

    from .intervals import Paired

    tasks, ours = _rewards(log.records())
    others, theirs = _rewards(iterate_steps(twin / "steps.jsonl"))
    if tasks != others:
        return None
    rows = np.array([hash(task) for task in tasks])  # the same text is the same row, in this process
    return Paired(np.array([ours], float) - np.array([theirs], float), rows[None])


def _rewards(records: Iterable[Record]) -> tuple[list[str], list[int | None]]:
    steps = [(record["task"], record["reward"]) for record in records]
    return [task for task, _ in steps], [reward for _, reward in steps]
