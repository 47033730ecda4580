"""Tables over several tasks or settings: tasks x methods with the macro average, and the settings of one method."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from experiments.grid import CAVEAT
from runs import intervals

from . import statistics
from .experiments import Figure, experiments, is_figures_own
from .naming import differing, spelled
from .runs import Setting, Stream
from .tables import NOTHING, Table, ends, notes_of, points, slug, where, with_half_width

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
        """method -> task -> setting, methods in the figure's order.

        Of a sweep's settings, which share a method's name, it is the one that the paper's figure has, else the default.
        """
        namesakes: dict[tuple[str, Stream], list[Setting]] = defaultdict(list)
        for stream, setting in self.settings:
            namesakes[setting.base_method, stream].append(setting)
        found: dict[str, dict[str, Setting]] = defaultdict(dict)
        for (method, stream), members in namesakes.items():
            members = [s for s in members if is_figures_own(s.identity)] or members
            shown = [s for s in members if s.method == method] or members
            if len(shown) == 1:
                found[method][self.tasks[stream]] = shown[0]
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

    # -- the macro average -----------------------------------------------------------------------------------------

    @cached_property
    def averaged(self) -> dict[str, dict[str, Setting]]:
        """Of `found`, the methods that have finished anything, with the tasks that may be averaged."""
        kept = {m: {task: s for task, s in found.items() if task in self.once} for m, found in self.found.items()}
        return {m: found for m, found in kept.items() if any(setting.finished for setting in found.values())}

    @cached_property
    def common(self) -> list[str]:
        """The tasks of the macro average: those that all its methods have finished."""
        return statistics.common_tasks(self.averaged.values())

    @cached_property
    def averages(self) -> dict[str, statistics.Interval]:
        """Each method's macro average."""
        if not self.common:
            return {}
        return {m: statistics.macro_average(found[task] for task in self.common) for m, found in self.averaged.items()}

    @cached_property
    def gains(self) -> dict[str, statistics.Difference]:
        """Each method's macro average against zero-shot's, over the seeds that both have finished on every task."""
        baseline = self.averaged.get("zero-shot")
        gains = {}
        for method, found in self.averaged.items() if baseline else ():
            pairs = [statistics.paired(found[task], baseline[task]) for task in self.common]
            seeds = min((pair.seeds for pair in pairs), default=0)
            gain = intervals.macro_bootstrap(pairs)
            if found is not baseline and seeds and not math.isnan(gain.mean):
                gains[method] = statistics.Difference(gain, seeds)
        return gains


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
        rows += _macro_rows(summary)
        notes.append(_macro_note(summary))
    if summary.twice:
        notes.append(f"Not averaged, because several versions of the rows are here: {', '.join(summary.twice)}.")
    if any(setting.method != setting.base_method for _, setting in summary.settings):
        notes.append(
            "Of settings that share a method's name, this has the one of the paper's figure, else the default; the "
            "others are in the task's own table."
        )
    unfinished = sum(len(setting.unfinished) for _, setting in summary.settings)
    if unfinished:
        notes.append(f"{unfinished} unfinished run{'s' if unfinished > 1 else ''}, counted in no figure.")
    numbers = pd.DataFrame(_rate_row(stream, setting) for stream, setting in summary.settings)
    notes += notes_of(summary.streams, summary.llm)
    return Table(slug(summary.title), summary.title, pd.DataFrame(rows), numbers, notes)


def _macro_rows(summary: Summary) -> list[dict[str, str]]:
    """The last lines of a summary: the macro average, and what it has above zero-shot's."""
    if not summary.averages:
        return []
    averages = {method: with_half_width(interval) for method, interval in summary.averages.items()}
    rows = [{"task": "macro average"} | {method: averages.get(method, NOTHING) for method in summary.found}]
    if summary.gains:
        gains = {method: points(gain) for method, gain in summary.gains.items()}
        rows.append({"task": "against zero-shot"} | {method: gains.get(method, NOTHING) for method in summary.found})
    return rows


def _macro_note(summary: Summary) -> str:
    common, tasks = summary.common, summary.once
    if not common:
        return "No macro average: there is no task that all the methods have finished."
    said = f"The macro average is over {len(common)} of {len(tasks)} tasks, those that all its methods have finished"
    said += f" ({', '.join(common)})" if len(common) < len(tasks) else ""
    missing = [method for method in summary.found if method not in summary.averages]
    said += f"; without {', '.join(missing)}, which finished none." if missing else "."
    if summary.gains:
        said += " Against zero-shot in points, with the 95 % interval of a paired bootstrap over each task's stream."
    return said


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
    whole = [setting for setting in ranked if most and len(setting.finished) == most]
    best = [s for s in whole if statistics.success_rate(s).mean == statistics.success_rate(whole[0]).mean]
    rows = [
        {spelled(option): str(setting.identity.get(option, NOTHING)) for option in options}
        | {"seeds": setting.seeds, "success rate": with_half_width(statistics.success_rate(setting))}
        | {"last quarter": with_half_width(statistics.last_quarter(setting)), "": "best" if setting in best else ""}
        for setting in ranked
    ]
    numbers = [
        {spelled(option): setting.identity.get(option) for option in options} | _rate_row(stream, setting)
        for setting in ranked
    ]
    identity = settings[0].identity
    method = "-".join(filter(None, (identity["agent"], identity.get("bandit"))))
    title = f"Settings of {method} compared: {settings[0].llm}, {stream.title}"
    notes = [CAVEAT]
    if any(len(setting.finished) < most for setting in settings):
        notes.append("Settings with fewer finished seeds than others cannot be the best: their seeds may be easier.")
    notes += notes_of([stream])
    return Table(slug(title), title, pd.DataFrame(rows), pd.DataFrame(numbers), notes)


def _sortable(value: float) -> float:
    return -math.inf if math.isnan(value) else value
