"""What was asked and answered before, right or wrong, and what of it lies near a new query.

The case bank keeps what may be shown; this keeps what was seen. The bit that a step ends with judges the answer that
was given, whatever was shown, so it speaks for or against that answer wherever a query like this one comes again.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .index import VectorIndex


@dataclass(frozen=True)
class Near:
    """The past steps nearest to a query: their cosines, answers as text, rewards, whether they showed a case, and how
    many came after each."""

    cosines: np.ndarray
    answers: list[str]
    rewards: np.ndarray
    shown: np.ndarray
    ages: np.ndarray

    def weights(self, width: float, reference: float) -> np.ndarray:
        """exp((cosine - reference) / width) of each: a step that is as near as `reference` weighs 1."""
        return np.exp((self.cosines - reference) / width)


class PastAnswers:
    """Every query of the stream so far, with the answer that was given and its reward.

    Args:
        dim: numbers in a query's vector.
    """

    GROWS = ("vectors", "answers", "rewards", "shown")

    def __init__(self, dim: int) -> None:
        self._index = VectorIndex(dim)
        self._answers: list[str] = []
        self._rewards: list[int] = []
        self._shown: list[int] = []

    def __len__(self) -> int:
        return len(self._index)

    def add(self, vector: np.ndarray, answer: Any, reward: int, shown: bool) -> None:
        """Take in a step: its query's unit vector, the answer given, the bit, and whether the prompt showed a case."""
        self._answers.append(answer_text(answer))
        self._rewards.append(reward)
        self._shown.append(int(shown))
        self._index.add(vector[None])  # last: who looks meanwhile finds only what is whole

    def near(self, vector: np.ndarray, size: int) -> Near:
        """The `size` past steps nearest to `vector` by cosine, nearest first."""
        found = self._index.search(vector, size)
        cosines = np.array([cosine for _, cosine in found])
        answers = [self._answers[i] for i, _ in found]
        rewards, shown = (np.array([values[i] for i, _ in found], float) for values in (self._rewards, self._shown))
        ages = np.array([len(self) - 1 - i for i, _ in found], float)
        return Near(cosines, answers, rewards, shown, ages)

    def snapshot(self) -> PastAnswers:
        """What there is now, whatever comes later."""
        taken = copy.copy(self)
        taken._index = self._index.snapshot()  # the lists are only ever appended to
        return taken

    def state_dict(self) -> dict[str, Any]:
        """The entries of GROWS; all only ever get longer."""
        vectors = torch.from_numpy(self._index.vectors.copy())
        return {"vectors": vectors, "answers": self._answers, "rewards": self._rewards, "shown": self._shown}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._index = VectorIndex(self._index.vectors.shape[1])
        self._index.add(np.asarray(state["vectors"]))
        self._answers = list(state["answers"])
        self._rewards, self._shown = list(state["rewards"]), list(state["shown"])


def answer_text(answer: Any) -> str:
    """The same text for the same answer, which is of plain values (`step.as_plain`)."""
    return json.dumps(answer, ensure_ascii=False, sort_keys=True)
