"""experiments/experiments.yaml as the report reads it: what the paper calls a method, and which runs a figure shows."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plugins
from config import EMBEDDED_READER
from errors import unknown_choice
from experiments.description import BY_FLAG, GIVEN, KEPT, complete, read_description
from experiments.plan import load_experiments, task_label, with_controls

_own: list[Path] = []  # where there are plans of one's own


def know_plans_in(folders: Path | Iterable[Path]) -> None:
    """Let the figures and methods of one's own count that have runs in `folders`. Raises UserError."""
    paths = [folder / KEPT for folder in ([folders] if isinstance(folders, Path) else folders)]
    new = [path for path in paths if path.is_file() and path not in _own]
    if new:
        _own.extend(new)
        experiments.cache_clear()
        experiments()


@functools.cache
def experiments() -> dict[str, Any]:
    """The whole file, with those of one's own beside it."""
    found = load_experiments()
    for path in _own:
        own = with_controls(complete(read_description(path), str(path)))
        found = found | {name: found[name] | own[name] for name in ("methods", "llms", "figures")}
    return found | {"methods": {name: _as_recorded(options) for name, options in found["methods"].items()}}


def _as_recorded(options: dict[str, Any]) -> dict[str, Any]:
    """A method's options as an identity has them: by the fields' names, places by their labels."""
    return {
        BY_FLAG[name]: plugins.label(value) if isinstance(value, str) and plugins.is_outside(value) else value
        for name, value in options.items()
    }


def paper_method(identity: Mapping[str, Any]) -> tuple[str, set[str]] | None:
    """The paper's name of the method and the options that make it; of several that match, the most specific."""
    matching = [
        (name, set(options))
        for name, options in experiments()["methods"].items()
        if all(identity.get(option) == value for option, value in options.items() if option != "serving_mode")
    ]
    return max(matching, key=lambda found: len(found[1])) if matching else None


def is_tuned(identity: Mapping[str, Any]) -> bool:
    """Whether the policy's settings are those that the paper tuned for the task and LLM."""
    is_cascade = identity.get("bandit") == "NeuralLinLogUCB"
    return is_cascade and _tuned(identity) == [identity.get("learning_rate"), identity.get("exploration")]


def is_figures_own(identity: Mapping[str, Any]) -> bool:
    """Whether the encoders, learning rate and nu are those that a figure's run of this task, LLM and agent has."""
    wanted: dict[str, Any] = {} if identity["llm"] == EMBEDDED_READER else dict(experiments()["encoders"])
    if identity["agent"] == "reinforce":
        rates = experiments()["reinforce_learning_rate"]
        wanted["learning_rate"] = rates.get(identity["env"], rates["default"])
    else:
        wanted |= zip(("learning_rate", "exploration"), _tuned(identity) or ())
    return all(identity[option] == value for option, value in wanted.items() if option in identity)


def _tuned(identity: Mapping[str, Any]) -> list[float] | None:
    return experiments()["tuned"].get(task_label(identity), {}).get(identity["llm"])


def method_rank(name: str) -> int:
    """Where `name` comes in the file's order of methods; other methods come last."""
    names = list(experiments()["methods"])
    return names.index(name) if name in names else len(names)


@dataclass(frozen=True)
class Task:
    """A task of a figure: its name and the options that make a variant of it."""

    env: str
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Figure:
    """What a figure of the paper shows, in its order; no tasks or LLMs are any."""

    name: str
    title: str
    tasks: tuple[Task, ...]
    llms: tuple[str, ...]
    methods: tuple[str, ...]

    def shows_llm(self, llm: str) -> bool:
        """The figure's LLMs, and any that stands in for them; not those of the paper's other figures."""
        return not self.llms or llm in self.llms or llm == EMBEDDED_READER or llm not in experiments()["llms"]

    def llm_rank(self, llm: str) -> int:
        return self.llms.index(llm) if llm in self.llms else len(self.llms)

    def place_of(self, env: str, options: Mapping[str, Any]) -> int | None:
        """Where the task comes in the figure, or None. Of its options count those that the figure's variants name."""
        if not self.tasks:
            return 0
        variants = [(i, task) for i, task in enumerate(self.tasks) if task.env == env]
        named = {option for _, task in variants for option, _ in task.options}
        own = {option: options[option] for option in named if options.get(option)}
        return next((i for i, task in variants if dict(task.options) == own), None)


def find_figure(name: str) -> Figure:
    """The figure `name`. Raises UsageError where the file has none."""
    figures = experiments()["figures"]
    if name not in figures:
        raise unknown_choice("--figure", name, figures)
    parts = figures[name]["parts"]
    tasks = [_task(task) for part in parts if part["tasks"] != GIVEN for task in part["tasks"]]
    return Figure(
        name,
        f"Figure {name}: {figures[name]['title']}" if name[0].isdigit() else figures[name]["title"],
        tuple(dict.fromkeys(tasks)),
        tuple(dict.fromkeys(llm for part in parts if part["llms"] != GIVEN for llm in part["llms"])),
        tuple(dict.fromkeys(method for part in parts for method in part["methods"])),
    )


def _task(task: str | dict[str, Any]) -> Task:
    if isinstance(task, str):
        return Task(plugins.label(task))
    return Task(plugins.label(task["env"]), tuple((option, value) for option, value in task.items() if option != "env"))
