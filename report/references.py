"""The papers' own figures beside ours, marked as theirs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml

from . import statistics
from .runs import Setting, Stream
from .summaries import Summary, summarize
from .tables import NOTHING, Table, notes_of, points, with_half_width

REFERENCES = Path(__file__).resolve().parent.parent / "experiments" / "references.yaml"
MACRO_GAIN = "macro average against zero-shot"
HEADLINE = "CASCADE"  # the method whose macro average the paper compares with zero-shot


def reference_table(streams: list[Stream]) -> Table | None:
    """Ours and the papers' figures for the tasks that they report, or None where they report none of ours.

    A line for each source, so that a method's figures stand in one column.
    """
    rows = []
    references = yaml.safe_load(REFERENCES.read_text(encoding="utf-8"))
    for reference in references:
        for env, figures in reference.get("tasks", {}).items():
            ours = [_ours(stream, setting) for stream in streams if stream.env == env for setting in stream.settings]
            theirs = [_theirs(env, method, f"{value:.2f}", reference["source"]) for method, value in figures.items()]
            rows += ours + theirs if ours else []
    gains = [row for summary in summarize(streams) for row in _macro_gain(summary)]
    rows += gains
    for reference in references if gains else ():
        for method, value in reference.get("macro_difference", {}).items():
            rows.append(_theirs(MACRO_GAIN, method, f"{value:+.1f}", reference["source"]))
    if not rows:
        return None
    notes = [
        "Success rates in per cent, differences in points. Lines of a 'paper:' are the papers' own figures, measured "
        "with other LLMs and maybe another order of the stream: a sense of scale, not a comparison.",
        *notes_of(streams),
    ]
    sample = " (some of ours on SAMPLE data)" if any(stream.is_sample for stream in streams) else ""
    frame = pd.DataFrame(rows)
    return Table("references", f"Beside the papers' figures{sample}", _by_source(frame), frame, notes)


def _by_source(frame: pd.DataFrame) -> pd.DataFrame:
    """Methods as columns, lines and columns in the order of `frame`."""
    wide = frame.pivot(index=["task", "whose"], columns="method", values="figure")
    lines = pd.MultiIndex.from_frame(frame[["task", "whose"]].drop_duplicates())
    return wide.reindex(index=lines, columns=frame["method"].unique()).fillna(NOTHING).reset_index()


def _ours(stream: Stream, setting: Setting) -> dict[str, str]:
    reader = " (not a language model)" if setting.is_embedded else ""
    of = f"ours: {setting.llm}{reader}, {stream.title}"
    figure = with_half_width(statistics.success_rate(setting))
    return {"task": stream.env, "whose": of, "method": setting.method, "figure": figure}


def _theirs(task: str, method: str, figure: str, source: str) -> dict[str, str]:
    return {"task": task, "whose": f"paper: {source}", "method": method, "figure": figure}


def _macro_gain(summary: Summary) -> list[dict[str, str]]:
    """CASCADE's macro average against zero-shot's, where the summary has both over several tasks."""
    gain = summary.gains.get(HEADLINE)
    if len(summary.common) < 2 or gain is None:
        return []
    whose = f"ours: {summary.title}, {len(summary.common)} tasks"
    return [{"task": MACRO_GAIN, "whose": whose, "method": HEADLINE, "figure": points(gain)}]
