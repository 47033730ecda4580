"""experiments.yaml -> the runs of main.py that make a figure.

A run's options come together in this order, later ones win: the paper's encoders, the LLM's, the part's, the task's,
the method's, and what the person typed; the tuned settings fill what is then open. Only options that matter to the run
(or were typed) reach its command line. Runs that turn out the same, because they have the same run folder, are made
once; what main.py would refuse is left out with main.py's reason.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import plugins
from agent import check_fits
from config import EMBEDDED, EMBEDDED_READER, FIELDS, Config, about
from env import ENV_DICT, find_env, resolve_data
from errors import UsageError, unknown_choice
from options import flag, words_of
from registry import AGENTS, find_agent

from .description import BY_FLAG, EXPERIMENTS, GIVEN, complete, read_description

CONTROLS = FIELDS["control"].metadata["choices"]
Options = dict[str, Any]  # values of Config fields, by the field's name


@dataclass(frozen=True)
class Cell:
    """One place of the paper's figures, at one seed: with these options of main.py."""

    figure: str
    part: str
    task: str
    method: str
    llm: str
    options: Options = field(hash=False)


@dataclass(frozen=True)
class Run(Cell):
    """A cell that main.py can fill."""

    config: Config
    argv: tuple[str, ...]
    setting: str  # its point of the grid

    @property
    def title(self) -> str:
        """What a person calls it."""
        return " ".join(
            filter(None, (self.task, self.method, self.config.llm, self.setting, f"seed {self.config.seed}"))
        )

    @functools.cached_property
    def played(self) -> Config:
        """The settings that its run is found by: --data auto may have found the sample."""
        return dataclasses.replace(self.config, data=resolve_data(self.config.env, self.config.data))

    @property
    def folder(self) -> Path:
        return Path(self.config.output_dir) / self.played.run_name()

    @property
    def command(self) -> str:
        """For a person to paste into a shell, in the project's folder."""
        return shlex.join(["python", "main.py", *self.argv])


@dataclass(frozen=True)
class LeftOut(Cell):
    """A cell that cannot be filled with these options, and why."""

    reason: str


@dataclass
class Plan:
    """What to run, in order, each run folder once; what is left out; and how many runs each figure shows."""

    runs: list[Run] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def load_experiments(path: Path = EXPERIMENTS) -> dict[str, Any]:
    """The description of all experiments, as plain data. Raises UserError where it cannot be read or is wrong.

    One of one's own has what it needs beside what ships; its figures alone are planned.
    """
    found = read_description(path)
    return with_controls(found if path == EXPERIMENTS else complete(found, f"--experiments {path}"))


def with_controls(experiments: dict[str, Any]) -> dict[str, Any]:
    """`experiments` where each method that shows cases is followed by its controls; parts that ask for them have them.

    A control shows what a method's cases are worth, so it is a method of its own, in plans and in tables.
    """
    methods: dict[str, Options] = {}
    described = experiments["methods"] | {agent: {"agent": agent} for agent in _others(experiments)}
    for name, options in described.items():
        methods[name] = options
        row = AGENTS.get(options.get("agent", ""))
        if row is not None and row.retrieve != "nothing" and "control" not in options:
            methods |= {f"{name} {control}": options | {"control": control} for control in CONTROLS}
    figures = {
        name: figure | {"parts": [_part_with_controls(part, methods) for part in figure["parts"]]}
        for name, figure in experiments["figures"].items()
    }
    return experiments | {"methods": methods, "figures": figures}


def _others(experiments: dict[str, Any]) -> list[str]:
    """The agents that no method is made of."""
    used = {options.get("agent") for options in experiments["methods"].values()}
    return [agent for agent in AGENTS if agent not in used]


def _part_with_controls(part: dict[str, Any], methods: dict[str, Options]) -> dict[str, Any]:
    """`controls` of a part: true, or the methods whose controls it shows. `without`: the agents of the registry that
    it does not show; those that it neither has nor names here are added, so that a new agent is compared too.
    """
    used = {methods[name]["agent"] for name in part["methods"] if name in methods}
    others = [agent for agent in AGENTS if agent not in {*used, *part["without"]}] if "without" in part else []
    wanted = part.get("controls") or []
    wanted = [*part["methods"], *others] if wanted is True else [*wanted, *others]
    names = [
        name
        for method in [*part["methods"], *others]
        for name in (method, *(f"{method} {control}" for control in CONTROLS if method in wanted))
        if name == method or name in methods
    ]
    return part | {"methods": names}


