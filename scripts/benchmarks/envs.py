"""How fast the multi-turn tasks are without an LLM, and how much of a step is theirs: `benchmark.py envs`.

Each task's sample is played by an agent that learns (cbr with the default policy), with a client that answers at once
and right: the games' own solutions, the rows' own scripts, a search with the question. What the environment takes is
what `observe`, `interact` and `evaluate` take, the start of a game with it; the rest of a step is retrieval, the policy
and the log. A game whose own solution is longer than the task's turns is not won.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import main as command_line
from agent import make_agent
from clients.scripted import ScriptedClient
from config import Config
from env import Env, make_env
from llm import LLM, Reply
from runs.folder import RunLog
from runs.track import NoTracker

SEARCHES = 2  # before the answer of 2wiki


def play_solution(env: Env) -> Callable[[], str]:
    """The games' solutions, looked up before anything is timed."""
    solutions = []
    for env.index in range(len(env)):
        solutions.append(env.get_ground_truth().splitlines())
    env.reset()
    return lambda: solutions[env.index][len(env.turns) % len(solutions[env.index])]


def write_script(env: Env) -> Callable[[], str]:
    return lambda: env.format_answer(env.get_ground_truth())


def search(env: Env) -> Callable[[], str | Reply]:
    def reply() -> str | Reply:
        if len(env.turns) >= SEARCHES:
            return f"\\boxed{{{env.row['label'][0]}}}"
        function = {"name": "retrieve", "arguments": json.dumps({"query": env.observe()})}
        return Reply("", tool_calls=[{"id": f"call{len(env.turns)}", "type": "function", "function": function}])

    return reply


# task -> given its environment, what writes the next reply
PLAYERS: dict[str, Callable[[Env], Callable[[], str | Reply]]] = {
    "alfworld": play_solution,
    "alfworld-react": play_solution,
    "scienceworld": play_solution,
    "scienceworld-react": play_solution,
    "ehr": write_script,
    "2wiki": search,
}


@dataclass
class Costs:
    """Seconds, of `steps` steps with `turns` turns and `won` rewards."""

    steps: int
    turns: int
    won: int
    in_env: float
    in_all: float

    def row(self, task: str) -> str:
        turn, step, whole = self.in_env / self.turns, self.in_env / self.steps, self.in_all / self.steps
        times = f"{1000 * turn:.0f} | {1000 * step:.0f} | {1000 * whole:.0f}"
        return f"| {task} | {self.steps} | {self.won} | {1 / turn:.1f} | {times} | {step / whole:.0%} |"


class Stopwatch:
    """Adds up the time that the methods it wraps take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, owner: Any, name: str) -> None:
        method = getattr(owner, name)

        def timed(*arguments: Any) -> Any:
            begin = time.perf_counter()
            result = method(*arguments)
            self.seconds += time.perf_counter() - begin
            return result

        setattr(owner, name, timed)


class Laps(NoTracker):
    """Notes after each step what the stopwatch says, the client's own time taken off."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self.seconds: list[float] = []

    def log(self, record: dict[str, Any]) -> None:
        self.seconds.append(self._watch.seconds - record["llm_seconds"])
        self._watch.seconds = 0.0


def measure(task: str, steps: int, folder: Path) -> Costs:
    """Play the first rows of the task's sample; one more than `steps`, since the first step starts things up."""
    config = Config(env=task, agent="cbr", data="sample", limit=steps + 1, output_dir=str(folder))
    env = make_env(task, "sample", limit=steps + 1, config=config)
    log = RunLog(folder / task, config.identity(), overwrite=True, checkpoint_seconds=1e9)
    try:
        reply = PLAYERS[task](env)
        watch = Stopwatch()
        for method in ("observe", "interact", "evaluate"):
            watch.wrap(env, method)
        llm = LLM(ScriptedClient(lambda message: reply()))
        agent = make_agent(config, env, llm, command_line.make_text_encoder(config))
        laps = Laps(watch)
        command_line.run(env, agent, llm, log, laps)
    finally:
        log.close()
        env.close()
    records = log.records[1:]
    return Costs(
        steps=len(records),
        turns=sum(len(record["turns"]) for record in records),
        won=sum(record["reward"] for record in records),
        in_env=sum(laps.seconds[1:]),
        in_all=sum(record["agent_seconds"] for record in records),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--envs", nargs="+", default=list(PLAYERS), choices=list(PLAYERS))
    parser.add_argument("--steps", type=int, default=10, help="of each task (default: %(default)s)")


def report(arguments: argparse.Namespace) -> None:
    print("| task | steps | won | turns a second | ms a turn | ms of a step in the task | ms a step, no LLM | share |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for task in arguments.envs:
            print(measure(task, arguments.steps, Path(folder)).row(task), flush=True)
