"""Policies that learn what a case is worth and do not explore: Memento's Q and Traj-Bootstrap's utility.

Beside the bandits they show what exploration adds: the same recall, the same encoder, the same bit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bandit import NeuralLinear, Pair, Phi, Policy, Scores
from memory.bank import name_of
from step import Case, Metrics


class MementoQ(NeuralLinear):
    """Memento's parametric memory (arXiv 2508.16153): Q(s, c) = P(reward 1 | query s, case c), the k largest are shown.

    Q = sigma(w . phi), phi of the query and of the case with its plan, w the encoder's head; both are trained by
    cross-entropy every `batch_size` * k pairs, as NeuralLinLogUCB's are, so the two differ in exploration. Each of the
    k cases shown at a step gets the step's bit, and the loss is a mean, so each weighs 1/k of the step's.

    `exploration` is 0 for Memento; above that it weighs NeuralLinLogUCB's bonus.
    """

    loss = "bce"

    def pairs(self, query: str, cases: Sequence[Case]) -> list[Pair]:
        return [(query, f"{case.task}\n{plan_of(case)}") for case in cases]

    def score_features(self, phi: Tensor) -> Scores:
        q = torch.sigmoid(phi @ self.w)
        return Scores(q, self.exploration * self.confidence.width(phi) if self.exploration else torch.zeros_like(q))

    @property
    def uses_confidence(self) -> bool:
        return self.exploration > 0

    def learn_online(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None) -> None:
        if self.uses_confidence:  # else nothing moves, and nothing need be encoded
            super().learn_online(query, cases, reward, phi)

    def learn(self, phi: Tensor, rewards: Tensor) -> None:
        """Between two training steps Q stays as it is."""

    def rebuild(self, phi: Tensor, rewards: Tensor, weights: Tensor) -> None:
        self.w = self.head_weight()


def plan_of(case: Case) -> str:
    """What was done in a case, as a text."""
    if case.output:
        return case.output
    return case.answer if isinstance(case.answer, str) else json.dumps(case.answer, ensure_ascii=False, sort_keys=True)


class Utility(Policy):
    """Traj-Bootstrap's exemplar selection (arXiv 2505.00234): the share of successes among steps that showed a case.

    A case starts at Beta(1, 1): (1 + successes) / (2 + steps), which one that was never shown has as 1/2. Ties go to
    the better recall rank.
    """

    def __init__(self) -> None:
        self._counts: dict[int | str, tuple[int, int]] = {}  # by case: steps that showed it, successes among them

    def score(self, query: str, cases: Sequence[Case]) -> Scores:
        counts = [self._counts.get(name_of(case), (0, 0)) for case in cases]
        utility = torch.tensor([(1 + won) / (2 + shown) for shown, won in counts], dtype=torch.float64)
        return Scores(utility, torch.zeros_like(utility))

    def update(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None = None) -> Metrics:
        for case in cases:
            shown, won = self._counts.get(name_of(case), (0, 0))
            self._counts[name_of(case)] = shown + 1, won + reward
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"counts": [[case, shown, won] for case, (shown, won) in self._counts.items()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._counts = {case: (shown, won) for case, shown, won in state["counts"]}
