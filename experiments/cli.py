"""Run a figure of a paper: `python scripts/run_experiments.py 3 --only env=ddxplus --seeds 0-1 --workers 2`.

`--methods zero-shot,cbr --tasks banking77,lfd` runs a plan of one's own, as a description does (`--experiments FILE`).
`memory --env NAME` compares all memory methods and their controls on one task, a user's own included.

Finished runs are skipped and unfinished ones continued, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from typing import Any

from command_line import Parser, add_options
from config import FIELDS, Config, about
from env import ENV_ALIASES
from errors import UsageError, exit_code, unknown_choice
from options import flag

from .description import BY_FLAG, EXPERIMENTS, PLAN, Described, complete, described_by, keep, read_description
from .local import LocalEngine
from .plan import Plan, load_experiments, make_plan, reasons, with_controls

RUNNER_OPTIONS = (
    "figures methods tasks only seeds workers engine ray_address gpus_per_run cpus_per_run grid experiments dry_run"
).split()
SWEPT = {
    flag(FIELDS[name])
    for name in about("stream", "method", "tuning", "llm", "task")
    if not FIELDS[name].metadata.get("fixed")
}
FIGURES = (
    "3, 4a, 4b, 5, 6, supplement; streambench, streambench-ablations, streambench-seeds, evo-memory, memento; or "
    "memory: all memory methods on the task --env"
)
ONLY_HELP = "only runs with these options, or this method=, task=, llm= or part= of the figure; a name again: or that"
METHODS_HELP = (
    "a plan of your own instead of a figure: methods of experiments.yaml, agents or AGENT-POLICY, on --tasks; --llms "
    "then names the LLMs that each of them is run with, as in 'qwen3-8b port=8001,gpt-4o serving_mode=openai'"
)
LABELS = ("figure", "part", "task", "method")


def parse(argv: list[str]) -> tuple[Namespace, dict[str, Any]]:
    """The runner's own options, and those of main.py that were typed, by field name."""
    parser = Parser("scripts/run_experiments.py", "Run the experiments of the paper's figures.")
    parser.usage = "python scripts/run_experiments.py FIGURE ... [--only NAME=VALUE,...] [--seeds 0-4] [OPTION ...]"
    own = parser.add_argument_group("the runner").add_argument
    own("figures", nargs="*", metavar="FIGURE", help=FIGURES)
    own("--methods", metavar="NAME,NAME,...", help=METHODS_HELP)
    own("--tasks", metavar="NAME,NAME,...", help="with --methods: the tasks, or places of your own")
    own("--only", action="append", default=[], metavar="NAME=VALUE,...", help=ONLY_HELP)
    own("--seeds", metavar="0-4", help="seeds, such as 0-4 or 0,2 (default: the five of the paper)")
    own("--workers", type=int, metavar="N", help="runs at once (default: 2; on a Ray cluster, what fits)")
    own("--engine", choices=("local", "ray"), default="local", help="default: local, processes of this machine")
    own("--ray_address", metavar="ADDRESS", help="ray: the cluster (default: start one on this machine)")
    own("--gpus_per_run", type=float, metavar="F", help="ray: GPUs of a run, fractions too (default: 0)")
    own("--cpus_per_run", type=float, metavar="F", help="ray: cores of a run (default: 1)")
    own("--grid", nargs="+", default=[], metavar="NAME=A,B", help="run every combination of these settings")
    own(
        "--experiments", type=Path, default=EXPERIMENTS, metavar="FILE", help="a description of experiments of your own"
    )
    own("--dry-run", action="store_true", help="print the command lines and start nothing")
    add_options(parser, "main.py: ")
    named = vars(parser.parse_args(argv))
    runner = Namespace(**{name: named.pop(name) for name in RUNNER_OPTIONS})
    for name, lowest in (("workers", 1), ("gpus_per_run", 0), ("cpus_per_run", 0)):
        value = getattr(runner, name)
        if value is not None and not lowest <= value < float("inf"):
            raise UsageError(f"--{name} must be at least {lowest}, not {value}")
    for name in ("ray_address", "gpus_per_run", "cpus_per_run"):
        if runner.engine == "local" and getattr(runner, name) is not None:
            raise UsageError(f"--{name} needs --engine ray")
    if named.get("env") in ENV_ALIASES:
        named["env"] = ENV_ALIASES[named["env"]]
    if bool(runner.methods) != bool(runner.tasks):
        raise UsageError("--methods and --tasks make a plan together: name both, or a figure")
    if bool(runner.methods) == bool(runner.figures):
        raise UsageError("name a figure, or --methods and --tasks, as in --methods zero-shot,cbr --tasks banking77,lfd")
    if "seed" in named:
        raise UsageError("--seed is main.py's; here --seeds says which, such as --seeds 0-1")
    return runner, named


def parse_seeds(text: str) -> list[int]:
    """`0-2,5` -> [0, 1, 2, 5]."""
    seeds = []
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UsageError(f"--seeds {text}: write seeds as 0-4 or 0,2")
        seeds += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(seeds))


