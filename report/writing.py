"""The report's folder: report.md, tables/, plots/, report.html. Files are replaced whole, so a reader sees no half."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from runs.prices import Prices

from . import plots
from .costs import cost_table
from .experiments import Figure
from .gains import gain_plot
from .page import write_page
from .references import input_table, reference_table
from .runs import Stream
from .summaries import summarize, summary_table, sweep_tables
from .tables import Table, notes_of, slug, stream_table

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
) -> None:
    """Write everything into `out`, with these `steps` in the page; files of an earlier report with other names stay."""
    title = figure.title if figure else "Report"
    parts = [f"# {title}", *notes_of(streams), HOW]
    files, overviews = Files(out), []
    for summary in summarize(streams, figure):
        overviews.append(summary_table(summary))
        parts += [files.write_table(overviews[-1])]
        parts += files.write_plot(plots.bars(summary), slug(summary.title), summary.title)
    for references in (reference_table(streams), input_table(streams)):
        if references is not None:
            overviews.append(references)
            parts += [files.write_table(references)]
    for stream in streams:
        parts += _stream_part(files, stream, prices)
    if left_out:
        parts += ["## Left out", "\n".join(f"- {line}" for line in left_out)]
    write_atomically(out / "report.md", ("\n\n".join(part.strip() for part in parts) + "\n"))
    with replacing(out / "report.html") as page:
        write_page(page, streams, prices, title, overviews, steps)
    if paper:
        _write_paper(files, streams, figure, prices)


def _write_paper(files: Files, streams: list[Stream], figure: Figure | None, prices: Prices) -> None:
    from .paper import figures, tables

    summaries = summarize(streams, figure)
    for name, content in figures(streams, summaries, prices):
        files.write("paper/figures", name, "pdf", content)
    for name, text in tables(streams, summaries):
        files.write("paper/tables", name, "tex", text)


def _stream_part(files: Files, stream: Stream, prices: Prices) -> list[str]:
    parts = [files.write_table(stream_table(stream, prices))]
    costs = cost_table(stream, prices)
    parts += [files.write_table(costs)] if costs else []
    for llm in dict.fromkeys(setting.llm for setting in stream.settings):
        what = f"{stream.title}, {llm}"
        curves, terms = plots.stream_curves(stream, llm), plots.stream_terms(stream, llm)
        parts += files.write_plot(curves, f"{slug(what)}-curves", f"Success rate and regret: {what}")
        windows = plots.stream_windows(stream, llm)
        parts += files.write_plot(windows, f"{slug(what)}-windows", f"Along the stream: {what}")
        parts += files.write_plot(gain_plot(stream, llm, prices), f"{slug(what)}-gains", f"Gain against cost: {what}")
        parts += files.write_plot(terms, f"{slug(what)}-terms", f"Exploit and explore: {what}")
    return parts + [files.write_table(table) for table in sweep_tables(stream)]


class Files:
    """Writes tables and plots below the report's folder, each under a name of its own.

    Names are made of titles, and two titles may have one: gpt-4.1 and gpt-4-1 differ in signs, which a file's name does
    not have. The later one gets a number.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._taken: set[str] = set()

    def _own(self, name: str) -> str:
        names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
        own = next(candidate for candidate in names if candidate not in self._taken)
        self._taken.add(own)
        return own

    def write(self, folder: str, name: str, kind: str, content: bytes | str) -> None:
        """Write a file that the report does not show."""
        write_atomically(self._out / folder / f"{self._own(f'{folder}/{name}').rpartition('/')[2]}.{kind}", content)

    def write_table(self, table: Table) -> str:
        """Write the CSV and LaTeX files of `table`; returns it as Markdown with links to them."""
        table = replace(table, name=self._own(table.name))
        write_atomically(self._out / "tables" / f"{table.name}.csv", table.csv())
        write_atomically(self._out / "tables" / f"{table.name}.tex", table.latex())
        return f"{table.markdown()}\n[CSV](tables/{table.name}.csv) · [LaTeX](tables/{table.name}.tex)"

    def write_plot(self, figure: plots.Figure | None, name: str, title: str) -> list[str]:
        """Write `figure` as PNG and SVG; returns it as Markdown, nothing where there is none."""
        if figure is None:
            return []
        name = self._own(name)
        for kind in ("png", "svg"):
            write_atomically(self._out / "plots" / f"{name}.{kind}", plots.picture(figure, kind))
        return [f"![{title}](plots/{name}.png)\n\n[SVG](plots/{name}.svg)"]


def write_atomically(path: Path, content: bytes | str) -> None:
    """A text is written as UTF-8; half a character, which the name of a folder can hold, becomes a question mark."""
    with replacing(path) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode(errors="replace"))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` once all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    yield temporary
    temporary.replace(path)
