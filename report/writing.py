"""The report's folder: report.md, tables/, plots/, report.html. Files are replaced whole, so a reader sees no half."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import plots
from .experiments import Figure, Prices
from .page import write_page
from .references import reference_table
from .runs import Stream
from .summaries import summarize, summary_table, sweep_tables
from .tables import Table, notes_of, slug, stream_table

HOW = """\
Every figure is of finished runs. The t interval is over seeds: what another seed would change. The paired bootstrap
(10,000 resamples) draws the rows of the stream anew, each with its answers of all seeds: what other queries would
change."""


def write_report(
    streams: list[Stream], figure: Figure | None, prices: Prices, left_out: list[str], out: Path, steps: str = "one"
) -> None:
    """Write everything into `out`, with these `steps` in the page; files of an earlier report with other names stay."""
    title = figure.title if figure else "Report"
    parts = [f"# {title}", *notes_of(streams), HOW]
    overviews = []
    for summary in summarize(streams, figure):
        overviews.append(summary_table(summary))
        parts += [_write_table(out, overviews[-1])]
        parts += _write_plot(out, plots.bars(summary), slug(summary.title), summary.title)
    references = reference_table(streams)
    if references is not None:
        overviews.append(references)
        parts += [_write_table(out, references)]
    for stream in streams:
        parts += _stream_part(out, stream, prices)
    if left_out:
        parts += ["## Left out", "\n".join(f"- {line}" for line in left_out)]
    write_atomically(out / "report.md", ("\n\n".join(part.strip() for part in parts) + "\n").encode())
    with replacing(out / "report.html") as page:
        write_page(page, streams, prices, title, overviews, steps)


def _stream_part(out: Path, stream: Stream, prices: Prices) -> list[str]:
    parts = [_write_table(out, stream_table(stream, prices))]
    for llm in dict.fromkeys(setting.llm for setting in stream.settings):
        what = f"{stream.title}, {llm}"
        curves, terms = plots.stream_curves(stream, llm), plots.stream_terms(stream, llm)
        parts += _write_plot(out, curves, f"{slug(what)}-curves", f"Success rate and regret: {what}")
        parts += _write_plot(out, terms, f"{slug(what)}-terms", f"Exploit and explore: {what}")
    return parts + [_write_table(out, table) for table in sweep_tables(stream)]


def _write_table(out: Path, table: Table) -> str:
    """Write the CSV and LaTeX files of `table`; returns it as Markdown with links to them."""
    write_atomically(out / "tables" / f"{table.name}.csv", table.csv().encode())
    write_atomically(out / "tables" / f"{table.name}.tex", table.latex().encode())
    return f"{table.markdown()}\n[CSV](tables/{table.name}.csv) · [LaTeX](tables/{table.name}.tex)"


def _write_plot(out: Path, figure: plots.Figure | None, name: str, title: str) -> list[str]:
    """Write `figure` as PNG and SVG; returns it as Markdown, nothing where there is none."""
    if figure is None:
        return []
    for kind in ("png", "svg"):
        write_atomically(out / "plots" / f"{name}.{kind}", plots.picture(figure, kind))
    return [f"![{title}](plots/{name}.png)\n\n[SVG](plots/{name}.svg)"]


def write_atomically(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` once all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    yield temporary
    temporary.replace(path)
