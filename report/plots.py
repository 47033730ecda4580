"""The report's plots, as matplotlib figures: curves over the stream, the policy's terms, bars of tasks x methods.

Colours are Okabe and Ito's, which people with any colour vision tell apart, and stay with a method from plot to plot.
What the data and the LLM are is written on the figure itself, so that a copied picture still says it.
"""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import statistics
from .folders import CURVES, setting_key
from .runs import Run, Setting, Stream
from .summaries import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CurveOf = Callable[[np.ndarray], np.ndarray]  # rewards to a curve, both [seeds, steps]

COLOURS = {
    **{"zero-shot": "#6e6e6e", "CASCADE": "#d55e00", "NP-CBR": "#0072b2", "icrl": "#56b4e9", "icrl-plus": "#009e73"},
    **{"REINFORCE+LoRA": "#cc79a7", "Random": "#b59f00", "LinLogUCB": "#332288", "NeuralLinUCB": "#aa4499"},
    **{"NeuralLogUCB": "#e69f00", "few-shot": "#8c510a", "cot": "#bf812d", "self-refine": "#c7a252"},
    **{"grow-prompt": "#35978f", "mem-prompt": "#01665e", "self-stream-icl": "#1f5fd0", "mam-stream-icl": "#762a83"},
    **{"exp-recent": "#e78ac3", "exp-rag": "#c51b7d", "remem": "#8e0152"},
    **{"memento-np": "#66a61e", "memento-q": "#276419"},
    **{"traj-bootstrap": "#fdae61", "traj-bootstrap-utility": "#b35806"},
    **{"reasoning-bank": "#4d4d9f", "reasoning-bank-cases": "#998ec3"},
}
LINES = {"random": "--", "empty": "-."}  # of a method's controls, which have its colour
HATCHES = {"random": "///", "empty": "..."}
SPARE = ("#117733", "#882255", "#44aa99", "#999933", "#88ccee", "#661100")
BAND_SEEDS = 3
MOST_BANDS = 12  # of more lines the bands hide each other
BAND_NOTE = "band: 95 % t interval, from three seeds on"
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
    settings = [setting for setting in stream.settings if setting.llm == llm and _with_curve(setting.runs)]
    if not settings:
        return None
    figure, (left, right) = make_figure(1, 2, 11.5, max(4.6, NAME_HEIGHT * len(settings) + 1.8))
    colours = colours_of(settings)
    banded = len(settings) <= MOST_BANDS
    for axes, curve_of, scale in (
        (left, statistics.running_success_rate, 100),
        (right, statistics.cumulative_regret, 1),
    ):
        ends = [_draw(axes, setting, colours[setting], curve_of, scale, banded) for setting in settings]
        axes.set_xlabel("step")
        axes.set_xlim(0, stream.rows)
        if axes is left:
            _fit_to_late(axes, stream.rows, margin=2.0)
        _label_ends(axes, [end for end in ends if end is not None])  # of settings with steps, so there are some
    left.set_title("running success rate, %", loc="left")
    right.set_title("cumulative regret", loc="left")
    notes = ["line: mean over seeds"] if any(len(setting.finished) > 1 for setting in settings) else []
    notes += [BAND_NOTE] if banded and any(len(setting.finished) >= BAND_SEEDS for setting in settings) else []
    notes += ["dashed: cases by chance; dots and dashes: the prompt alone"] if any(s.control for s in settings) else []
    notes += ["dotted: unfinished runs, in no mean"] if any(setting.unfinished for setting in settings) else []
    finish(figure, f"{stream.title}, {llm}", [*data_notes(stream.is_sample, settings), *notes])
    return figure


