"""Who answers a step, where there are several LLMs (--llms): a rule with one bit of feedback, as a bandit has.

Chance depends on the seed and the step alone, so a rule's state is what it has counted. Thompson sampling is there as
in StreamBench's code: Beta-Bernoulli, and its dynamic variant (Gupta, Granmo and Agrawala, 2011), which forgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from step import Step

if TYPE_CHECKING:
    from runs.checkpoint import Checkpoint


class ByRetrieval:
    """Leaves `step.member` as retrieval has set it, 0 where that chooses cases alone; what the other rules extend.

    Args:
        size: K, how many LLMs there are.
        seed: of what is drawn by chance.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed

    def choose(self, step: Step) -> None:
        """Set `step.member`."""

    def update(self, step: Step, reward: int) -> None:
        """Learn from the reward that `step.member` has brought."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Put what the next choice depends on."""

    def load(self, checkpoint: Checkpoint) -> None:
        """Take it back."""


class RoundRobin(ByRetrieval):
    """Number t mod K, from 0, answers step t, from 0."""

    def choose(self, step: Step) -> None:
        step.member = (step.number - 1) % self.size


class RandomLLM(ByRetrieval):
    """Each as likely."""

    def choose(self, step: Step) -> None:
        step.member = int(np.random.default_rng([self.seed, step.number]).integers(self.size))


class Thompson(ByRetrieval):
    """An LLM's chance of success has a Beta(a, b), at first Beta(1, 1); who has the largest draw answers.

    Attributes:
        counts: a and b of each LLM, [K, 2].
    """

    def __init__(self, size: int, seed: int) -> None:
        super().__init__(size, seed)
        self.counts = np.ones((size, 2))

    def choose(self, step: Step) -> None:
        rng = np.random.default_rng([self.seed, step.number])
        step.member = int(np.argmax(rng.beta(*self.counts.T)))

    def update(self, step: Step, reward: int) -> None:
        self.counts[step.member, 1 - reward] += 1

    def save(self, checkpoint: Checkpoint) -> None:
        checkpoint.put("choosing", {"counts": self.counts.tolist()})

    def load(self, checkpoint: Checkpoint) -> None:
        self.counts = np.array(checkpoint.get("choosing")["counts"])


class DynamicThompson(Thompson):
    """As Thompson, and where a + b goes beyond C both shrink until it is C: what came long ago is forgotten."""

    MOST = 100  # C, as in StreamBench's code

    def update(self, step: Step, reward: int) -> None:
        super().update(step, reward)
        counts = self.counts[step.member]
        counts *= min(1.0, self.MOST / counts.sum())