def make_plan(
    experiments: dict[str, Any],
    figures: list[str],
    typed: Options | None = None,
    only: dict[str, set[str]] | None = None,
    seeds: list[int] | None = None,
    grid: dict[str, list[Any]] | None = None,
) -> Plan:
    """All runs of `figures`, a whole seed before the next one.

    Args:
        typed: options that override the figures'. only: the values that a run's option or label must be among.
        grid: the values of each swept option; methods that do not use it run once.
    Raises:
        UsageError: an unknown figure, a filter that leaves nothing, options that no run can have.
    """
    for name in figures:
        if name not in experiments["figures"]:
            raise unknown_choice("figure", name, experiments["figures"])
    own = {name: seeds or experiments["figures"][name].get("seeds", experiments["seeds"]) for name in figures}
    cells = [
        cell
        for seed in dict.fromkeys(itertools.chain(*own.values()))
        for figure in own
        if seed in own[figure]
        for part in experiments["figures"][figure]["parts"]
        for where, options in _cells(*_with_given(experiments, figure, part, typed or {}), typed or {})
        for cell in _at_grid(where, options | {"seed": seed}, typed or {}, grid or {})
    ]
    plan, folders = Plan(), set()
    for cell in _select(cells, only or {}):
        if isinstance(cell, LeftOut):
            if cell not in plan.left_out:
                plan.left_out.append(cell)
            continue
        if (cell.figure, cell.folder) not in folders:
            plan.counts[cell.figure] = plan.counts.get(cell.figure, 0) + 1
        if cell.folder not in folders:
            plan.runs.append(cell)
        folders |= {cell.folder, (cell.figure, cell.folder)}
    if not plan.runs:
        raise UsageError(plan.left_out[0].reason)
    for name in grid or ():
        if not any(name in run.config.identity() for run in plan.runs):
            raise UsageError(f"--grid {flag(FIELDS[name])}: it changes none of these runs")
    return plan


