"""The report's plots, as matplotlib figures: curves over the stream, the policy's terms, bars of tasks x methods.

How a method is drawn is the table's in style.py, the same from plot to plot and on the page.
What the data and the LLM are is written on the figure itself, so that a copied picture still says it.
"""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from runs import intervals

from . import statistics
from .curves import compared, window_of, window_rates
from .folders import CURVES
from .runs import Run, Setting, Stream
from .style import METHODS, UNFINISHED, Style, styles_of
from .summaries import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CurveOf = Callable[[np.ndarray], np.ndarray]  # rewards to a curve, both [seeds, steps]

BAND_SEEDS = 3
MOST_BANDS = 12  # of more lines the bands hide each other
BAND_NOTE = "band: 95 % t interval, from three seeds on"
WIDER = 2.6  # points, of a line that others lie on
POINTS = 250  # of a curve, enough for its width on a page
NAME_HEIGHT = 0.22  # inches of a curve's name
STYLE = {
    **{"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True},
    **{"grid.color": "#e6e6e6", "axes.axisbelow": True, "axes.titlesize": 12},
    **{"svg.fonttype": "none", "svg.hashsalt": "report"},
    "text.parse_math": False,  # a name may have a dollar sign
}
SAMPLE_NOTE = "SAMPLE data: invented rows, not the benchmark"
READER_NOTE = "answered by the embedded reader, not a language model"


def styled(draw: Callable[..., Figure | None]) -> Callable[..., Figure | None]:
    """Draw in our style: matplotlib takes it when a text or a line is made."""

    @functools.wraps(draw)
    def drawn(*arguments: Any) -> Figure | None:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*arguments)

    return drawn


@styled
def stream_curves(stream: Stream, llm: str) -> Figure | None:
    """Running success rate and cumulative regret of an LLM's settings, with the t interval over seeds as a band."""
    settings = drawn_settings(stream, llm)
    if not settings:
        return None
    figure, (left, right) = make_figure(1, 2, 11.5, max(4.6, NAME_HEIGHT * len(settings) + 1.8))
    draw_rates(left, stream, settings)
    draw_regrets(right, stream, settings)
    finish(figure, f"{stream.title}, {llm}", [*data_notes(stream.is_sample, settings), *_line_notes(settings)])
    return figure


@styled
def stream_windows(stream: Stream, llm: str) -> Figure | None:
    """What is learned, as it is learned: the success rate over a sliding window, and the difference to zero-shot."""
    settings = drawn_settings(stream, llm)
    if not settings:
        return None
    paired = bool(compared(stream, settings))
    figure, panels = make_figure(1, 1 + paired, 11.5, max(4.6, NAME_HEIGHT * len(settings) + 1.8))
    draw_windows(panels[0], stream, settings)
    notes = _line_notes(settings)
    if paired:
        draw_differences(panels[1], stream, settings)
        notes.append("right: band of a paired bootstrap, 95 % of other queries like those of the window")
    finish(figure, f"Along the stream: {stream.title}, {llm}", [*data_notes(stream.is_sample, settings), *notes])
    return figure


def drawn_settings(stream: Stream, llm: str) -> list[Setting]:
    """The settings of an LLM of which a step was scored."""
    return [setting for setting in stream.settings if setting.llm == llm and _with_curve(setting.runs)]


def _line_notes(settings: list[Setting]) -> list[str]:
    notes = ["line: mean over seeds"] if any(len(setting.finished) > 1 for setting in settings) else []
    banded = len(settings) <= MOST_BANDS and any(len(setting.finished) >= BAND_SEEDS for setting in settings)
    notes += [BAND_NOTE] if banded else []
    if any(setting.control for setting in settings):
        notes.append("short dashes: cases by chance; a dash and two dots: the prompt alone")
    return notes + (["dotted: unfinished runs, in no mean"] if any(s.unfinished for s in settings) else [])


# -- panels: each fills one pair of axes, in a figure of several or alone ----------------------------------------------


