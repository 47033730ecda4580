"""The case bank: what the agent keeps of its own past, and how the nearest of it are recalled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Case = dict[str, Any]  # id (the step it was retained at, from 1), task, answer, reward


def as_plain(value: Any) -> Any:
    """`value` as JSON gives it back (tuples and sets as lists), so that a case reads the same after a resume."""
    return json.loads(json.dumps(value, ensure_ascii=False, default=list).encode(errors="replace"))


class Embedder(Protocol):
    """Texts -> L2-normalised float32 [n, dim]."""

    dim: int

    def encode(self, texts: list[str]) -> np.ndarray: ...

    def remember(self, texts: list[str], embeddings: np.ndarray) -> None: ...


class CaseBank:
    """Cases in the order they were retained, with their tasks' embeddings where `encoder` is given."""

    def __init__(self, encoder: Embedder | None = None) -> None:
        self.cases: list[Case] = []
        self._encoder = encoder
        self._embeddings = np.zeros((0, encoder.dim if encoder else 0), np.float32)

    def __len__(self) -> int:
        return len(self.cases)

    def add(self, case: Case) -> None:
        self.cases.append(case | {"answer": as_plain(case["answer"])})
        if self._encoder is not None:
            self._append(self._encoder.encode([case["task"]]))

    def latest(self, k: int) -> list[Case]:
        """The k most recent cases, oldest first."""
        return self.cases[-k:]

    def recall(self, query: str, size: int) -> list[Case]:
        """The `size` cases nearest to `query` by cosine, nearest first; of equals the older first."""
        # einsum, not @: BLAS rounds equal rows differently by where they lie, and ties would fall at random.
        similarity = np.einsum("nd,d->n", self._embeddings[: len(self)], self._encoder.encode([query])[0])
        if size < len(similarity):
            edge = np.partition(similarity, len(similarity) - size)[len(similarity) - size]
            candidates = np.flatnonzero(similarity >= edge)
        else:
            candidates = np.arange(len(similarity))
        order = candidates[np.argsort(-similarity[candidates], kind="stable")]
        return [self.cases[i] for i in order[:size]]

    def save(self, folder: Path) -> None:
        lines = (json.dumps(case, ensure_ascii=False) + "\n" for case in self.cases)
        (folder / "cases.jsonl").write_text("".join(lines), encoding="utf-8")
        if self._encoder is not None:
            np.save(folder / "embeddings.npy", self._embeddings[: len(self)])

    def load(self, folder: Path) -> None:
        """Become the bank that `save` wrote. Its encoder need not encode these tasks again."""
        with (folder / "cases.jsonl").open(encoding="utf-8") as lines:
            self.cases = [json.loads(line) for line in lines]
        if self._encoder is not None:
            self._embeddings = np.load(folder / "embeddings.npy")
            self._encoder.remember([case["task"] for case in self.cases], self._embeddings)

    def _append(self, embeddings: np.ndarray) -> None:
        used = len(self) - len(embeddings)
        if len(self) > len(self._embeddings):
            grown = np.zeros((max(len(self), 2 * len(self._embeddings), 256), self._embeddings.shape[1]), np.float32)
            grown[:used] = self._embeddings[:used]
            self._embeddings = grown
        self._embeddings[used : len(self)] = embeddings