def _with_given(
    experiments: dict[str, Any], figure: str, part: dict[str, Any], typed: Options
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """`experiments` and `part` with the task and the LLM that the person names, where the part leaves them open."""
    if GIVEN not in (part["tasks"], part["llms"]):
        return experiments, figure, part
    if "env" not in typed:
        raise UsageError(f"figure {figure} is of any task: --env NAME says which")
    mode = typed.get("serving_mode") or ("vllm" if "llm" in typed else EMBEDDED)
    llm = typed.get("llm", EMBEDDED_READER)
    known = {llm: {"serving_mode": mode}} | experiments["llms"]
    return experiments | {"llms": known}, figure, part | {"tasks": [typed["env"]], "llms": [llm]}


def _cells(
    experiments: dict[str, Any], figure: str, part: dict[str, Any], typed: Options
) -> list[tuple[tuple[str, ...], Options]]:
    """Each (labels, options) of a figure's part; without the seed."""
    title = part.get("title", experiments["figures"][figure]["title"])
    cells = []
    for task, llm, method in itertools.product(part["tasks"], part["llms"], part["methods"]):
        for what, name in (("llms", llm), ("methods", method)):
            if name not in experiments[what]:
                raise unknown_choice(f"{what[:-1]} of figure {figure}", name, experiments[what])
        own = by_field({"env": task} if isinstance(task, str) else task)
        options = _options(experiments, by_field(part.get("options", {})) | own, llm, method, typed)
        cells.append(((figure, title, task_label(own), method, llm), options))
    return cells


def _options(experiments: dict[str, Any], of_task: Options, llm: str, method: str, typed: Options) -> Options:
    llms, encoders = experiments["llms"], by_field(experiments["encoders"])
    name = typed.get("llm", llm)
    served = llms[name] if name in llms else {"serving_mode": llms[llm]["serving_mode"]}
    own = by_field(experiments["methods"][method])
    if of_task.get("llms") and find_agent(own.get("agent", "cbr")).who != "one":
        served = {"serving_mode": None}  # each of them says itself how it is reached
    if of_task.get("judge_llm") == llm:  # it judges itself, and so does the LLM in its place
        of_task = of_task | {"judge_llm": name}
    options = encoders | {"llm": name} | by_field(served) | of_task | own | typed
    if options["serving_mode"] == EMBEDDED:  # no LLM, no judge, no download
        absent = {"llm", "model_path", "judge_llm", *encoders} - typed.keys()
        options = {name: value for name, value in options.items() if name not in absent}
        options |= {"llms": EMBEDDED_READER} if options.get("llms") and "llms" not in typed else {}
    if options.get("llms") and find_agent(options["agent"]).who != "one":
        options |= {"llm": None}  # several have no one name
    return _tuned(experiments, options) | options


def _tuned(experiments: dict[str, Any], options: Options) -> Options:
    if options["agent"] == "reinforce":
        rates = experiments["reinforce_learning_rate"]
        return {"learning_rate": rates.get(options["env"], rates["default"])}
    row = experiments["tuned"].get(task_label(options), {}).get(options.get("llm"))
    return dict(zip(("learning_rate", "exploration"), row)) if row else {}


def _at_grid(
    where: tuple[str, ...], options: Options, typed: Options, grid: dict[str, list[Any]]
) -> list[Run | LeftOut]:
    """The run at every point of the grid; one where there is no grid."""
    cells = []
    for values in itertools.product(*grid.values()):
        try:
            cells.append(_make_run(where, options, typed, dict(zip(grid, values))))
        except UsageError as error:
            cells.append(LeftOut(*where, options, reason=str(error)))
    return cells


def _make_run(where: tuple[str, ...], options: Options, typed: Options, point: Options) -> Run:
    if options["env"] not in ENV_DICT and "env" not in typed and not plugins.is_outside(options["env"]):
        raise UsageError(f"this version has no task {options['env']}")
    if options["serving_mode"] == "hf" and options.get("model_path", "") is None:
        raise UsageError(f"{options['llm']} is closed: there are no weights that main.py could run")
    used = Config(**options).identity()
    point = {name: value for name, value in point.items() if name in used}
    options = options | point
    config = Config(**options)
    check_fits(config, find_env(config.env))
    if config.serving_mode == EMBEDDED and config.web_search and not os.environ.get("SERPER_API_KEY"):
        raise UsageError("--web_search needs a key of https://serper.dev in the variable SERPER_API_KEY")
    words = [
        word
        for name in FIELDS
        if options.get(name) is not None
        and (name in used or name in typed or (name == "llms" and config.members) or _is_where(name, options))
        for word in words_of(FIELDS[name], options[name])
    ]
    setting = " ".join(f"{flag(FIELDS[name])}={value}" for name, value in point.items())
    return Run(*where, options, config, tuple(words), setting)


def _is_where(name: str, options: Options) -> bool:
    """Whether a described LLM says with this option where it is."""
    return name in about("server") and options[name] != FIELDS[name].default


def reasons(left_out: list[LeftOut]) -> list[str]:
    """A line for each reason: which methods are left out for it, and how many runs that is."""
    methods: dict[str, list[str]] = {}
    for cell in left_out:
        methods.setdefault(cell.reason, []).append(cell.method)
    return [
        f"left out: {', '.join(dict.fromkeys(names))} ({len(names)}): {reason}" for reason, names in methods.items()
    ]


# -- names -----------------------------------------------------------------------------------------------------------


def by_field(options: dict[str, Any]) -> Options:
    """Options as experiments.yaml spells them (nu) under the names of Config's fields (exploration)."""
    for name in options:
        if name not in BY_FLAG:
            raise unknown_choice("option in the description of experiments", name, BY_FLAG)
    return {BY_FLAG[name]: value for name, value in options.items()}


def task_label(options: Mapping[str, Any]) -> str:
    """A task's name in tables: its env, and web_search where it searches the web."""
    return options["env"] + (" web_search" if options.get("web_search") else "")


def _select(cells: list[Run | LeftOut], only: dict[str, set[str]]) -> list[Run | LeftOut]:
    everything = cells
    for key, wanted in only.items():
        there = {value for cell in everything for value in _values(cell, key)}
        unknown = sorted(wanted - there)
        if unknown:
            raise unknown_choice(f"--only {key}", unknown[0], sorted(there))
        cells = [cell for cell in cells if wanted & _values(cell, key)]
    if not cells:
        raise UsageError(f"--only {','.join(f'{key}={value}' for key in only for value in only[key])} leaves no run")
    return cells


def _values(cell: Run | LeftOut, key: str) -> set[str]:
    """What --only may say about `cell` under `key`: a label, or an option's value; the LLM has both."""
    labels = {getattr(cell, key)} if key in ("figure", "part", "task", "method", "llm") else set()
    options = cell.config.identity() if isinstance(cell, Run) else cell.options
    value = options.get(BY_FLAG.get(key, ""))
    return labels if value is None else labels | {str(value).lower() if isinstance(value, bool) else str(value)}
