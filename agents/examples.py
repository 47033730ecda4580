"""Few-shot: k rows of a training or validation file, the same in every prompt. They are never rows of the stream."""

from __future__ import annotations

import numpy as np

from agent import NoRetrieval, Parts
from config import Config
from env import Env, make_env
from env.base import Row
from errors import UsageError
from step import Case, Step, as_plain


class Examples:
    """The rows of --examples as cases, in the order of the seed.

    Raises UsageError where they are the stream's own or fewer than k.
    """

    def __init__(self, config: Config, env: Env) -> None:
        self._k = config.comk or 0
        self._seed = config.seed if config.control == "random" else None
        if env.data_file is None:
            raise UsageError(
                f"--agent {config.agent}: the task {config.env} makes its rows itself and reads no --examples"
            )
        source = make_env(config.env, str(config.examples), config.seed, None, config)
        try:
            asked = _stream(config, env)
            left = [i for i, row in enumerate(source.dataset) if _content(source, row) not in asked]
            if not left:
                raise UsageError(
                    f"--examples {config.examples} are the stream's own rows: name a file of training rows"
                )
            if len(left) < self._k:
                there = f"has {len(left)} rows that are not of the stream"
                raise UsageError(f"--examples {config.examples} {there}: --comk {self._k} needs more")
            wanted = left[: self._k] if self._seed is None else left
            self._cases = [_case(source, i) for i in wanted]
        finally:
            source.close()

    def at(self, step: int) -> list[Case]:
        """The k rows that `step` shows: the first ones, or as a control others in every step."""
        if self._seed is None:
            return self._cases
        drawn = np.random.default_rng([self._seed, step]).permutation(len(self._cases))[: self._k]
        return [self._cases[i] for i in drawn]


class Fixed(NoRetrieval):
    """Shows rows of --examples and learns nothing, so every prompt is known beforehand."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._examples = Examples(parts.config, parts.env)

    def retrieve(self, step: Step) -> None:
        step.show(self._examples.at(step.number))


def _stream(config: Config, env: Env) -> set[str]:
    """The rows of the stream, those after --limit too."""
    if config.limit is None:
        return {_content(env, row) for row in env.dataset}
    whole = make_env(config.env, config.data, None, None, config)
    try:
        return {_content(whole, row) for row in whole.dataset}
    finally:
        whole.close()


def _content(env: Env, row: Row) -> str:
    """What a row says, whatever else its file holds beside it."""
    return repr([row.get(name) for name in env.fields])


def _case(env: Env, index: int) -> Case:
    env.index = index
    return Case(env.observe(), as_plain(env.get_ground_truth()))