def parse_only(texts: list[str]) -> dict[str, set[str]]:
    """`env=ddxplus,agent=cbr` -> {"env": {"ddxplus"}, "agent": {"cbr"}}."""
    only: dict[str, set[str]] = {}
    for piece in (piece for text in texts for piece in text.split(",")):
        key, equals, value = piece.partition("=")
        if not equals:
            raise UsageError(f"--only {piece}: write NAME=VALUE, such as env=ddxplus")
        if key not in LABELS and key not in BY_FLAG:
            raise unknown_choice("--only", key, [*LABELS, *BY_FLAG])
        only.setdefault(key, set()).add(value)
    return only


def parse_grid(texts: list[str], typed: dict[str, Any]) -> dict[str, list[Any]]:
    """`nu=0.1,0.2` -> {"exploration": [0.1, 0.2]}."""
    parser = Parser("scripts/run_experiments.py", "")
    add_options(parser)
    grid = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not values or key not in SWEPT:
            raise UsageError(f"--grid {text}: write OPTION=VALUE,VALUE with a setting such as nu or learning_rate")
        if BY_FLAG[key] in typed:
            raise UsageError(f"--grid {text} and --{key} contradict each other: drop one")
        parsed = [vars(parser.parse_args([f"--{key}={value}"]))[BY_FLAG[key]] for value in values.split(",")]
        for value in parsed:
            Config(**{BY_FLAG[key]: value})  # refuses a value out of range
        grid[BY_FLAG[key]] = list(dict.fromkeys(parsed))
    return grid


def print_plan(plan: Plan) -> None:
    """The command lines on stdout, and on stderr how many each figure has."""
    try:
        print("\n".join(run.command for run in plan.runs), flush=True)
    except BrokenPipeError:  # `| head` has seen enough; Python would complain again on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for figure, count in plan.counts.items():
        print(f"figure {figure}: {count} runs", file=sys.stderr)
    if len(plan.counts) > 1:
        print(f"together: {len(plan.runs)} different runs", file=sys.stderr)
    for figure in plan.counts:
        for line in reasons([cell for cell in plan.left_out if cell.figure == figure]):
            print(f"figure {figure}: {line}", file=sys.stderr)


def make_engine(options: Namespace, count: int) -> Any:
    """The engine that the options ask for, for `count` runs."""
    if options.engine == "local":
        return LocalEngine(min(options.workers or 2, max(1, count)))
    from .ray_engine import RayEngine

    return RayEngine(options.workers, options.ray_address, options.cpus_per_run or 1.0, options.gpus_per_run or 0.0)


def run(options: Namespace, plan: Plan, swept: list[str]) -> int:
    """Carry out the plan and print what became of it; returns the exit code."""
    from .board import Board, print_contests, print_outcomes
    from .grid import contests
    from .runner import FAILED, LEFT, carry_out, look_up

    outcomes = look_up(plan.runs)
    left = sum(outcome.state == LEFT for outcome in outcomes.values())
    completed = True
    if left:
        with closing(make_engine(options, left)) as engine, Board(len(outcomes), len(outcomes) - left) as board:
            completed = carry_out(outcomes, engine, board)
    print_outcomes(outcomes, plan.left_out)
    if len(plan.counts) == 1 and any(outcome.summary for outcome in outcomes.values()):
        root = plan.runs[0].config.output_dir
        print(f"{shlex.join(['python', 'scripts/report.py', root, '--figure', *plan.counts])} makes tables and plots")
    if swept:
        print_contests(contests((run.folder for run in outcomes), swept))
    if not completed:
        without = " without --overwrite" if any(run.config.overwrite for run in outcomes) else ""
        print(f"interrupted: the same command{without} goes on with what is left", file=sys.stderr)
        return 130
    return int(any(outcome.state == FAILED for outcome in outcomes.values()))


def main(argv: list[str]) -> int:
    """The command line; returns the exit code: 0, 1 where a run failed, 2 for usage, 130 for Ctrl-C."""
    return exit_code(lambda: plan_and_run(argv))


def plan_and_run(argv: list[str]) -> int:
    """Do what the command line asks for. Raises UserError."""
    options, typed = parse(argv)
    grid = parse_grid(options.grid, typed)
    seeds = parse_seeds(options.seeds) if options.seeds else None
    own = describe_own(options, typed)
    experiments = load_experiments(options.experiments)
    if options.methods and own is not None:
        experiments = with_controls(complete(own, "this plan"))
        options.figures = [PLAN]
    plan = make_plan(experiments, options.figures, typed, parse_only(options.only), seeds, grid)
    if options.dry_run:
        print_plan(plan)
        return 0
    if own is not None:
        keep(own, options.figures, Path(plan.runs[0].config.output_dir))
    return run(options, plan, list(grid))


def describe_own(options: Namespace, typed: dict[str, Any]) -> Described | None:
    """The description of one's own that is to be planned: a file's, or the command line's; None for what ships.

    Takes --llms, where it names the plan's, from what is typed for every run.
    """
    if options.methods:
        return described_by(options.methods, options.tasks, typed.pop("llms", None) or typed.get("llm"))
    return None if options.experiments == EXPERIMENTS else read_description(options.experiments)
