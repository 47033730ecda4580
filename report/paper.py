"""Figures and tables that go into a paper as they are: PDF of a column's and of a page's width, LaTeX that fits.

A figure has one panel and no title, for the caption says what it is; its text is 8 pt and its fonts are embedded as
TrueType, which publishers ask for. What the rows are, and that no language model answered, stays on it.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from runs import intervals
from runs.prices import Prices

from . import plots, statistics
from .curves import compared
from .gains import draw_gains, gains_of
from .runs import Setting, Stream
from .summaries import Summary
from .tables import NOT_A_MODEL, NOTHING, SAMPLE, escape_latex, points, slug, with_half_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTHS = (3.3, 6.8)  # inches: a column, a page
HEIGHT = 2.3
POINTS = 8
NAME_HEIGHT = POINTS / 72 * 1.5  # inches of a curve's name
SEPARATION = 12 / 72.27  # inches between two columns of a LaTeX table
CHARACTER = 0.5 * POINTS / 72.27  # inches, of a digit at 8 pt
STYLE: Any = {
    **plots.STYLE,
    **{"font.size": POINTS, "axes.titlesize": POINTS, "axes.labelsize": POINTS, "legend.fontsize": POINTS},
    **{"xtick.labelsize": POINTS, "ytick.labelsize": POINTS, "figure.labelsize": POINTS},
    **{"pdf.fonttype": 42, "axes.linewidth": 0.6, "grid.linewidth": 0.5, "hatch.linewidth": 0.5},
}
THINNER = 0.6  # of the lines, beside the report's
Draw = Callable[["Axes", float], None]  # fills the axes of a figure of this width

# -- figures -----------------------------------------------------------------------------------------------------------


def figures(streams: list[Stream], summaries: list[Summary], prices: Prices) -> Iterator[tuple[str, bytes]]:
    """(name, PDF) of every panel at every width."""
    for summary in summaries:
        if any(math.isfinite(v.mean) for found in summary.rates.values() for v in found.values()):
            settings = [setting for _, setting in summary.settings]
            yield from _at_widths(f"{slug(summary.title)}-bars", _bars(summary), summary.is_sample, settings, 0)
    for stream in streams:
        for llm in dict.fromkeys(setting.llm for setting in stream.settings):
            what, settings = slug(f"{stream.title}, {llm}"), plots.drawn_settings(stream, llm)
            for name, draw in _panels(stream, llm, settings, prices):
                yield from _at_widths(f"{what}-{name}", draw, stream.is_sample, settings, len(settings))


def _panels(stream: Stream, llm: str, settings: list[Setting], prices: Prices) -> Iterator[tuple[str, Draw]]:
    if settings:
        yield "rate", lambda axes, _: plots.draw_rates(axes, stream, settings)
        yield "window", lambda axes, _: plots.draw_windows(axes, stream, settings)
        yield "regret", lambda axes, _: plots.draw_regrets(axes, stream, settings)
    if compared(stream, settings):
        yield "difference", lambda axes, _: plots.draw_differences(axes, stream, settings)
    found = gains_of(stream, llm, prices)
    if found:

        def draw(axes: Axes, width: float) -> None:
            draw_gains(axes, found)
            _legend_above(axes, width)

        yield "gains", draw


def _bars(summary: Summary) -> Draw:
    def draw(axes: Axes, width: float) -> None:
        plots.draw_bars(axes, summary, slanted=width < WIDTHS[-1] or len(summary.tasks) > 3)
        _legend_above(axes, width)

    return draw


def _legend_above(axes: Axes, width: float) -> None:
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels)) * CHARACTER * 1.15 + 0.4
    columns = max(1, int((width - 0.3) / longest))
    axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False,
                handlelength=1.2, columnspacing=0.8, labelspacing=0.3)  # fmt: skip
    lines = -(-len(labels) // columns)
    axes.get_figure(root=True).set_figheight(HEIGHT + lines * NAME_HEIGHT)


def _at_widths(
    name: str, draw: Draw, is_sample: bool, settings: list[Setting], names: int
) -> Iterator[tuple[str, bytes]]:
    import matplotlib

    for width in WIDTHS:
        with matplotlib.rc_context(STYLE):
            figure, (axes,) = plots.make_figure(1, 1, width, max(HEIGHT, names * NAME_HEIGHT + 0.9))
            draw(axes, width)
            for line in axes.get_lines():
                line.set_linewidth(THINNER * line.get_linewidth())
                line.set_markersize(THINNER * line.get_markersize())
            axes.set_ylabel(textwrap.fill(axes.get_ylabel(), 30))
            notes = plots.data_notes(is_sample, settings)
            if notes:
                axes.set_xlabel("\n".join(filter(None, [axes.get_xlabel(), *notes])))
            stream = io.BytesIO()
            figure.savefig(stream, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        yield f"{name}-{width:g}in", stream.getvalue()


# -- tables ------------------------------------------------------------------------------------------------------------


def tables(streams: list[Stream], summaries: list[Summary]) -> Iterator[tuple[str, str]]:
    """(name, LaTeX) of every table; each is at most a page wide."""
    for summary in summaries:
        yield from _summary_tables(summary)
    for stream in streams:
        for llm in dict.fromkeys(setting.llm for setting in stream.settings):
            settings = [s for s in stream.settings if s.llm == llm and s.finished]
            if settings:
                name = slug(f"{stream.title}, {llm}")
                yield name, _stream_table(name, stream, llm, settings)


def _stream_table(name: str, stream: Stream, llm: str, settings: list[Setting]) -> str:
    measures = statistics.success_rate, statistics.last_quarter, statistics.regret
    rates, last, regrets = ([measure(setting) for setting in settings] for measure in measures)
    against = [statistics.difference(s, statistics.baseline_of(stream, s)) for s in settings]
    gains = [v.interval.mean if v else math.nan for v in against]
    columns = {
        "method": [escape_latex(setting.method) for setting in settings],
        "success, %": _bold_best([with_half_width(v) for v in rates], [v.mean for v in rates]),
        "to zero-shot, points": _bold_best([points(v) for v in against], gains),
        "last quarter, %": _bold_best([with_half_width(v) for v in last], [v.mean for v in last]),
        "regret": _bold_best([with_half_width(v, 1, 0) for v in regrets], [-v.mean for v in regrets]),
    }  # fmt: skip
    return latex(columns, f"{stream.title}, {llm}. {_caption(stream, settings)}", name)


def _summary_tables(summary: Summary) -> Iterator[tuple[str, str]]:
    """Methods x tasks, in as many tables as the tasks need to fit."""
    methods = [method for method, found in summary.rates.items() if any(math.isfinite(v.mean) for v in found.values())]
    if not methods:
        return
    first = {"method": [escape_latex(method) for method in methods]}
    columns = {}
    for task in summary.tasks.values():
        found = [summary.rates[method].get(task, intervals.NOTHING) for method in methods]
        columns[task] = _bold_best([with_half_width(v) for v in found], [v.mean for v in found])
    if summary.averages and len(columns) > 1:
        found = [summary.averages.get(method, intervals.NOTHING) for method in methods]
        columns["average"] = _bold_best([with_half_width(v) for v in found], [v.mean for v in found])
    parts: list[dict[str, list[str]]] = [dict(first)]
    for task, cells in columns.items():
        if len(parts[-1]) > 1 and width_of(parts[-1] | {task: cells}) > WIDTHS[-1]:
            parts.append(dict(first))
        parts[-1][task] = cells
    settings = [setting for _, setting in summary.settings]
    for i, part in enumerate(parts):
        name = slug(summary.title) + (f"-{i + 1}" if len(parts) > 1 else "")
        of = f" ({i + 1} of {len(parts)})" if len(parts) > 1 else ""
        yield name, latex(part, f"{summary.title}{of}. {_caption(summary.streams[0], settings)}", name)


def _caption(stream: Stream, settings: list[Setting]) -> str:
    """What a reader has to know, and no more: the interval, and what the rows and the LLM are."""
    several = any(len(setting.finished) > 1 for setting in settings)
    said = ["Mean ± half of the 95 % t interval over seeds; bold: best."] if several else ["Bold: best."]
    said += [SAMPLE] if stream.is_sample else []
    return " ".join(said + ([NOT_A_MODEL] if any(setting.is_embedded for setting in settings) else []))


def _bold_best(cells: list[str], values: list[float]) -> list[str]:
    """The cells as LaTeX, those of the largest value as it is shown bold; a lone value is the best of nothing."""
    known = [value for value in values if math.isfinite(value)]
    best = {cell.split(" ")[0] for cell, value in zip(cells, values) if len(known) > 1 and value == max(known)}
    return [
        rf"\textbf{{{escape_latex(cell)}}}" if cell != NOTHING and cell.split(" ")[0] in best else escape_latex(cell)
        for cell in cells
    ]


def width_of(columns: dict[str, list[str]]) -> float:
    """Inches that a table of these LaTeX cells needs at 8 pt, at most."""
    widths = (max(len(_plain(cell)) for cell in [escape_latex(name), *cells]) for name, cells in columns.items())
    return sum(width * CHARACTER + SEPARATION for width in widths)


def _plain(cell: str) -> str:
    return cell.replace(r"\textbf{", "").replace(r"$\pm$", "±").replace("\\", "").replace("}", "")


def latex(columns: dict[str, list[str]], caption: str, name: str) -> str:
    """A floating table, the first column to the left. Needs \\usepackage{booktabs}."""
    lines = [" & ".join(row) + r" \\" for row in zip(*columns.values())]
    star = "*" if width_of(columns) > WIDTHS[0] else ""
    size = rf"\fontsize{{{POINTS}}}{{{POINTS + 1.5:g}}}\selectfont"
    return "\n".join([
        r"% \usepackage{booktabs}",
        rf"\begin{{table{star}}}[tb]",
        r"\centering",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{tab:{name}}}",
        size,
        rf"\begin{{tabular}}{{@{{}}l{'r' * (len(columns) - 1)}@{{}}}}",
        r"\toprule",
        " & ".join(map(escape_latex, columns)) + r" \\",
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        rf"\end{{table{star}}}",
        "",
    ])  # fmt: skip
