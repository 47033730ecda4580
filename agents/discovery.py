"""`--agent cbrdiscover`: cbr that may ask for the ground truth of a share of the steps: where its policy is least sure,
where queries like this one have failed most, or where both come together.

A step that asked counts as a success and retains the ground truth; the policy still learns from whether the LLM's own
answer was right.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import Agent, Parts
from memory.past import PastAnswers
from step import Metrics, Step, as_plain

if TYPE_CHECKING:
    from memory.encoders import TextEncoder
    from runs.checkpoint import Checkpoint

ASKED, OWN_REWARD = "discover/asked", "discover/own_reward"  # metrics of a step
FAILED_NEAR = "discover/failed_near"
FAILING, UCB_FAILING = "failing", "ucb_failing"  # the strategies that ask where much has failed


class FailingPlaces:
    """How much failed near a query: the sum of exp((cosine - 1) / WIDTH) over the past queries near it that failed.

    It is large where queries are dense and fail, and there a truth is worth most: it serves those still to come. A step
    that asked counts as no failure, for its truth is in the bank.
    """

    WIDTH, NEIGHBOURS = 0.07, 128

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.past = PastAnswers(encoder.dim)

    def mass(self, query: str) -> float:
        near = self.past.near(self._encoder.encode([query])[0], self.NEIGHBOURS)
        return float(near.weights(self.WIDTH, 1.0) @ (1.0 - near.rewards))

    def add(self, step: Step) -> None:
        self.past.add(self._encoder.encode([step.task])[0], None, step.reward or 0, bool(step.cases))


def comparable(values: list[tuple[float, ...]]) -> list[float]:
    """Each of `values` as one number: itself, or of several the sum of their ranks, how many are lower; a tie is half.

    Ranks, because a policy's score and what has failed have no unit in common.
    """
    table = np.array(values)
    if table.shape[1] == 1:
        return [float(value) for value in table[:, 0]]
    lower = (table[:, None] > table[None]).sum(1) + 0.5 * (table[:, None] == table[None]).sum(1)
    return [float(total) for total in lower.sum(1)]


class DiscoverAgent(Agent):
    """Asks by a strategy, until its budget is spent."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        config, steps = parts.config, len(parts.env)
        self._strategy = config.discover_strategy
        self._skip_steps = config.skip_steps
        self._budget = int(config.budget_ratio * steps)
        self._rate = min(1.0, self._budget / (steps - config.skip_steps)) if steps > config.skip_steps else 0.0
        by_failures = self._strategy in (FAILING, UCB_FAILING)
        self._failing = FailingPlaces(parts.text_encoder()) if by_failures else None
        self._window: deque[tuple[float, ...]] = deque(maxlen=config.queue_size)
        self._seed = config.seed
        self._seen = 0  # values seen by the window's strategies
        self._round = config.concurrency
        self._asked = 0
        self._about_to_ask = 0  # of the steps of this round that are not over
        self._asked_failing = 0  # of those, the steps that the LLM's answer would have failed
        self._before: tuple[int, list[tuple[float, ...]], int] = 0, [], 0  # as the round began: steps, window, seen

    def retrieve(self, step: Step) -> None:
        super().retrieve(step)
        if (step.number - 1) % self._round == 0:
            self._before = step.number - 1, list(self._window), self._seen
        wants = self._chance(step) if self._strategy == "random" else self._below_window(step)
        if (step.number - 1) % self._round == 0:
            self._about_to_ask = 0
        asks = wants and self._asked + self._about_to_ask < self._budget
        self._about_to_ask += asks
        step.metrics[ASKED] = int(asks)
        step.metrics |= self._counts()

    def _chance(self, step: Step) -> bool:
        index = step.number - 1
        draw = np.random.default_rng([self._seed, index]).random()
        return index >= self._skip_steps and bool(draw < self._rate)

    def _below_window(self, step: Step) -> bool:
        """Whether the strategy's values are low, compared with the recent steps' ones; of two values, their ranks."""
        values = self._values(step)
        if None in values:  # no candidates were ranked
            return False
        wants = False
        if self._seen >= self._skip_steps and len(self._window) > 0:
            *others, own = comparable([*self._window, values])
            wants = own < float(np.percentile(others, 100 * self._rate))
        self._window.append(values)
        self._seen += 1
        return wants

    def _values(self, step: Step) -> tuple[Any, ...]:
        """What the strategy goes by, low where it is to ask: the policy's best score, what has failed, or both."""
        term = "score" if self._strategy in ("ucb", UCB_FAILING) else self._strategy
        score = step.metrics.get(f"UCB/{term}_max")
        if self._failing is None:
            return (score,)
        step.metrics[FAILED_NEAR] = self._failing.mass(step.task)
        failed = -step.metrics[FAILED_NEAR]
        return (failed,) if self._strategy == FAILING else (score, failed)

    def update(self, step: Step) -> None:
        """Let the policy learn from the LLM's own answer; where the truth was asked for, it takes that one's place."""
        own = step.reward or 0
        if step.record is not None:
            own = int(step.record["metrics"].get(OWN_REWARD, own))
        with step.measure("agent"):
            self.retrieval.update(step, own)
        if step.metrics[ASKED]:
            self._asked += 1
            self._about_to_ask -= 1
            self._asked_failing += 1 - own
            with step.measure("env"):
                step.answer, step.reward = as_plain(self.env.get_ground_truth()), 1
        with step.measure("agent"):
            self.retrieval.observe(step)  # of a step that asked, what was learned is the truth
            if self._failing is not None:
                self._failing.add(step)
        step.metrics |= {OWN_REWARD: own} | self._counts()

    def _counts(self) -> Metrics:
        failing = self._asked_failing / self._asked if self._asked else 0.0
        return {"NumDiscovery": self._asked, "DiscoverSuccessRate": failing}

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        steps, window, seen = self._before
        if checkpoint.step != steps:  # else a round has begun that is not to be in it
            window, seen = list(self._window), self._seen
        state = {"window": window, "seen": seen, "asked": self._asked, "failing": self._asked_failing}
        checkpoint.put("discovery", state)
        if self._failing is not None:
            checkpoint.put("failing", self._failing.past.state_dict(), PastAnswers.GROWS)

    def load(self, checkpoint: Checkpoint) -> None:
        super().load(checkpoint)
        state = checkpoint.get("discovery")
        self._window.extend(tuple(values) for values in state["window"])
        self._seen, self._asked, self._asked_failing = state["seen"], state["asked"], state["failing"]
        if self._failing is not None:
            self._failing.past.load_state_dict(checkpoint.get("failing"))
