"""Tables over more than one setting or task: tasks x methods, settings of one method, and the papers' figures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from . import statistics
from .experiments import Figure
from .naming import differing, spelled
from .runs import Setting, Stream
from .tables import NOT_A_MODEL, NOTHING, SAMPLE, Table, ends, notes_of, signed, slug, where, with_half_width

REFERENCES = Path(__file__).resolve().parent.parent / "references.yaml"
CHOSEN_AFTERWARDS = (
    "The best setting was chosen on the very stream that it is reported on, so its figure is too good: of several "
    "settings that are equally good the luckiest wins. A fair figure takes the winner to a stream that had no part in "
    "the choice."
)
Rates = dict[str, dict[str, statistics.Interval]]  # method -> task -> success rate


# -- tasks x methods ---------------------------------------------------------------------------------------------------


def summary_tables(streams: Iterable[Stream], figure: Figure | None = None) -> list[Table]:
    """Tasks x methods; a table for each LLM and kind of data, for these are not averaged together."""
    kinds: dict[tuple, list[Stream]] = defaultdict(list)
    for stream in streams:
        for llm in dict.fromkeys(setting.llm for setting in stream.settings):
            kinds[llm, stream.origin, stream.shuffle, stream.limit].append(stream)
    return [_summary(llm, members, figure) for (llm, *_), members in kinds.items()]


def _summary(llm: str, streams: list[Stream], figure: Figure | None) -> Table:
    settings = [(stream, setting) for stream in streams for setting in stream.settings if setting.llm == llm]
    names = [stream.name for stream in streams]
    twice = sorted({name for name in names if names.count(name) > 1})
    tasks = {stream: stream.title if stream.name in twice else stream.name for stream in streams}
    rates: Rates = defaultdict(dict)
    for stream, setting in settings:
        if setting.method == setting.base_method:
            rates[setting.method][tasks[stream]] = statistics.success_rate(setting)
    order = {method: i for i, method in enumerate(figure.methods if figure else ())}
    rates = dict(sorted(rates.items(), key=lambda item: order.get(item[0], len(order))))
    rows = [
        {"task": task} | {m: with_half_width(found.get(task, statistics.NOTHING)) for m, found in rates.items()}
        for task in tasks.values()
    ]
    notes = ["Success rates in per cent: mean over the finished seeds ± half of the 95 % t interval."]
    if len(rows) > 1:
        averaged, said = _macro_rows(rates, [tasks[stream] for stream in streams if stream.name not in twice])
        rows += averaged
        notes.append(said)
    if twice:
        notes.append(f"Not averaged, because several versions of the rows are here: {', '.join(twice)}.")
    if any(setting.method != setting.base_method for _, setting in settings):
        notes.append("Settings that share a method's name are in the task's own table.")
    notes += [SAMPLE] if streams[0].is_sample else []
    notes += [NOT_A_MODEL] if settings[0][1].is_embedded else []
    title = _summary_title(llm, streams[0], settings[0][1], figure)
    return Table(slug(title), title, pd.DataFrame(rows), pd.DataFrame(_rate_row(*pair) for pair in settings), notes)


def _macro_rows(rates: Rates, tasks: list[str]) -> tuple[list[dict[str, str]], str]:
    """The last lines of a summary: the macro average and its difference to zero-shot; and what they are over."""
    averages, common = macro_average_of(rates, tasks)
    if not common:
        return [], "No macro average: there is no task that all the methods have finished."
    missing = [method for method in rates if method not in averages]
    rows = [{"task": "macro average"} | {m: f"{100 * averages[m]:.1f}" if m in averages else NOTHING for m in rates}]
    if "zero-shot" in averages and len(averages) > 1:
        gains = {m: signed(100 * (averages[m] - averages["zero-shot"])) for m in averages if m != "zero-shot"}
        rows.append({"task": "against zero-shot"} | {method: gains.get(method, NOTHING) for method in rates})
    said = f"The macro average is over the {len(common)} of {len(tasks)} tasks that all its methods have finished"
    said += f" ({', '.join(common)})" if len(common) < len(tasks) else ""
    return rows, said + (f"; without {', '.join(missing)}, which finished none." if missing else ".")


def macro_average_of(rates: Rates, tasks: list[str]) -> tuple[dict[str, float], list[str]]:
    """The macro average over those of `tasks` that every method with any figure has."""
    means = {
        method: {task: found[task].mean for task in tasks if task in found and not math.isnan(found[task].mean)}
        for method, found in rates.items()
    }
    return statistics.macro_average({method: found for method, found in means.items() if found})


def _summary_title(llm: str, stream: Stream, setting: Setting, figure: Figure | None) -> str:
    parts = [f"{llm} (not a language model)" if setting.is_embedded else llm]
    parts += ["SAMPLE data"] if stream.is_sample else [f"{stream.origin} rows"]
    parts += ["shuffled"] if stream.shuffle else []
    parts += [f"first {stream.limit:,} steps"] if stream.limit else []
    return f"{figure.title if figure else 'Summary'}: {', '.join(parts)}"


def _rate_row(stream: Stream, setting: Setting) -> dict[str, Any]:
    seeds = {"seeds": len(setting.finished), "unfinished": len(setting.unfinished)}
    return where(stream, setting) | seeds | ends("success_rate", statistics.success_rate(setting))


# -- settings of one method --------------------------------------------------------------------------------------------


def sweep_tables(stream: Stream) -> list[Table]:
    """For each method and LLM with several settings: what they reached, the best first."""
    found: dict[tuple[str, str], list[Setting]] = defaultdict(list)
    for setting in stream.settings:
        found[setting.identity["agent"] + str(setting.identity.get("bandit", "")), setting.llm].append(setting)
    return [_sweep(stream, settings) for settings in found.values() if len(settings) > 1]


def _sweep(stream: Stream, settings: list[Setting]) -> Table:
    ranked = sorted(settings, key=lambda setting: -_sortable(statistics.success_rate(setting).mean))
    options = differing([setting.identity for setting in settings])
    best = ranked[0] if ranked[0].finished else None
    rows = [
        {spelled(option): str(setting.identity.get(option, NOTHING)) for option in options}
        | {"seeds": setting.seeds, "success rate": with_half_width(statistics.success_rate(setting))}
        | {"last quarter": with_half_width(statistics.last_quarter(setting)), "": "best" if setting is best else ""}
        for setting in ranked
    ]
    numbers = [
        {spelled(option): setting.identity.get(option) for option in options} | _rate_row(stream, setting)
        for setting in ranked
    ]
    identity = settings[0].identity
    method = "-".join(filter(None, (identity["agent"], identity.get("bandit"))))
    title = f"Settings of {method} compared: {settings[0].llm}, {stream.title}"
    notes = [CHOSEN_AFTERWARDS, *notes_of([stream])]
    return Table(slug(title), title, pd.DataFrame(rows), pd.DataFrame(numbers), notes)


def _sortable(value: float) -> float:
    return -math.inf if math.isnan(value) else value


# -- the papers' figures -----------------------------------------------------------------------------------------------


def reference_table(streams: list[Stream]) -> Table | None:
    """Ours and the papers' figures for the tasks that they report, or None where they report none of ours."""
    rows = []
    references = yaml.safe_load(REFERENCES.read_text(encoding="utf-8"))
    for reference in references:
        for env, figures in reference.get("tasks", {}).items():
            ours = [_ours(stream, setting) for stream in streams if stream.env == env for setting in stream.settings]
            theirs = [_theirs(env, method, f"{value:.1f}", reference["source"]) for method, value in figures.items()]
            rows += ours + theirs if ours else []
    gains = _macro_gains(streams)
    for reference in references if gains else ():
        for method, value in reference.get("macro_difference", {}).items():
            theirs = _theirs("macro average against zero-shot", method, f"{value:+.1f} points", reference["source"])
            rows += [*gains, theirs]
    if not rows:
        return None
    notes = [
        "Lines that begin with `paper:` are the papers' own figures, measured with other LLMs and maybe another order "
        "of the stream: a sense of scale, not a comparison.",
        *notes_of(streams),
    ]
    sample = " (some of ours on SAMPLE data)" if any(stream.is_sample for stream in streams) else ""
    frame = pd.DataFrame(rows)
    return Table("references", f"Beside the papers' figures{sample}", frame, frame, notes)


def _ours(stream: Stream, setting: Setting) -> dict[str, str]:
    rate = with_half_width(statistics.success_rate(setting))
    reader = " (not a language model)" if setting.is_embedded else ""
    of = f"ours: {setting.llm}{reader}, {stream.title}"
    return {"task": stream.env, "method": setting.method, "success rate": rate, "whose": of}


def _theirs(task: str, method: str, value: str, source: str) -> dict[str, str]:
    return {"task": task, "method": f"paper: {method}", "success rate": value, "whose": f"paper: {source}"}


def _macro_gains(streams: list[Stream]) -> list[dict[str, str]]:
    """CASCADE's macro average minus zero-shot's, for each summary that has both."""
    rows = []
    for table in summary_tables(streams):
        lines = table.shown.set_index("task")
        if "against zero-shot" in lines.index and lines.get("CASCADE") is not None:
            gain = lines.loc["against zero-shot", "CASCADE"]
            if gain != NOTHING:
                rows.append({"task": "macro average against zero-shot", "method": "CASCADE",
                             "success rate": f"{gain} points", "whose": f"ours: {table.title}"})  # fmt: skip
    return rows
