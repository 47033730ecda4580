"""The plot of gain against cost: what a method adds to zero-shot's success rate, over what it asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from runs.prices import Prices

from .costs import Comparison, compare
from .plots import data_notes, finish, make_figure, styled
from .runs import Setting, Stream
from .style import styles_of
from .tables import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LADDERS = [  # multiples that people say, fine to coarse; each has zero-shot's own
    [*(round(1 + 0.02 * step, 2) for step in range(-10, 11))],
    [*(round(1 + 0.1 * step, 1) for step in range(-5, 11))],
    [round(a * 10.0**b, 4) for b in range(-3, 4) for a in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7)],
    [a * 10.0**b for b in range(-4, 5) for a in (1, 2, 5)],
    [10.0**b for b in range(-4, 5)],
]


@styled
def gain_plot(stream: Stream, llm: str, prices: Prices) -> Figure | None:
    """Each method's difference to zero-shot, with its interval, over its cost as a multiple of zero-shot's.

    The cost is money where the LLM has prices above zero, else input and output tokens together. None without a
    method that has a seed in common with zero-shot.
    """
    found = gains_of(stream, llm, prices)
    if not found:
        return None
    figure, (axes,) = make_figure(1, 1, 10.5, max(4.8, 0.205 * len(found) + 1.9))
    money = draw_gains(axes, found)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9, frameon=False, labelspacing=0.35)
    notes = [*data_notes(stream.is_sample, found), "bars: 95 % interval of a paired bootstrap over the stream"]
    if any(setting.control for setting in found):
        notes.append("hollow: the method's prompt without cases; half filled: cases by chance")
    notes += ["the embedded reader's tokens are words"] if any(s.is_embedded for s in found) and not money else []
    finish(figure, f"Gain against cost: {stream.title}, {llm}", notes)
    return figure


def draw_gains(axes: Axes, found: dict[Setting, Comparison]) -> bool:
    """A point for each setting, all in the axes' legend; returns whether the cost is money."""
    money = all(not math.isnan(comparison.times.money) for comparison in found.values())
    styles = styles_of(found)
    axes.axhline(0, color="#6e6e6e", linewidth=1)
    axes.plot([1], [0], color="#6e6e6e", marker="o", linestyle="none", label="zero-shot")
    for setting, comparison in found.items():
        gain = comparison.gain.interval.scaled(100)
        axes.errorbar(
            [comparison.times.money if money else comparison.tokens],
            [gain.mean],
            [[gain.mean - gain.low], [gain.high - gain.mean]],
            color=styles[setting].light,
            marker=styles[setting].marker,
            fillstyle=styles[setting].filling,
            markersize=7.5,
            elinewidth=0.8,
            capsize=2,
            ecolor=(styles[setting].light, 0.55),
            linestyle="none",
            label=f"{setting.method}  {signed(gain.mean)}",
        )
    scale(axes, [1.0, *(c.times.money if money else c.tokens for c in found.values())])
    axes.set_ylabel("difference to zero-shot, points")
    axes.set_xlabel(f"{'cost' if money else 'input and output tokens'} of a step, × zero-shot's")
    return money


def gains_of(stream: Stream, llm: str, prices: Prices) -> dict[Setting, Comparison]:
    """What the plot shows: the settings of an LLM beside zero-shot, the largest gain first."""
    compared = {s: compare(stream, s, prices) for s in stream.settings if s.llm == llm}
    found = {setting: c for setting, c in compared.items() if c is not None and not math.isnan(c.tokens)}
    return dict(sorted(found.items(), key=lambda item: -item[1].gain.interval.mean))


def scale(axes: Axes, costs: list[float]) -> None:
    """A logarithmic axis around `costs`, with the finest ladder of ticks of which at most eight are in sight."""
    low, high = min(costs), max(costs)
    margin = max(1.03, (high / low) ** 0.06)
    low, high = low / margin, high * margin
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ladders = ([tick for tick in ladder if low <= tick <= high] for ladder in LADDERS)
    shown = next(ticks for ticks in ladders if len(ticks) <= 8 or len(ticks) == len(LADDERS[-1]))
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
