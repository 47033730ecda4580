"""Runs in this process that keep every prompt: what the tests of the methods compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import main
from agent import Agent, make_agent
from clients.scripted import ScriptedClient
from config import Config
from env import Env, make_env
from helpers.runs import lfd_stream, steps
from llm import LLM, Reply, Roster
from runs.folder import RunLog
from runs.track import Tracker

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

Answer = Callable[[Env, str], str | Reply]


@dataclass
class Played:
    """A run: its prompts in the order that they were asked, its steps, and the agent at its end."""

    config: Config
    agent: Agent
    env: Env
    prompts: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def shown(self) -> list[list[int]]:
        """The ids of each step's cases."""
        return [[case["id"] for case in step["cases"]] for step in self.steps]


def half_right(env: Env, prompt: str) -> str:
    """Right on a fixed half of the rows, whatever the prompt shows; wrong with another label on the rest."""
    labels = env.labels.names
    truth = env.get_ground_truth()
    right = sum(env.observe().encode()) % 2 == 0
    return env.format_answer(truth if right else labels[(labels.index(truth) + 1) % len(labels)])


def play(folder: Path, encoder: TextEncoder, answer: Answer = half_right, size: int = 40, **options: Any) -> Played:
    """Carry out a run on a stream of the task lfd; `answer` sees the environment and the last message."""
    name = "-".join(f"{name}={value}" for name, value in options.items()).replace("/", "_")
    if not (folder / "stream.jsonl").exists():
        lfd_stream(folder, size)
    config = Config(env="lfd", data=str(folder / "stream.jsonl"), **options)
    env = make_env(config.env, config.data, config.seed if config.shuffle else None, config.limit, config)
    played = Played(config, None, env)  # type: ignore[arg-type]

    def reply(prompt: str) -> str | Reply:
        played.prompts.append(prompt)
        return answer(env, prompt)

    llm = LLM(ScriptedClient(reply))
    if config.members:
        llm = Roster([LLM(ScriptedClient(reply), name=name) for name in str(config.llm).split(",")])
    played.agent = make_agent(config, env, llm, lambda: encoder)
    log = RunLog(folder / name, config.identity(), overwrite=True, checkpoint_seconds=600)
    try:
        log.begin({}, {})
        main.run(env, played.agent, log, Tracker(config))
        played.steps = steps(log.folder)
    finally:
        log.close()
    return played
