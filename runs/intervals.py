"""Intervals over seeds and over the rows of a stream: of the report, and of what the terminal says of several seeds.

Rewards come as arrays [seeds, steps] of 0 and 1, nan for a step that was skipped, which enters no mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval, which are nan where one cannot be given."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def scaled(self, factor: float) -> Interval:
        return Interval(self.mean * factor, self.low * factor, self.high * factor)


NOTHING = Interval(np.nan, np.nan, np.nan)


def t_interval(values: np.ndarray, level: float = LEVEL) -> Interval:
    """The mean of `values`, one a seed, with Student's t interval. Fewer than two values have no interval.

    nan, of a seed that has none, is left out.
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return NOTHING
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, np.nan, np.nan)
    from scipy import stats

    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


# -- differences -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paired:
    """Reward minus the baseline's reward of the same seed at the same step, and which row both answered there.

    Both arrays are [seeds, steps]; `rows` holds a number for each row, the same in all seeds. Where one of the two
    skipped the step, the difference is nan and no mean has it.
    """

    differences: np.ndarray
    rows: np.ndarray

    @property
    def seeds(self) -> int:
        return len(self.differences)


def paired_bootstrap(pairs: Paired, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0) -> Interval:
    """The mean of paired differences with its percentile interval, resampling the rows of the stream.

    What is done: each resample draws as many rows as the seeds have answered, with replacement; a row brings its
    differences of all seeds, wherever in their streams they answered it. The resample's value is the mean over all
    that was drawn, and the interval's ends are the percentiles of these values, 2.5 and 97.5 for 95 %.

    Rows are drawn, not steps of each seed apart, because the seeds answer the same rows: five seeds are not five times
    as many queries. The seeds are fixed, not resampled: the interval tells how the difference depends on which queries
    came, not on the seed, which the t interval over seeds shows. Rows are drawn one by one, although a learning
    agent's answers depend on those before.
    """
    return macro_bootstrap([pairs], resamples, level, seed)


def macro_bootstrap(tasks: list[Paired], resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0) -> Interval:
    """The mean over tasks of their mean paired differences, every task resampled apart as in `paired_bootstrap`.

    The tasks are fixed, as the seeds are: the interval tells nothing of what other tasks would bring.
    """
    if not tasks or not all(np.isfinite(pairs.differences).any() for pairs in tasks):
        return NOTHING
    generator = np.random.default_rng(seed)
    means = np.mean([_resampled_means(pairs, resamples, generator) for pairs in tasks], axis=0)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean([np.nanmean(pairs.differences) for pairs in tasks])), float(low), float(high))


def _resampled_means(pairs: Paired, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """The mean difference of each resample.

    A row counts only by its sum of differences and how many these are, and few such pairs occur. So how often each
    is drawn is taken from the multinomial distribution, which is drawing the rows one by one, in no time.
    """
    both = np.isfinite(pairs.differences)
    _, row = np.unique(pairs.rows[both], return_inverse=True)
    counts = np.bincount(row)
    sums = np.bincount(row, weights=pairs.differences[both])
    kinds, frequency = np.unique(np.stack([sums, counts], axis=1), axis=0, return_counts=True)
    drawn = generator.multinomial(len(counts), frequency / len(counts), size=resamples)
    total, number = (drawn @ kinds).T
    return total / number
