"""Planted LLMs, tasks and an encoder: streams of which everything is known, played quickly by the real agents."""

from __future__ import annotations

import functools
import math
import re
import statistics
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy import stats

from agent import Agent, make_agent
from config import Config
from env.base import Env
from env.prompts.layout import build_prompts
from llm import LLM, Reply, Roster
from step import Step

SEEDS = range(10)
_WORD = re.compile(r"\w+")


class WordEncoder:
    """Texts -> unit vectors, the sum of a random direction for each word: equal words make texts near."""

    def __init__(self, dim: int = 32) -> None:
        self.dim = dim
        self.device = torch.device("cpu")
        self.precision = "float32"
        self._of_text = functools.lru_cache(100_000)(self._embed)

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([self._of_text(text) for text in texts], np.float32).reshape(len(texts), self.dim)

    def remember(self, texts: list[str], embeddings: np.ndarray) -> None:
        pass

    def _embed(self, text: str) -> np.ndarray:
        total = sum((self._direction(word) for word in _WORD.findall(text.lower())), np.zeros(self.dim))
        return total / (np.linalg.norm(total) or 1.0)

    @functools.cache  # noqa: B019  (an encoder lives as long as its test)
    def _direction(self, word: str) -> np.ndarray:
        return np.random.default_rng(list(word.encode())).standard_normal(self.dim)


class Topics(Env):
    """Questions of several topics; all of a topic have the same answer, one of `ANSWERS` labels."""

    name = "topics"
    ANSWERS = 8

    def __init__(self, seed: int, size: int, topics: int = 20) -> None:
        super().__init__()
        self.ZERO_SHOT_PROMPT, self.CASE_PROMPT, self.CBR_PROMPT = build_prompts("Answer.", "One word.")
        rng = np.random.default_rng([seed, 1])
        self.answers = rng.integers(self.ANSWERS, size=topics)
        drawn = rng.integers(topics, size=size)
        self.dataset = [
            {"task": f"topic{t} topic{t} question{i}", "topic": int(t), "label": f"answer{self.answers[t]}"}
            for i, t in enumerate(drawn)
        ]

    def extraction(self, text: str) -> str | None:
        return text or None


class PlantedClient:
    """Answers by a function of (environment, prompt, random numbers of this step); counts what it is asked.

    Attributes:
        asked: how many questions, tokens: how many words, of prompts and answers.
    """

    def __init__(self, env: Env, answer: Callable[[Env, str, np.random.Generator], str], seed: int) -> None:
        self._env, self._answer, self._seed = env, answer, seed
        self.asked = self.tokens = 0

    def details(self) -> dict[str, Any]:
        return {}

    def request(self, messages: list[Any], tools: Any, step: int, call: int) -> dict[str, Any]:
        return {"messages": messages}

    def complete(self, request: dict[str, Any]) -> Reply:
        prompt = request["messages"][-1]["content"]
        text = self._answer(self._env, prompt, np.random.default_rng([self._seed, self._env.index]))
        self.asked += 1
        self.tokens += len(prompt.split()) + len(text.split())
        return Reply(text, len(prompt.split()), len(text.split()))


def play(agent: Agent, env: Env) -> list[Step]:
    """The loop of main.py, without a log."""
    steps = []
    for env.index in range(len(env)):
        step = Step(env.index + 1, env.observe())
        agent.retrieve(step)
        agent.generate(step)
        step.answer, step.reward = env.evaluate(step.output)
        agent.update(step)
        agent.retain(step)
        steps.append(step)
    return steps


def planted_agent(config: Config, env: Env, clients: Sequence[PlantedClient], encoder: WordEncoder) -> Agent:
    names = [None] if len(clients) == 1 else [str(place) for place in range(len(clients))]
    llms = [LLM(client, name=name) for client, name in zip(clients, names)]
    return make_agent(config, env, Roster(llms) if config.members else llms[0], lambda: encoder)  # type: ignore[arg-type,return-value]


def shown(prompt: str) -> list[tuple[str, str, bool]]:
    """The cases in a prompt, in their order: (task, answer, whether it was shown as right)."""
    found = re.findall(r"<task>\n(.*?)\n</task>\n<answer>\n(.*?)\n</answer>\n</case>(?:\n(Feedback: [^\n]*))?", prompt)
    return [(task, answer, "wrong" not in feedback) for task, answer, feedback in found]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % t interval of the mean over seeds."""
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - half, statistics.mean(values) + half


class Loaded:
    """Stands for `make_load_encoder`'s function, with an encoder that needs no model."""

    encoder = WordEncoder()

    def __call__(self) -> WordEncoder:
        return self.encoder

    def cache_info(self) -> Any:
        return SimpleNamespace(currsize=0)
