"""What a report consists of: report.md, tables/, plots/, report.html, and with --paper paper/."""

from __future__ import annotations

from pathlib import Path

from runs.prices import Prices

from . import plots
from .costs import cost_table
from .experiments import Figure
from .files import Files
from .gains import gain_plot
from .page import page_of
from .references import input_table, reference_table
from .runs import Stream
from .summaries import summarize, summary_table, sweep_tables
from .tables import caveats_of, slug, stream_table

HOW = """\
Every figure is of finished runs. The t interval is over seeds: what another seed would change. The paired bootstrap
(10,000 resamples) draws the rows of the stream anew, each with its answers of all seeds: what other queries would
change."""


def write_report(
    streams: list[Stream],
    figure: Figure | None,
    prices: Prices,
    left_out: list[str],
    out: Path,
    steps: str = "one",
    paper: bool = False,
) -> list[str]:
    """Write everything into `out`, with these `steps` in the page.

    Returns the files of an earlier report there that were removed, because this one does not write them.
    """
    files = Files(out)
    with files.listed() as removed:
        _write(files, streams, figure, prices, left_out, steps)
        if paper:
            _write_paper(files, streams, figure, prices)
    return removed


def _write(
    files: Files, streams: list[Stream], figure: Figure | None, prices: Prices, left_out: list[str], steps: str
) -> None:
    title, caveats = figure.title if figure else "Report", caveats_of(streams)
    parts, overviews, said = [f"# {title}", *caveats.values(), HOW], [], frozenset(caveats)
    for summary in summarize(streams, figure):
        overviews.append(summary_table(summary))
        parts += [files.write_table(overviews[-1], said=said)]
        parts += files.write_plot(plots.bars(summary), slug(summary.title), summary.title)
    for references in (reference_table(streams), input_table(streams)):
        if references is not None:
            overviews.append(references)
            parts += [files.write_table(references, said=said)]
    for stream in streams:
        parts += _stream_part(files, stream, prices, said)
    if left_out:
        parts += ["## Left out", "\n".join(f"- {line}" for line in left_out)]
    files.write("report.md", "\n\n".join(part.strip() for part in parts) + "\n")
    files.write("report.html", page_of(streams, prices, title, overviews, steps, files.links))


def _write_paper(files: Files, streams: list[Stream], figure: Figure | None, prices: Prices) -> None:
    from .paper import figures, tables

    summaries = summarize(streams, figure)
    for name, content in figures(streams, summaries, prices):
        files.write_unseen("paper/figures", name, "pdf", content)
    for name, text in tables(streams, summaries):
        files.write_unseen("paper/tables", name, "tex", text)


def _stream_part(files: Files, stream: Stream, prices: Prices, said: frozenset[str]) -> list[str]:
    """A stream's tables and plots; a note that several of its tables have is said below the first."""
    parts, of = [], stream.title
    costs = cost_table(stream, prices)
    for table in (stream_table(stream, prices), *([costs] if costs else [])):
        parts.append(files.write_table(table, of, said))
        said |= frozenset(table.notes)
    for llm in dict.fromkeys(setting.llm for setting in stream.settings):
        what = f"{stream.title}, {llm}"
        for kind, title, plot in (
            ("curves", "Success rate and regret", plots.stream_curves(stream, llm)),
            ("windows", "Along the stream", plots.stream_windows(stream, llm)),
            ("gains", "Gain against cost", gain_plot(stream, llm, prices)),
            ("terms", "Exploit and explore", plots.stream_terms(stream, llm)),
        ):
            parts += files.write_plot(plot, f"{slug(what)}-{kind}", f"{title}: {what}", of)
    return parts + [files.write_table(table, of, said) for table in sweep_tables(stream)]