def _with_curve(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Those of `runs` of which a step was scored."""
    return tuple(run for run in runs if np.isfinite(run.rewards).any())


def _draw(
    axes: Axes, setting: Setting, colour: str, curve_of: CurveOf, scale: float, banded: bool
) -> tuple[float, str, str] | None:
    """Draw a setting; returns where its line ends, for its label."""
    end = None
    for run in _with_curve(setting.unfinished):
        curve = scale * curve_of(run.rewards[None])[0]
        at = _places(run.steps)
        axes.plot(at + 1, curve[at], color=colour, linewidth=1, linestyle=":")
        end = (curve[-1], f"{setting.method} (unfinished)", colour)
    finished = _with_curve(setting.finished)
    if finished:
        line = {"linestyle": LINES.get(setting.control or "", "-")}
        mean = _draw_mean(axes, scale * curve_of(statistics.rewards(finished)), colour, banded, **line)
        end = (mean[-1], setting.method, colour)
    return end


def _draw_mean(axes: Axes, curves: np.ndarray, colour: str, banded: bool = True, **line: Any) -> np.ndarray:
    """The mean of curves [seeds, steps], with the t interval where there are seeds and steps enough to mean something.

    Two seeds' interval is thirteen times their standard error, and the first rates of a stream are of a few steps.
    """
    mean, low, high = statistics.band(curves)
    at = _places(len(mean))
    axes.plot(at + 1, mean[at], color=colour, linewidth=1.9, **line)
    if banded and len(curves) >= BAND_SEEDS:
        late = at[at >= len(mean) // 20]
        axes.fill_between(late + 1, low[late], high[late], color=colour, alpha=0.13, linewidth=0)
    return mean


def _places(steps: int) -> np.ndarray:
    """The steps to draw, from 0: at most POINTS of them, the last among them."""
    return np.unique(np.linspace(0, steps - 1, POINTS).round().astype(int))


def _fit_to_late(axes: Axes, steps: int, margin: float) -> None:
    """Scale to what the lines do after the first twentieth of the stream: before, means of few steps jump about."""
    lines = [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata(), float)) for line in axes.get_lines()]
    late = np.concatenate([y[x > steps / 20] for x, y in lines])
    late = late[np.isfinite(late)]
    if len(late):
        margin = max(margin, 0.12 * float(late.max() - late.min()))
        axes.set_ylim(late.min() - margin, late.max() + margin)


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Name each line at its right end; names that would overlap are moved apart as little as can be."""
    from scipy.optimize import isotonic_regression

    low, high = axes.get_ylim()
    ordered = sorted(ends)
    room = axes.get_figure().get_figheight() - 1.2  # title, axis and notes take the rest
    gaps = NAME_HEIGHT / room * (high - low) * np.arange(len(ordered))
    values = np.array([end[0] for end in ordered])
    highest = max(low, high - gaps[-1])  # of the lowest name, so that the others still fit below the top
    places = np.clip(isotonic_regression(values - gaps).x, low, highest) + gaps
    across = axes.get_yaxis_transform()
    for place, (value, name, colour) in zip(places, ordered):
        axes.plot([1.005, 1.03], [value, place], color=colour, linewidth=0.7, transform=across, clip_on=False)
        axes.text(1.04, place, name, color=colour, fontsize=10, va="center", transform=across)
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
    shown = {method: next(iter(summary.found[method].values())) for method in methods}
    colours = colours_of(shown.values())
    share = 0.84 / len(methods)
    for i, method in enumerate(methods):
        found = [summary.rates[method].get(task, statistics.NOTHING) for task in tasks]
        at = np.arange(len(tasks)) + (i - (len(methods) - 1) / 2) * share
        mean = np.array([100 * value.mean for value in found])
        half = np.nan_to_num([100 * value.half_width for value in found])
        style = {"hatch": HATCHES.get(shown[method].control or ""), "edgecolor": "white", "linewidth": 0}
        axes.bar(at, mean, 0.92 * share, color=colours[shown[method]], label=method, **style)
        seen = half > 0
        axes.errorbar(at[seen], mean[seen], half[seen], fmt="none", ecolor="#222222", elinewidth=0.9, capsize=1.5)
    slanted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if len(tasks) > 3 else {}
    axes.set_xticks(range(len(tasks)), tasks, **slanted)
    axes.set_xlim(-0.6, len(tasks) - 0.4)
    axes.set_ylim(0, 100)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=beside, fontsize=10, frameon=False)
    axes.set_ylabel("success rate, %")
    axes.grid(axis="x", visible=False)
    settings = [setting for _, setting in summary.settings]
    several = any(len(setting.finished) > 1 for setting in settings)
    notes = data_notes(summary.is_sample, settings) + (["whiskers: 95 % t interval over seeds"] if several else [])
    notes += ["unfinished runs are left out"] if any(setting.unfinished for setting in settings) else []
    finish(figure, summary.title, notes)
    return figure


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


def colours_of(settings: Iterable[Setting]) -> dict[Setting, str]:
    """The colour of each setting; a control has that of its method, and is told from it by line, hatch or filling."""
    settings = list(settings)
    plain = {_without_control(setting): setting.method for setting in settings if setting.control is None}
    names = [plain.get(_without_control(setting), setting.plain_method) for setting in settings]
    spare = iter([*SPARE, *COLOURS.values()] * (len(settings) + 1))
    chosen = {name: COLOURS.get(name) or next(spare) for name in dict.fromkeys(names)}
    return {setting: chosen[name] for setting, name in zip(settings, names)}


def _without_control(setting: Setting) -> str:
    return setting_key({name: value for name, value in setting.identity.items() if name != "control"})


def picture(figure: Figure, kind: str) -> bytes:
    """`figure` as the bytes of a `png` or `svg` file, the same for the same figure."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else None)
    return stream.getvalue()
