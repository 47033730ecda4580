"""Tables over more than one setting or task: tasks x methods, settings of one method, and the papers' figures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from . import statistics
from .experiments import Figure, experiments
from .naming import differing, spelled
from .runs import Setting, Stream
from .tables import NOT_A_MODEL, NOTHING, SAMPLE, Table, ends, notes_of, signed, slug, where, with_half_width

REFERENCES = Path(__file__).resolve().parent.parent / "references.yaml"
CHOSEN_AFTERWARDS = (
    "The best setting was chosen on the very stream that it is reported on, so its figure is too good: of several "
    "settings that are equally good the luckiest wins. A fair figure takes the winner to a stream that had no part in "
    "the choice."
)
MACRO_GAIN = "macro average against zero-shot"
Rates = dict[str, dict[str, statistics.Interval]]  # method -> task -> success rate


# -- tasks x methods ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Summary:
    """The streams of one LLM and one kind of data, whose tasks may be averaged."""

    llm: str
    streams: list[Stream]
    figure: Figure | None

    @cached_property
    def settings(self) -> list[tuple[Stream, Setting]]:
        return [(stream, setting) for stream in self.streams for setting in stream.settings if setting.llm == self.llm]

    @property
    def is_sample(self) -> bool:
        return self.streams[0].is_sample

    @property
    def is_embedded(self) -> bool:
        return self.settings[0][1].is_embedded

    @property
    def twice(self) -> list[str]:
        """Tasks that are here with several versions of their rows."""
        names = [stream.name for stream in self.streams]
        return sorted({name for name in names if names.count(name) > 1})

    @cached_property
    def tasks(self) -> dict[Stream, str]:
        """What each stream is called here."""
        return {stream: stream.title if stream.name in self.twice else stream.name for stream in self.streams}

    @property
    def once(self) -> list[str]:
        """The tasks that may be averaged: those with one version of their rows."""
        return [task for stream, task in self.tasks.items() if stream.name not in self.twice]

    @cached_property
    def found(self) -> dict[str, dict[str, Setting]]:
        """method -> task -> setting, methods in the figure's order. A sweep's further settings have their own table."""
        found: dict[str, dict[str, Setting]] = defaultdict(dict)
        for stream, setting in self.settings:
            if setting.method == setting.base_method:
                found[setting.method][self.tasks[stream]] = setting
        order = {method: i for i, method in enumerate(self.figure.methods if self.figure else experiments()["methods"])}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))

    @cached_property
    def rates(self) -> Rates:
        return {
            method: {task: statistics.success_rate(setting) for task, setting in settings.items()}
            for method, settings in self.found.items()
        }

    def cell(self, method: str, task: str) -> str:
        """The success rate in words, with how many seeds it is of where some are unfinished."""
        setting = self.found[method].get(task)
        if setting is None:
            return NOTHING
        text = with_half_width(self.rates[method][task])
        return f"{text} ({len(setting.finished)} of {len(setting.runs)} seeds)" if setting.unfinished else text

    @property
    def title(self) -> str:
        stream = self.streams[0]
        parts = [f"{self.llm} (not a language model)" if self.is_embedded else self.llm]
        parts += ["SAMPLE data"] if stream.is_sample else [f"{stream.origin} rows"]
        parts += ["shuffled"] if stream.shuffle else []
        parts += [f"first {stream.limit:,} steps"] if stream.limit else []
        return f"{self.figure.title if self.figure else 'Summary'}: {', '.join(parts)}"

    @property
    def notes(self) -> list[str]:
        return ([SAMPLE] if self.is_sample else []) + ([NOT_A_MODEL] if self.is_embedded else [])


def summarize(streams: Iterable[Stream], figure: Figure | None = None) -> list[Summary]:
    """One summary for each LLM and kind of data, for these are not averaged together."""
    kinds: dict[tuple, list[Stream]] = defaultdict(list)
    for stream in streams:
        for llm in dict.fromkeys(setting.llm for setting in stream.settings):
            kinds[llm, stream.origin, stream.shuffle, stream.limit].append(stream)
    return [Summary(llm, members, figure) for (llm, *_), members in kinds.items()]


def summary_table(summary: Summary) -> Table:
    """Tasks x methods with the macro average."""
    methods = list(summary.found)
    rows = [{"task": task} | {m: summary.cell(m, task) for m in methods} for task in summary.tasks.values()]
    notes = ["Success rates in per cent: mean over the finished seeds ± half of the 95 % t interval."]
    if len(rows) > 1:
        averaged, said = _macro_rows(summary.rates, summary.once)
        rows += averaged
        notes.append(said)
    if summary.twice:
        notes.append(f"Not averaged, because several versions of the rows are here: {', '.join(summary.twice)}.")
    if any(setting.method != setting.base_method for _, setting in summary.settings):
        notes.append("Settings that share a method's name are in the task's own table.")
    unfinished = sum(len(setting.unfinished) for _, setting in summary.settings)
    if unfinished:
        notes.append(f"{unfinished} unfinished run{'s' if unfinished > 1 else ''}, counted in no figure.")
    numbers = pd.DataFrame(_rate_row(stream, setting) for stream, setting in summary.settings)
    return Table(slug(summary.title), summary.title, pd.DataFrame(rows), numbers, notes + summary.notes)


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
    said = f"The macro average is over {len(common)} of {len(tasks)} tasks, those that all its methods have finished"
    said += f" ({', '.join(common)})" if len(common) < len(tasks) else ""
    return rows, said + (f"; without {', '.join(missing)}, which finished none." if missing else ".")


def macro_average_of(rates: Rates, tasks: list[str]) -> tuple[dict[str, float], list[str]]:
    """The macro average over those of `tasks` that every method with any figure has."""
    means = {
        method: {task: found[task].mean for task in tasks if task in found and not math.isnan(found[task].mean)}
        for method, found in rates.items()
    }
    return statistics.macro_average({method: found for method, found in means.items() if found})


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
    most = max(len(setting.finished) for setting in settings)
    best = next((setting for setting in ranked if most and len(setting.finished) == most), None)
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
    notes = [CHOSEN_AFTERWARDS]
    if any(len(setting.finished) < most for setting in settings):
        notes.append("Settings with fewer finished seeds than others cannot be the best: their seeds may be easier.")
    notes += notes_of([stream])
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
            theirs = [_theirs(env, method, f"{value:.2f}", reference["source"]) for method, value in figures.items()]
            rows += ours + theirs if ours else []
    gains = _macro_gains(streams)
    for reference in references if gains else ():
        for method, value in reference.get("macro_difference", {}).items():
            theirs = _theirs(MACRO_GAIN, method, f"{value:+.1f} points", reference["source"])
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
    for summary in summarize(streams):
        averages, tasks = macro_average_of(summary.rates, summary.once)
        if len(tasks) > 1 and {"CASCADE", "zero-shot"} <= averages.keys():
            gain = f"{signed(100 * (averages['CASCADE'] - averages['zero-shot']))} points"
            whose = f"ours: {summary.title}, {len(tasks)} tasks"
            rows.append({"task": MACRO_GAIN, "method": "CASCADE", "success rate": gain, "whose": whose})
    return rows