def draw_rates(axes: Axes, stream: Stream, settings: list[Setting]) -> None:
    """The success rate of steps 1 to t."""
    _draw_all(axes, stream, settings, statistics.running_success_rate, 100, "running success rate, %")


def draw_windows(axes: Axes, stream: Stream, settings: list[Setting]) -> None:
    """The success rate of the last steps, from the first whole window on."""
    window = window_of(stream)
    name = f"success rate of the last {window} steps, %"
    _draw_all(axes, stream, settings, lambda rewards: window_rates(rewards, window), 100, name)


def draw_regrets(axes: Axes, stream: Stream, settings: list[Setting]) -> None:
    """The number of failures up to each step."""
    _draw_all(axes, stream, settings, statistics.cumulative_regret, 1, "cumulative regret")


def draw_differences(axes: Axes, stream: Stream, settings: list[Setting]) -> None:
    """Success rate minus zero-shot's over the same window, with the paired bootstrap's interval."""
    styles, found, ends = styles_of(settings), compared(stream, settings), []
    for setting, along in found.items():
        style = styles[setting]
        axes.plot(along.at, 100 * along.mean, color=style.light, linewidth=1.9, linestyle=style.line)
        if len(found) <= MOST_BANDS:
            axes.fill_between(along.at, 100 * along.low, 100 * along.high, color=style.light, alpha=0.13, linewidth=0)
        ends.append((100 * along.mean[-1], setting.method, style.light))
    axes.axhline(0, color=METHODS["zero-shot"].light, linewidth=1)
    _finish_panel(axes, stream, ends, f"difference to zero-shot, last {window_of(stream)} steps, points")


def _draw_all(axes: Axes, stream: Stream, settings: list[Setting], curve_of: CurveOf, scale: float, name: str) -> None:
    styles, banded = styles_of(settings), len(settings) <= MOST_BANDS
    ends = [_draw(axes, setting, styles[setting], curve_of, scale, banded) for setting in settings]
    if scale == 100:
        _fit_to_late(axes, stream.rows, margin=2.0, bounds=(0, 100))
    _finish_panel(axes, stream, [end for end in ends if end is not None], name)


def _finish_panel(axes: Axes, stream: Stream, ends: list[tuple[float, str, str]], name: str) -> None:
    axes.set_xlabel("step")
    axes.set_ylabel(name)
    axes.set_xlim(0, stream.rows)
    _part_equal_lines(axes)
    _label_ends(axes, [end for end in ends if np.isfinite(end[0])])


def _part_equal_lines(axes: Axes) -> None:
    """Widen a line below others that lie on it, so that each can be seen."""
    lines = axes.get_lines()
    for i, line in enumerate(lines):
        y = np.asarray(line.get_ydata(), float)
        above = sum(
            len(other.get_ydata()) == len(y) and np.allclose(np.asarray(other.get_ydata(), float), y, equal_nan=True)
            for other in lines[i + 1 :]
        )
        line.set_linewidth(line.get_linewidth() + WIDER * above)


