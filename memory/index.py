"""Nearest neighbours by cosine. Exact: one product with all vectors, which stays quick up to some hundred thousand."""

from __future__ import annotations

import numpy as np


class ExactIndex:
    """Unit vectors in the order they were added, in one table that grows by doubling.

    Args:
        dim: numbers in a vector.
    """

    def __init__(self, dim: int) -> None:
        self._table = np.zeros((0, dim), np.float32)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def vectors(self) -> np.ndarray:
        """All vectors, float32 [n, dim]; a view, not a copy."""
        return self._table[: self._size]

    def add(self, vectors: np.ndarray) -> None:
        """Append `vectors`, [n, dim]."""
        needed = self._size + len(vectors)
        if needed > len(self._table):
            grown = np.zeros((max(needed, 2 * len(self._table), 256), self._table.shape[1]), np.float32)
            grown[: self._size] = self.vectors
            self._table = grown
        self._table[self._size : needed] = vectors
        self._size = needed

    def nearest(self, vector: np.ndarray, size: int) -> list[int]:
        """The positions of the `size` vectors nearest to `vector` [dim], nearest first; of equals the older first."""
        # einsum, not @: BLAS rounds equal rows differently by where they lie, and ties would fall at random.
        similarity = np.einsum("nd,d->n", self.vectors, vector)
        if size < len(similarity):
            edge = np.partition(similarity, len(similarity) - size)[len(similarity) - size]
            candidates = np.flatnonzero(similarity >= edge)
        else:
            candidates = np.arange(len(similarity))
        order = candidates[np.argsort(-similarity[candidates], kind="stable")]
        return [int(i) for i in order[:size]]
