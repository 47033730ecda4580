"""What the report compares: runs grouped into settings, settings into streams.

    Run      one folder
    Setting  the runs that differ in nothing but the seed: the unit that is averaged
    Stream   the settings that answered the same rows: the unit that is compared

Two files of rows, or a sample and the official file, are two streams and are never averaged together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from config import EMBEDDED_READER, about

from .experiments import Figure, method_rank
from .folders import CURVES, Run, read_run_folder, read_runs, setting_key
from .naming import method_name, off_default, tell_apart, with_options

__all__ = ["CURVES", "Run", "Setting", "Stream", "group", "read_run_folder", "read_runs", "select"]


@dataclass(frozen=True, eq=False)
class Setting:
    """Runs alike in all but the seed. `method` is unique among the settings of its stream with the same LLM."""

    identity: dict[str, Any]
    runs: tuple[Run, ...]
    method: str
    label: str  # the method, with the LLM where its stream has several

    @property
    def key(self) -> str:
        """The same text for the same settings."""
        return setting_key(self.identity)

    @property
    def base_method(self) -> str:
        """The method's name without what tells it from others of its stream."""
        return method_name(self.identity)

    @property
    def control(self) -> str | None:
        """Which control of its method it is: empty, random, or None for the method itself."""
        return self.identity.get("control")

    @property
    def plain_method(self) -> str:
        """The name of the method that it controls, or its own."""
        return method_name(self.identity | {"control": None})

    @property
    def llm(self) -> str:
        return self.identity["llm"]

    @property
    def is_embedded(self) -> bool:
        """Whether the embedded reader answered, which is not a language model."""
        return self.llm == EMBEDDED_READER

    @cached_property
    def finished(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.finished)

    @cached_property
    def unfinished(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if not run.finished)

    @property
    def seeds(self) -> str:
        """How many runs are averaged, and how far the others are."""
        if not self.unfinished:
            return str(len(self.finished))
        steps = ", ".join(f"{run.steps} of {run.data['rows']}" for run in self.unfinished)
        return f"{len(self.finished)} of {len(self.runs)}, {len(self.unfinished)} unfinished at step {steps}"


@dataclass(frozen=True, eq=False)
class Stream:
    """The settings that answered the same rows of a task in the same way of ordering them."""

    env: str
    sha256: str
    origin: str
    limit: int | None
    shuffle: bool
    rows: int
    options: tuple[tuple[str, Any], ...]  # the task's own, such as web_search
    settings: tuple[Setting, ...]
    version: str = ""  # the beginning of the hash, where other streams of the report would have the same title

    @property
    def is_sample(self) -> bool:
        return self.origin == "sample"

    @property
    def name(self) -> str:
        """The task with its options."""
        return with_options(self.env, off_default(dict(self.options)))

    @property
    def title(self) -> str:
        notes = [f"first {self.rows:,} steps" if self.limit else f"{self.rows:,} steps"]
        notes += ["shuffled"] if self.shuffle else []
        notes += ["SAMPLE data"] if self.is_sample else [] if self.origin == "official" else [f"{self.origin} rows"]
        notes += [f"file {self.version}"] if self.version else []
        return f"{self.name} ({', '.join(notes)})"


# -- grouping ---------------------------------------------------------------------------------------------------------


def group(runs: Iterable[Run]) -> list[Stream]:
    """The streams of `runs`, by name, each with its settings."""
    by_stream: dict[tuple, list[Run]] = defaultdict(list)
    for run in runs:
        options = tuple((name, run.identity[name]) for name in about("task") if name in run.identity)
        limit, shuffle = run.identity.get("limit"), bool(run.identity.get("shuffle"))
        data = run.data
        by_stream[run.env, data["sha256"], data["origin"], limit, shuffle, data["rows"], options].append(run)
    streams = [Stream(*key, settings=_settings(members)) for key, members in by_stream.items()]
    titles = [stream.title for stream in streams]
    versioned = [
        replace(stream, version=stream.sha256[:8]) if titles.count(stream.title) > 1 else stream for stream in streams
    ]
    return sorted(versioned, key=lambda stream: stream.title)


def _settings(runs: list[Run]) -> tuple[Setting, ...]:
    by_setting: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_setting[setting_key(run.identity)].append(run)
    members = [sorted(found, key=lambda run: run.seed) for found in by_setting.values()]
    identities = [
        {name: value for name, value in found[0].identity.items() if name not in ("seed", "data")} for found in members
    ]
    names = tell_apart(identities)
    several = len({identity["llm"] for identity in identities}) > 1
    settings = [
        Setting(identity, tuple(found), name, f"{name}, {identity['llm']}" if several else name)
        for identity, found, name in zip(identities, members, names)
    ]
    return tuple(sorted(settings, key=lambda found: (found.llm, method_rank(found.base_method), found.method)))


# -- a figure of the paper ---------------------------------------------------------------------------------------------


def select(streams: Iterable[Stream], figure: Figure) -> list[Stream]:
    """The figure's tasks and methods, in the figure's order."""
    chosen = []
    for i, stream in enumerate(streams):
        place = figure.place_of(stream.env, dict(stream.options))
        shown = [s for s in stream.settings if s.base_method in figure.methods and figure.shows_llm(s.llm)]
        if place is not None and shown:
            shown.sort(key=lambda s: (figure.llm_rank(s.llm), s.llm, figure.methods.index(s.base_method), s.method))
            chosen.append((place, i, replace(stream, settings=tuple(shown))))
    return [stream for *_, stream in sorted(chosen, key=lambda found: found[:2])]
