"""Play a planted stream with a policy and add up its regret.

The loop is that of agent.Ranked on the real case bank and the real policies; what is planted are the vectors of texts
and the LLM's chance of success. The regret of a step is the chance of the best set of the recalled cases, or of none,
less the chance of what was shown: no luck of the draw is in it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from agent import make_policy
from bandit import Policy, Scores
from config import Config
from memory.bank import CaseBank
from memory.pair_encoders import PairEncoder, cosine_head
from step import Case, Step

from .worlds import CLASSES, DIM, Query, World, queries

ZERO_SHOT = "zero-shot"
LEARNING_RATE = 1e-2  # of the planted encoder, which is one matrix


class PlantedTexts:
    """A text encoder that knows the vector of each text's first line."""

    dim = DIM
    device = torch.device("cpu")

    def __init__(self, stream: Sequence[Query]) -> None:
        self._vectors = {query.text: query.vector for query in stream}

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.stack([self._vectors[text.partition("\n")[0]] for text in texts])

    def remember(self, texts: list[str], embeddings: np.ndarray) -> None:
        """Nothing is forgotten."""


class PlantedPairs(PairEncoder):
    """phi = [u * v, |u - v|] of two texts' vectors after a matrix, the identity at first, that training moves."""

    def __init__(self, texts: PlantedTexts, seed: int) -> None:
        head = nn.Linear(2 * DIM, 1, bias=False)
        with torch.no_grad():
            head.weight.copy_(cosine_head(DIM))
        super().__init__(head, texts.device, LEARNING_RATE, 1e-5, seed)
        self._texts = texts
        self._matrix = nn.Linear(DIM, DIM, bias=False)
        nn.init.eye_(self._matrix.weight)

    def encode(self, pairs: list[tuple[str, str]]) -> Tensor:
        with torch.no_grad():
            return self._features(pairs)

    def _features(self, pairs: list[tuple[str, str]]) -> Tensor:
        sides = (torch.from_numpy(self._texts.encode([pair[side] for pair in pairs])) for side in (0, 1))
        u, v = (nn.functional.normalize(self._matrix(side), dim=1) for side in sides)
        return torch.cat([u * v, (u - v).abs()], dim=1)

    def _trainable(self) -> nn.Module:
        return self._matrix

    def twin(self) -> PlantedPairs:
        return copy.deepcopy(self, {id(self._texts): self._texts})


class ShowsNothing(Policy):
    """Zero-shot, as a policy: every case ranks below showing none."""

    may_show_nothing = True

    def score(self, query: str, cases: Sequence[Case]) -> Scores:
        zeros = torch.zeros(len(cases), dtype=torch.float64)
        return Scores(zeros, zeros, nothing=1.0)


@dataclass(frozen=True)
class Played:
    """One stream played: the regret of each step and how many cases each showed."""

    regret: np.ndarray
    shown: np.ndarray


def play(world: World, bandit: str, steps: int, seed: int, **options: Any) -> Played:
    """Let a policy of the registry, or ZERO_SHOT, play `steps` steps of the world; `options` are config fields."""
    stream = queries(world, steps, seed)
    texts = PlantedTexts(stream)
    none = bandit == ZERO_SHOT
    config = Config(env="banking77", agent="cbr", bandit=None if none else bandit, seed=seed, comk=world.k, **options)
    policy: Policy = ShowsNothing()
    if not none:
        policy = make_policy(config, cast(Any, texts), pair_encoder=lambda: PlantedPairs(texts, seed))
    return follow(policy, world, stream, texts, config.recall_size, seed)


def follow(
    policy: Policy, world: World, stream: Sequence[Query], texts: PlantedTexts, recall_size: int, seed: int
) -> Played:
    """Let `policy` choose and learn through the stream."""
    bank = CaseBank(texts)
    regret, sizes = [], []
    for query in stream:
        step = Step(query.number, query.text)
        recalled = bank.recall(query.text, recall_size)
        if len(bank) <= (0 if policy.may_show_nothing else world.k):
            step.show(recalled)
        else:
            scores = policy.score(query.text, recalled)
            chosen = scores.top(world.k)
            step.show([recalled[i] for i in chosen], None, scores.chosen(chosen))
        chance = chance_of(world, query, stream, step.cases)
        regret.append(best_chance(world, query, stream, recalled) - chance)
        sizes.append(len(step.cases))
        step.answer, step.reward = _answered(world, query, step.cases, chance, len(stream), seed)
        if step.cases or step.arms is not None:
            policy.update(step.task, step.cases, step.reward, step.arms)
        policy.observe(step)
        bank.add(Case(query.text, world.answer(query, len(stream)), 1, query.number))
    return Played(np.array(regret), np.array(sizes))


def chance_of(world: World, query: Query, stream: Sequence[Query], cases: Sequence[Case]) -> float:
    return world.chance(query, [stream[case.step - 1] for case in cases], cases, len(stream))


def best_chance(world: World, query: Query, stream: Sequence[Query], recalled: Sequence[Case]) -> float:
    """The chance of success of the best that could be shown: up to k of the recalled cases."""
    sets = (chosen for size in range(world.k + 1) for chosen in itertools.combinations(recalled, size))
    return max(chance_of(world, query, stream, chosen) for chosen in sets)


def _answered(
    world: World, query: Query, cases: Sequence[Case], chance: float, steps: int, seed: int
) -> tuple[str, int]:
    """What the LLM says, and whether it is right: the draw of a step is the same whatever the policy."""
    luck = np.random.default_rng([seed, query.number])
    right = world.label(query, steps)
    if luck.random() < chance:
        return right, 1
    shown = [str(case.answer) for case in cases if case.answer != right and world.copied]
    others = [str(label) for label in range(CLASSES) if str(label) != right]
    return (shown[0] if shown else others[int(luck.integers(len(others)))]), 0