def _with_curve(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Those of `runs` of which a step was scored."""
    return tuple(run for run in runs if np.isfinite(run.rewards).any())


def _draw(
    axes: Axes, setting: Setting, style: Style, curve_of: CurveOf, scale: float, banded: bool
) -> tuple[float, str, str] | None:
    """Draw a setting; returns where its line ends, for its label."""
    end, colour = None, style.light
    for run in _with_curve(setting.unfinished):
        curve = scale * curve_of(run.rewards[None])[0]
        at = _places(run.steps)
        axes.plot(at + 1, curve[at], color=colour, linewidth=1, linestyle=(0, UNFINISHED))
        end = (curve[-1], f"{setting.method} (unfinished)", colour)
    finished = _with_curve(setting.finished)
    if finished:
        mean = _draw_mean(
            axes,
            scale * curve_of(statistics.rewards(finished)),
            colour,
            banded,
            (0, scale if scale == 100 else np.inf),
            linestyle=style.line,
        )
        end = (mean[-1], setting.method, colour)
    return end


def _draw_mean(
    axes: Axes,
    curves: np.ndarray,
    colour: str,
    banded: bool = True,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    **line: Any,
) -> np.ndarray:
    """The mean of curves [seeds, steps], with the t interval where there are seeds and steps enough to mean something.

    Two seeds' interval is thirteen times their standard error, and the first rates of a stream are of a few steps.
    """
    mean, low, high = statistics.band(curves)
    low, high = np.maximum(low, bounds[0]), np.minimum(high, bounds[1])
    at = _places(len(mean))
    axes.plot(at + 1, mean[at], color=colour, linewidth=1.9, **line)
    if banded and len(curves) >= BAND_SEEDS:
        late = at[at >= len(mean) // 20]
        axes.fill_between(late + 1, low[late], high[late], color=colour, alpha=0.13, linewidth=0)
    return mean


def _places(steps: int) -> np.ndarray:
    """The steps to draw, from 0: at most POINTS of them, the last among them."""
    return np.unique(np.linspace(0, steps - 1, POINTS).round().astype(int))


def _fit_to_late(axes: Axes, steps: int, margin: float, bounds: tuple[float, float] = (-np.inf, np.inf)) -> None:
    """Scale to what the lines do after the first twentieth of the stream: before, means of few steps jump about."""
    lines = [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata(), float)) for line in axes.get_lines()]
    late = np.concatenate([y[x > steps / 20] for x, y in lines])
    late = late[np.isfinite(late)]
    if len(late):
        margin = max(margin, 0.12 * float(late.max() - late.min()))
        axes.set_ylim(max(bounds[0], late.min() - margin), min(bounds[1], late.max() + margin))


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Name each line at its right end; names that would overlap are moved apart as little as can be."""
    import matplotlib
    from scipy.optimize import isotonic_regression

    if not ends:
        return
    low, high = axes.get_ylim()
    ordered = sorted(ends)
    size = matplotlib.rcParams["font.size"] / STYLE["font.size"]
    room = axes.get_figure().get_figheight() - 1.2 * size  # title, axis and notes take the rest
    gaps = size * NAME_HEIGHT / room * (high - low) * np.arange(len(ordered))
    values = np.array([end[0] for end in ordered])
    highest = max(low, high - gaps[-1])  # of the lowest name, so that the others still fit below the top
    places = np.clip(isotonic_regression(values - gaps).x, low, highest) + gaps
    across = axes.get_yaxis_transform()
    for place, (value, name, colour) in zip(places, ordered):
        axes.plot([1.005, 1.03], [value, place], color=colour, linewidth=0.7, transform=across, clip_on=False)
        axes.text(1.04, place, name, color=colour, fontsize=10 * size, va="center", transform=across)
    axes.set_ylim(low, high)


@styled
def stream_terms(stream: Stream, llm: str) -> Figure | None:
    """The chosen cases' exploit and explore terms over the stream, a panel for each policy that has both."""
    settings = [
        setting
        for setting in stream.settings
        if setting.llm == llm and setting.finished and all(_explores(run.columns.metrics) for run in setting.finished)
    ]
    if not settings:
        return None
    columns = min(3, len(settings))
    lines = -(-len(settings) // columns)
    figure, grid = make_figure(lines, columns, 1.5 + 3.6 * columns, 0.8 + 3.0 * lines)
    window = max(1, stream.rows // 30)
    for axes, setting in zip(grid, settings):
        for name, word, colour in zip(CURVES, ("exploit", "explore"), ("#0072b2", "#d55e00")):
            curves = [statistics.smoothed(run.columns.metrics[name], window) for run in setting.finished]
            _draw_mean(axes, np.array(curves), colour, label=word)
        _fit_to_late(axes, stream.rows, margin=0.02)
        axes.set_title(setting.method, loc="left")
        axes.set_xlabel("step")
        axes.set_xlim(0, stream.rows)
    for axes in grid[len(settings) :]:
        axes.remove()
    grid[0].legend(frameon=False)
    note = f"terms of the chosen case's score, mean of the last {window} step{'s' if window > 1 else ''}"
    notes = [*data_notes(stream.is_sample, settings), note]
    notes += [BAND_NOTE] if any(len(setting.finished) >= BAND_SEEDS for setting in settings) else []
    finish(figure, f"Exploit and explore: {stream.title}, {llm}", notes)
    return figure


def _explores(metrics: dict[str, np.ndarray]) -> bool:
    return all(name in metrics for name in CURVES) and bool(np.nanmax(np.abs(metrics[CURVES[1]])) > 0)


@styled
def bars(summary: Summary) -> Figure | None:
    """Success rate of every task and method of a summary, with the t interval over seeds."""
    tasks, methods = list(summary.tasks.values()), list(summary.rates)
    if not any(np.isfinite(v.mean) for found in summary.rates.values() for v in found.values()):
        return None
    width = float(np.clip(1.6 + 0.2 * len(tasks) * (len(methods) + 2), 8.0, 12.5))
    beside = max(1, min(int(width / 1.9), int(width / (0.6 + 0.085 * max(map(len, methods))))))  # names in a line
    figure, (axes,) = make_figure(1, 1, width, 4.4 + 0.22 * max(0, -(-len(methods) // beside) - 3))
    draw_bars(axes, summary, slanted=len(tasks) > 3)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=beside, fontsize=10, frameon=False)
    settings = [setting for _, setting in summary.settings]
    several = any(len(setting.finished) > 1 for setting in settings)
    notes = data_notes(summary.is_sample, settings) + (["whiskers: 95 % t interval over seeds"] if several else [])
    notes += ["unfinished runs are left out"] if any(setting.unfinished for setting in settings) else []
    finish(figure, summary.title, notes)
    return figure


def draw_bars(axes: Axes, summary: Summary, slanted: bool) -> None:
    """The bars with their whiskers; the tasks' names may be slanted."""
    tasks, methods = list(summary.tasks.values()), list(summary.rates)
    shown = {method: next(iter(summary.found[method].values())) for method in methods}
    styles = styles_of(shown.values())
    share = 0.84 / len(methods)
    for i, method in enumerate(methods):
        found = [summary.rates[method].get(task, intervals.NOTHING) for task in tasks]
        at = np.arange(len(tasks)) + (i - (len(methods) - 1) / 2) * share
        mean = np.array([100 * value.mean for value in found])
        half = np.nan_to_num([100 * value.half_width for value in found])
        style = styles[shown[method]]
        look = {"hatch": style.hatch, "edgecolor": "white", "linewidth": 0}
        axes.bar(at, mean, 0.92 * share, color=style.light, label=method, **look)
        seen = half > 0
        axes.errorbar(at[seen], mean[seen], half[seen], fmt="none", ecolor="#222222", elinewidth=0.9, capsize=1.5)
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(range(len(tasks)), tasks, **turned)
    axes.set_xlim(-0.6, len(tasks) - 0.4)
    axes.set_ylim(0, 100)
    axes.set_ylabel("success rate, %")
    axes.grid(axis="x", visible=False)


# -- what the plots share ----------------------------------------------------------------------------------------------


def make_figure(lines: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    return figure, list(axes.flat)


def finish(figure: Figure, title: str, notes: Iterable[str]) -> None:
    width = figure.get_figwidth()
    title = textwrap.fill(title, int(9.2 * width))
    note = textwrap.fill(" · ".join(notes), int(14 * width))
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.supxlabel(note, x=0.01, ha="left", fontsize=9, color="#555555")


def data_notes(sample: bool, settings: Iterable[Setting]) -> list[str]:
    reader = any(setting.is_embedded for setting in settings)
    return ([SAMPLE_NOTE] if sample else []) + ([READER_NOTE] if reader else [])


def picture(figure: Figure, kind: str) -> bytes:
    """`figure` as the bytes of a `png` or `svg` file, the same for the same figure."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else None)
    return stream.getvalue()
