"""The papers' own figures beside ours, marked as theirs.

Of a method it is the difference to zero-shot that stands beside the paper's: their LLMs are other ones, so the rates
themselves say little about each other.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from runs.prices import Prices

from . import statistics
from .costs import compare
from .runs import Setting, Stream
from .summaries import Summary, summarize
from .tables import NOTHING, Table, notes_of, points, signed, with_half_width

REFERENCES = Path(__file__).resolve().parent.parent / "experiments" / "references.yaml"
MACRO_GAIN = "macro average against zero-shot"
HEADLINE = "CASCADE"  # the method whose macro average the paper compares with zero-shot
ZERO_SHOT = "zero-shot"
Row = dict[str, str]


@functools.cache
def references() -> list[dict[str, Any]]:
    """The whole file."""
    found: list[dict[str, Any]] = yaml.safe_load(REFERENCES.read_text(encoding="utf-8"))
    return found


@functools.cache
def named() -> frozenset[str]:
    """The methods that some paper reports."""
    figures = [
        one
        for reference in references()
        for what in ("tasks", "times_input")
        for one in reference.get(what, {}).values()
    ]
    return frozenset({HEADLINE}.union(*figures))


def reference_table(streams: list[Stream]) -> Table | None:
    """Ours and the papers' figures for the tasks that they report, or None where they report none of ours.

    A line for each source, so that a method's figures stand in one column.
    """
    rows = []
    for env in dict.fromkeys(env for reference in references() for env in reference.get("tasks", {})):
        ours = [
            _ours(stream, setting)
            for stream in streams
            if stream.env == env
            for setting in stream.settings
            if setting.method in named()
        ]
        papers = [(one["source"], one["tasks"][env]) for one in references() if env in one.get("tasks", {})]
        rows += ours + [row for source, figures in papers for row in _theirs(env, figures, source)] if ours else []
    gains = [row for summary in summarize(streams) for row in _macro_gain(summary)]
    rows += gains
    for reference in references() if gains else ():
        for method, value in reference.get("macro_difference", {}).items():
            rows.append(_row(MACRO_GAIN, f"paper: {reference['source']}", method, f"{value:+.1f}"))
    if not rows:
        return None
    notes = [
        "Differences to zero-shot in points, where there is a zero-shot figure; what has no sign is a success rate in "
        "per cent. Lines of a 'paper:' are the papers' own figures, measured with other LLMs and maybe another order "
        "of the stream: a sense of scale, not a comparison.",
        *notes_of(streams),
    ]
    return _table("references", "Beside the papers' figures", streams, rows, notes)


def input_table(streams: list[Stream]) -> Table | None:
    """Input tokens as multiples of zero-shot's, ours and the papers', or None where they report none of ours."""
    rows = []
    for reference in references():
        for env, figures in reference.get("times_input", {}).items():
            ours = [
                _row(env, _whose(stream, setting), setting.method, f"{found.times.input:.2f}")
                for stream in streams
                if stream.env == env
                for setting in stream.settings
                if setting.method in named()
                if (found := compare(stream, setting, Prices())) is not None
            ]
            theirs = [_row(env, f"paper: {reference['source']}", name, f"{x:g}") for name, x in figures.items()]
            rows += ours + theirs if ours else []
    if not rows:
        return None
    notes = [
        "The input tokens of a step as multiples of zero-shot's. Lines of a 'paper:' are the paper's own figures, with "
        "its prompts and its LLM's tokens.",
        *notes_of(streams),
    ]
    return _table("references-input", "Input tokens beside the papers'", streams, rows, notes)


def _table(name: str, title: str, streams: list[Stream], rows: list[Row], notes: list[str]) -> Table:
    sample = " (some of ours on SAMPLE data)" if any(stream.is_sample for stream in streams) else ""
    frame = pd.DataFrame(rows)
    return Table(name, f"{title}{sample}", _by_source(frame), frame, notes)


def _by_source(frame: pd.DataFrame) -> pd.DataFrame:
    """Methods as columns, lines and columns in the order of `frame`."""
    wide = frame.pivot(index=["task", "whose"], columns="method", values="figure")
    lines = pd.MultiIndex.from_frame(frame[["task", "whose"]].drop_duplicates())
    return wide.reindex(index=lines, columns=frame["method"].unique()).fillna(NOTHING).reset_index()


def _row(task: str, whose: str, method: str, figure: str) -> Row:
    return {"task": task, "whose": whose, "method": method, "figure": figure}


def _whose(stream: Stream, setting: Setting) -> str:
    reader = " (not a language model)" if setting.is_embedded else ""
    return f"ours: {setting.llm}{reader}, {stream.title}"


def _ours(stream: Stream, setting: Setting) -> Row:
    against = statistics.difference(setting, statistics.baseline_of(stream, setting))
    figure = points(against) if against else with_half_width(statistics.success_rate(setting))
    return _row(stream.env, _whose(stream, setting), setting.method, figure)


def _theirs(env: str, figures: dict[str, float], source: str) -> list[Row]:
    zero_shot = figures[ZERO_SHOT]
    rows = [_row(env, f"paper: {source}", ZERO_SHOT, f"{zero_shot:g}")]
    others = ((method, value) for method, value in figures.items() if method != ZERO_SHOT)
    return rows + [_row(env, f"paper: {source}", method, signed(value - zero_shot)) for method, value in others]


def _macro_gain(summary: Summary) -> list[Row]:
    """CASCADE's macro average against zero-shot's, where the summary has both over several tasks."""
    gain = summary.gains.get(HEADLINE)
    if len(summary.common) < 2 or gain is None:
        return []
    whose = f"ours: {summary.title}, {len(summary.common)} tasks"
    return [_row(MACRO_GAIN, whose, HEADLINE, points(gain))]
