"""mam-cbr: the arm is the pair (case, LLM). One choice says which case is shown and who answers; one bit comes back.

A pair's score is the sum of two parts:

- what the policy of --bandit says of (query, case), as in cbr: the part that all LLMs share;
- what the LLM's own linear model says of x(query, case): disjoint LinUCB (Li, Chu, Langford and Schapire, WWW 2010).

x is small and stays the same while a policy trains its encoder: 1, the query's recall embedding projected to a few
dimensions, by which an LLM may be good at some topics, and its cosine with the case, by which it may gain more from
near cases. So an LLM's strength is learned within tens of steps and at each of them, whatever the policy: also beside
one that never learns, or learns in batches, or with a step size too small to tell LLMs apart. While the bank is empty
the arms are the K LLMs with no case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from agent import Parts, Ranked
from step import Step

if TYPE_CHECKING:
    from bandit import Phi
    from runs.checkpoint import Checkpoint
    from step import Case

TOPICS = 16  # dimensions that the query's embedding is projected to


class Chosen(NamedTuple):
    """What goes back with the reward: the policy's features of the shown cases, and x of the chosen pair."""

    phi: Phi | None
    x: np.ndarray


class RankedPairs(Ranked):
    """Recall R cases, score R * K pairs, show the best pair's case; for k above 1 also the best others of its LLM."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._encoder = parts.text_encoder()
        self.llms = LinearModels(len(parts.config.members), 2 + min(TOPICS, self._encoder.dim))
        self._projection = projection(self._encoder.dim, parts.config.seed)

    def retrieve(self, step: Step) -> None:
        cases = self.bank.recall(step.task, self._recall_size)
        x = self.context(step.task, cases)
        own, width = self.llms.score(x)
        scores = self.policy.score(step.task, cases) if len(cases) > self.k else None
        total = own + width if scores is None else own + width + scores.total.cpu().numpy()[:, None]
        if scores is not None:
            scores.top(1)  # refuses what is not finite
        step.member = int(np.argmax(total.max(0)))
        ranked = np.argsort(-total[:, step.member], kind="stable")
        best, shown = int(ranked[0]), ranked[: min(self.k, len(cases))].tolist()
        phi = scores.chosen(shown) if scores is not None else None
        step.show([cases[i] for i in shown], total[shown, step.member].tolist(), Chosen(phi, x[best]))
        step.metrics |= scores.metrics(shown) if scores is not None else {}
        step.metrics |= {"llm/exploit": float(own[best, step.member]), "llm/explore": float(width[best, step.member])}

    def context(self, query: str, cases: list[Case]) -> np.ndarray:
        """x of each case, [n, d]; without cases one row, whose cosine is 0."""
        u, *others = self._encoder.encode([query, *(case.task for case in cases)]).astype(np.float64)
        cosine = np.array([other @ u for other in others]) if others else np.zeros(1)
        n = len(cosine)
        return np.column_stack([np.ones(n), np.tile(u @ self._projection, (n, 1)), cosine])

    def update(self, step: Step, reward: int) -> None:
        self.llms.update(step.member, step.arms.x, reward)
        if step.cases:
            step.metrics |= self.policy.update(step.task, step.cases, reward, step.arms.phi)

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        checkpoint.put("llms", {"inverse": torch.from_numpy(self.llms.inverse), "b": torch.from_numpy(self.llms.b)})

    def load(self, checkpoint: Checkpoint) -> None:
        super().load(checkpoint)
        state = checkpoint.get("llms")
        self.llms.inverse, self.llms.b = state["inverse"].numpy(), state["b"].numpy()


class LinearModels:
    """A ridge regression of the reward on x for each LLM, with its confidence.

    score = w . x + ALPHA * sqrt(x' A^-1 x), w = A^-1 b, A = I + sum of x x', b the sum of reward * x.

    Attributes:
        inverse: A^-1 of each LLM, [K, d, d].
        b: [K, d].
    """

    ALPHA = 0.25

    def __init__(self, size: int, dim: int) -> None:
        self.inverse = np.tile(np.eye(dim), (size, 1, 1))
        self.b = np.zeros((size, dim))

    def score(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both terms of each row of x [n, d] with each LLM, [n, K]."""
        weights = np.einsum("kij,kj->ik", self.inverse, self.b)
        squares = np.einsum("nki,ni->nk", np.einsum("ni,kij->nkj", x, self.inverse), x)
        return x @ weights, self.ALPHA * np.sqrt(np.maximum(squares, 0.0))

    def update(self, member: int, x: np.ndarray, reward: int) -> None:
        """Take in that the LLM number `member` got `reward` at x [d]."""
        direction = self.inverse[member] @ x
        self.inverse[member] -= np.outer(direction, direction) / (1.0 + x @ direction)
        self.b[member] += reward * x


def projection(dim: int, seed: int) -> np.ndarray:
    """Orthonormal directions drawn by the seed, [dim, at most TOPICS], scaled to keep lengths on average."""
    drawn = np.random.default_rng(seed).standard_normal((dim, min(TOPICS, dim)))
    basis, _ = np.linalg.qr(drawn)
    return basis * np.sqrt(dim / basis.shape[1])
