"""The report's figures: what settings reached, curves with bands, differences (runs/intervals.py has the intervals).

Rewards come as arrays [seeds, steps] of 0 and 1, nan for a step that was skipped, which enters no mean; the seeds of a
setting play streams of one length. What a run reached is its figure in runs/reader.py, here it is averaged over seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from config import about
from runs.intervals import LEVEL, RESAMPLES, Interval, Paired, paired_bootstrap, t_interval

from .runs import Run, Setting, Stream

# -- what a setting did ------------------------------------------------------------------------------------------------


def rewards(runs: tuple[Run, ...]) -> np.ndarray:
    """The rewards of finished runs, [seeds, steps]."""
    return np.array([run.rewards for run in runs]) if runs else np.empty((0, 0))


def success_rate(setting: Setting) -> Interval:
    """Over the finished seeds."""
    return over_seeds(setting, "success_rate")


def last_quarter(setting: Setting) -> Interval:
    """The success rate over the last quarter of the steps, rounded down (one step at least), over finished seeds."""
    return over_seeds(setting, "last_quarter_success_rate")


def regret(setting: Setting) -> Interval:
    """The number of failures in a run, over the finished seeds."""
    return over_seeds(setting, "regret")


def over_seeds(setting: Setting, figure: str) -> Interval:
    """A figure of the runs, over the finished seeds."""
    return t_interval(np.array([run.figure(figure) for run in setting.finished]))


def running_success_rate(values: np.ndarray) -> np.ndarray:
    """The success rate of steps 1 to t, for every t; nan before the first that was scored; [seeds, steps]."""
    scored = np.cumsum(np.isfinite(values), axis=-1)
    return np.where(scored > 0, np.cumsum(np.nan_to_num(values), axis=-1) / np.maximum(scored, 1), np.nan)


def cumulative_regret(values: np.ndarray) -> np.ndarray:
    """The number of failures in steps 1 to t, for every t; [seeds, steps] as `values`."""
    return np.cumsum(np.nan_to_num(1.0 - values), axis=-1)


def band(curves: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and ends of the t interval over seeds at every step, of curves [seeds, steps]. One seed has no ends: nan."""
    mean, n = curves.mean(axis=0), len(curves)
    if n < 2:
        nothing = np.full_like(mean, np.nan, dtype=float)
        return mean, nothing, nothing
    half = stats.t.ppf((1 + level) / 2, n - 1) * curves.std(axis=0, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def smoothed(curve: np.ndarray, window: int) -> np.ndarray:
    """The mean over the `window` steps up to each step, of those that have a value; nan before the first."""
    known = np.isfinite(curve)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, curve, 0.0), dtype=float)])
    count = np.concatenate([[0], np.cumsum(known)])
    start = np.maximum(np.arange(1, len(curve) + 1) - window, 0)
    n = count[1:] - count[start]
    return np.where(n > 0, (total[1:] - total[start]) / np.maximum(n, 1), np.nan)


# -- differences -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A setting against its baseline: the interval, and over how many seeds both have finished."""

    interval: Interval
    seeds: int


def baseline_of(stream: Stream, setting: Setting) -> Setting | None:
    """The zero-shot setting of the same stream, LLM and sampling, or None."""
    if setting.identity["agent"] == "zero-shot":
        return None
    zero_shot = [other for other in stream.settings if other.identity["agent"] == "zero-shot"]
    twins = [other for other in zero_shot if other.llm == setting.llm]

    def likeness(other: Setting) -> int:
        return sum(other.identity.get(name) == setting.identity.get(name) for name in about("llm"))

    return max(twins, key=likeness, default=None)


def difference(setting: Setting, baseline: Setting | None, resamples: int = RESAMPLES) -> Difference | None:
    """Success rate of `setting` minus that of `baseline` over the seeds that both have finished, or None."""
    pairs = paired(setting, baseline)
    found = paired_bootstrap(pairs, resamples)
    return None if np.isnan(found.mean) else Difference(found, pairs.seeds)


def paired(setting: Setting, baseline: Setting | None) -> Paired:
    """`setting` against `baseline`, over the seeds that both have finished, on the same rows in the same order."""
    others = {run.seed: run.columns for run in baseline.finished} if baseline else {}
    pairs = [(run.columns, others[run.seed]) for run in setting.finished if run.seed in others]
    pairs = [(one, other) for one, other in pairs if np.array_equal(one.rows, other.rows)]
    differences = np.array([one.rewards - other.rewards for one, other in pairs])
    return Paired(differences, np.array([one.rows for one, _ in pairs]))


# -- over tasks --------------------------------------------------------------------------------------------------------


def common_tasks(methods: Iterable[Mapping[str, Setting]]) -> list[str]:
    """The tasks, in the first method's order, that each of the `methods` (task -> setting) has a finished run of."""
    done = [[task for task, setting in settings.items() if setting.finished] for settings in methods]
    return [task for task in done[0] if all(task in tasks for tasks in done)] if done else []


def macro_average(settings: Iterable[Setting]) -> Interval:
    """The mean over tasks of their success rates, with the t interval over seeds where all have the same seeds.

    A seed's value is the mean over the tasks, so the interval tells what other seeds would change on these tasks.
    """
    settings = list(settings)
    seeds = {tuple(run.seed for run in setting.finished) for setting in settings}
    if len(seeds) > 1:
        return Interval(float(np.mean([success_rate(setting).mean for setting in settings])), np.nan, np.nan)
    rates = [[run.figure("success_rate") for run in setting.finished] for setting in settings]
    return t_interval(np.mean(rates, axis=0))
