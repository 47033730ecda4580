"""A pair encoder of planted vectors: what the tests of the policies know everything about."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bandit import Pair
from step import Case

DIM = 6


class PlantedEncoder:
    """phi of a pair is a normal vector drawn from the two texts; a training step stretches all phi and fits the head.

    Attributes:
        trained: for each training step its loss and its chunks, (pairs, rewards).
    """

    grows = ()

    def __init__(self, learning_rate: float = 0.3) -> None:
        self.dim = DIM
        self.device = torch.device("cpu")
        self.trained: list[tuple[str, list[tuple[list[Pair], list[float]]]]] = []
        self.version = 0
        self._head = torch.linspace(-0.5, 0.5, DIM, requires_grad=True)
        self._optimizer = torch.optim.AdamW([self._head], lr=learning_rate)

    def encode(self, pairs: list[Pair]) -> Tensor:
        return torch.stack([torch.from_numpy(planted_phi(pair)) for pair in pairs]).float() * self.stretch()

    def stretch(self) -> Tensor:
        """The factor of each dimension, [d], which every training step changes."""
        return 1.0 + 0.1 * self.version / torch.arange(1, DIM + 1)

    def head_weight(self) -> Tensor:
        return self._head.detach().clone()

    def train_step(self, chunks: list[tuple[list[Pair], Tensor]], loss: str) -> float:
        self.trained.append((loss, [(list(pairs), rewards.tolist()) for pairs, rewards in chunks]))
        logits = torch.cat([self.encode(pairs) for pairs, _ in chunks]) @ self._head
        rewards = torch.cat([rewards for _, rewards in chunks]).float()
        criterion = {"bce": torch.nn.BCEWithLogitsLoss(), "mse": torch.nn.MSELoss()}[loss]
        value = criterion(logits, rewards)
        self._optimizer.zero_grad()
        value.backward()
        self._optimizer.step()
        self.version += 1
        return value.item()

    def state_dict(self) -> dict[str, Any]:
        optimizer = copy.deepcopy(self._optimizer.state_dict())
        return {"version": self.version, "head": self.head_weight(), "optimizer": optimizer}

    def twin(self) -> PlantedEncoder:
        return copy.deepcopy(self)

    def frozen(self) -> PlantedEncoder:
        return self.twin()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.version = state["version"]
        with torch.no_grad():
            self._head.copy_(state["head"])
        self._optimizer.load_state_dict(state["optimizer"])


class PlantedTexts:
    """A text encoder: a text's unit vector is drawn from the text; `vectors` holds those that a test plants itself."""

    dim = DIM

    def __init__(self, vectors: dict[str, Any] | None = None) -> None:
        self.vectors = vectors or {}

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.stack([self._vector(text) for text in texts]).astype(np.float32)

    def _vector(self, text: str) -> np.ndarray:
        vector = np.asarray(self.vectors.get(text, planted_phi((text, ""))), float)
        return vector / np.linalg.norm(vector)

    def remember(self, texts: list[str], embeddings: np.ndarray) -> None:
        """Nothing is forgotten."""


def cases(tasks: list[str]) -> list[Case]:
    """A case for each task."""
    return [Case(task) for task in tasks]


def planted_phi(pair: Pair) -> np.ndarray:
    """The pair's vector before any training, [d]."""
    return np.random.default_rng(list("\0".join(pair).encode())).standard_normal(DIM)


def planted_reward(query: str, task: str) -> int:
    """1 for about a quarter of the pairs: those whose phi lies far along a fixed direction."""
    direction = np.array([1.0, -1.0, 0.5, 0.0, 0.0, 1.0])
    return int(planted_phi((query, task)) @ direction > 1.2)
