"""How fast the multi-turn tasks are without an LLM, and how much of a step is theirs: `benchmark.py envs`.

Each task's sample is played by an agent that learns (cbr with the default policy), with a client that answers at once
and right: the games' own solutions, the rows' own scripts, a search with the question. What the environment takes is
what `interact` and `evaluate` take, the start of a game with it; the rest of a step is retrieval, the policy
and the log. A game whose own solution is longer than the task's turns is not won.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import main as command_line
from agent import make_agent
from clients.scripted import ScriptedClient
from config import Config
from env import Env, make_env
from llm import LLM, Reply
from runs.folder import RunLog
from runs.track import Tracker

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


def measure(task: str, steps: int, folder: Path) -> Costs:
    """Play the first rows of the task's sample; one more than `steps`, since the first step starts things up."""
    config = Config(env=task, agent="cbr", data="sample", limit=steps + 1, output_dir=str(folder))
    env = make_env(task, "sample", limit=steps + 1, config=config)
    log = RunLog(folder / task, config.identity(), overwrite=True, checkpoint_seconds=1e9)
    try:
        reply = PLAYERS[task](env)
        llm = LLM(ScriptedClient(lambda message: reply()))
        agent = make_agent(config, env, llm, command_line.make_load_encoder(config))
        command_line.run(env, agent, log, Tracker(config))
    finally:
        log.close()
        env.close()
    records = list(log.records(after=1))
    return Costs(
        steps=len(records),
        turns=sum(len(record["turns"]) for record in records),
        won=sum(record["reward"] for record in records),
        in_env=sum(record["env_seconds"] for record in records),
        in_all=sum(record["env_seconds"] + record["agent_seconds"] for record in records),
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
