"""`--agent cbrdiscover`: cbr that may ask for the ground truth of a share of the steps, where its policy is least sure.

A step that asked counts as a success and retains the ground truth; the policy still learns from whether the LLM's own
answer was right.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from agent import Agent, Parts
from step import Metrics, Step, as_plain

if TYPE_CHECKING:
    from runs.checkpoint import Checkpoint

ASKED, OWN_REWARD = "discover/asked", "discover/own_reward"  # metrics of a step


class DiscoverAgent(Agent):
    """Asks by a strategy, until its budget is spent."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        config, steps = parts.config, len(parts.env)
        self._strategy = config.discover_strategy
        self._skip_steps = config.skip_steps
        self._budget = int(config.budget_ratio * steps)
        self._rate = min(1.0, self._budget / (steps - config.skip_steps)) if steps > config.skip_steps else 0.0
        self._window: deque[float] = deque(maxlen=config.queue_size)
        self._seed = config.seed
        self._seen = 0  # values seen by the window's strategies
        self._round = config.concurrency
        self._asked = 0
        self._about_to_ask = 0  # of the steps of this round that are not over
        self._asked_failing = 0  # of those, the steps that the LLM's answer would have failed

    def retrieve(self, step: Step) -> None:
        super().retrieve(step)
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
        """Whether the largest value of the strategy's term is low, compared with the recent steps' ones."""
        term = "score" if self._strategy == "ucb" else self._strategy
        value = step.metrics.get(f"UCB/{term}_max")
        if value is None:  # no candidates were ranked
            return False
        ready = self._seen >= self._skip_steps and len(self._window) > 0
        wants = ready and value < float(np.percentile(self._window, 100 * self._rate))
        self._window.append(value)
        self._seen += 1
        return bool(wants)

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
        step.metrics |= {OWN_REWARD: own} | self._counts()

    def _counts(self) -> Metrics:
        failing = self._asked_failing / self._asked if self._asked else 0.0
        return {"NumDiscovery": self._asked, "DiscoverSuccessRate": failing}

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        state = {"window": list(self._window), "seen": self._seen, "asked": self._asked, "failing": self._asked_failing}
        checkpoint.put("discovery", state)

    def load(self, checkpoint: Checkpoint) -> None:
        super().load(checkpoint)
        state = checkpoint.get("discovery")
        self._window.extend(state["window"])
        self._seen, self._asked, self._asked_failing = state["seen"], state["asked"], state["failing"]
