"""What is drawn along a stream beside the running rate: the rate over a sliding window, the difference to zero-shot.

Both are of the same window, so a point of one can be compared with the point of the other that stands above the same
step. The page and the plots show what is computed here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from . import statistics
from .runs import Setting, Stream

RESAMPLES = 2_000  # of each window
DIFFERENCES = 40  # windows that are compared along the stream


def window_of(stream: Stream) -> int:
    """A tenth of the stream, so that ten windows stand beside each other; twenty steps at least, where it has them."""
    return min(stream.rows, max(20, stream.rows // 10))


def window_rates(rewards: np.ndarray, window: int) -> np.ndarray:
    """The success rate of the last `window` steps, [seeds, steps] as `rewards`; nan before the first whole window."""
    curves = np.array([statistics.smoothed(line, window) for line in rewards])
    curves[:, : window - 1] = np.nan
    return curves


@dataclass(frozen=True, eq=False)
class Along:
    """Success rate minus zero-shot's over the window that ends at each of the steps `at`, with the ends of its band."""

    at: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@functools.lru_cache(maxsize=1000)
def differences(stream: Stream, setting: Setting) -> Along | None:
    """`setting` against zero-shot, by a paired bootstrap of each window; None where they share no step.

    Each band is of its window alone: it tells what other queries like these would change there.
    """
    pairs = statistics.paired(setting, statistics.baseline_of(stream, setting))
    if not np.isfinite(pairs.differences).any():
        return None
    window = window_of(stream)
    at = np.unique(np.linspace(window, stream.rows, DIFFERENCES).round().astype(int))
    found = [
        statistics.paired_bootstrap(statistics.Paired(pairs.differences[:, a:b], pairs.rows[:, a:b]), RESAMPLES)
        for a, b in zip(at - window, at)
    ]
    return Along(at, *(np.array([getattr(one, end) for one in found]) for end in ("mean", "low", "high")))


def compared(stream: Stream, settings: Iterable[Setting]) -> dict[Setting, Along]:
    """Those of `settings` that can be compared with zero-shot."""
    found = {setting: differences(stream, setting) for setting in settings}
    return {setting: along for setting, along in found.items() if along is not None}
