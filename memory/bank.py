"""The case bank: what the agent keeps of its own past, and how the nearest of it are recalled."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any, Protocol

import numpy as np

from step import Case, as_plain

from .index import ExactIndex


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
        self._index = ExactIndex(encoder.dim if encoder else 0)

    def __len__(self) -> int:
        return len(self.cases)

    def add(self, case: Case) -> None:
        self.cases.append(replace(case, answer=as_plain(case.answer)))
        if self._encoder is not None:
            self._index.add(self._encoder.encode([case.task]))

    def latest(self, k: int) -> list[Case]:
        """The k most recent cases, oldest first."""
        return self.cases[-k:]

    def recall(self, query: str, size: int) -> list[Case]:
        """The `size` cases nearest to `query` by cosine, nearest first; of equals the older first.

        Raises ValueError for a bank without an encoder.
        """
        if self._encoder is None:
            raise ValueError("a bank without an encoder has no nearest cases")
        return [self.cases[i] for i in self._index.nearest(self._encoder.encode([query])[0], size)]

    def state_dict(self) -> dict[str, Any]:
        """The cases, its fields in order each, and their embeddings [n, dim]. Both only ever grow."""
        return {"cases": [astuple(case) for case in self.cases], "embeddings": self._index.vectors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the bank that `state` was taken from; nothing is embedded again."""
        self.cases = [Case(*values) for values in state["cases"]]
        self._index = ExactIndex(self._index.vectors.shape[1])
        self._index.add(state["embeddings"])
        if self._encoder is not None:
            self._encoder.remember([case.task for case in self.cases], self._index.vectors)
