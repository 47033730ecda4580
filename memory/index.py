"""Nearest neighbours by cosine, exact while that is quick, by graphs of a vector library (FAISS) beyond.

Up to `SWITCH` vectors a search is one product with all of them, about the time in which one query is encoded. Beyond,
nearly all vectors are searched by graphs (graphs.py) and the newest exactly; what the graphs find is compared by the
exact cosines. A run that was continued finds the same neighbours as one that never stopped.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .graphs import BLOCK, SWITCH, Block, Graphs, search_graph

SLACK = 1e-5  # more than the rounding of a product of unit vectors


class VectorIndex:
    """Unit vectors in the order they were added, in one table that grows by doubling.

    One thread may add and discard while others search.

    Args:
        dim: numbers in a vector.
        waits: whether a search waits for a graph that is not built yet, so that its result depends on the vectors
            alone; else it takes what is built.
        switch, block: see graphs.py.
    Raises:
        UserError: it has grown beyond `switch`, and FAISS is not installed.
    """

    def __init__(self, dim: int, waits: bool = True, switch: int = SWITCH, block: int = BLOCK) -> None:
        self._table = np.zeros((0, dim), np.float32)
        self._alive = np.zeros(0, bool)
        self._size = 0
        self._n_dead = 0
        self._waits, self._block = waits, block
        self._graphs = Graphs(switch, block)

    def __len__(self) -> int:
        return self._size

    @property
    def vectors(self) -> np.ndarray:
        """All vectors, float32 [n, dim], the discarded ones too; a view, not a copy."""
        return self._table[: self._size]

    # -- changing ----------------------------------------------------------------------------------------------------

    def add(self, vectors: np.ndarray) -> None:
        """Append `vectors`, [n, dim]."""
        needed = self._size + len(vectors)
        if self._size == 0 and len(vectors) >= self._block:
            self._table = np.ascontiguousarray(vectors, np.float32)  # a bank that is loaded: no second copy of it
            self._alive = np.ones(needed, bool)
        elif needed > len(self._table):
            rows = max(needed, 2 * len(self._table), 256)
            grown, alive = np.zeros((rows, self._table.shape[1]), np.float32), np.ones(rows, bool)
            grown[: self._size], alive[: self._size] = self.vectors, self._alive[: self._size]
            grown[self._size : needed] = vectors
            self._table, self._alive = grown, alive
        else:
            self._table[self._size : needed] = vectors
        self._size = needed  # last: whoever searches meanwhile sees no row that is not there yet
        self._graphs.build_ahead(self.vectors)

    def discard(self, position: int) -> None:
        """Never find the vector at `position` again; it keeps its place."""
        if self._alive[position]:
            self._alive[position] = False
            self._n_dead += 1

    # -- searching ---------------------------------------------------------------------------------------------------

    def nearest(self, vector: np.ndarray, size: int) -> list[int]:
        """The positions of the `size` vectors nearest to `vector` [dim], nearest first; of equals the older first."""
        return [position for position, _ in self.search(vector, size)]

    def search(self, vector: np.ndarray, size: int) -> list[tuple[int, float]]:
        """As `nearest`, each position with its cosine."""
        return self.search_all(vector[None], size)[0]

    def search_all(self, vectors: np.ndarray, size: int) -> list[list[tuple[int, float]]]:
        """As `search` for each of `vectors` [q, dim], which together cost less, and find the same."""
        n = self._size  # before the table: that is never the shorter of the two
        table, alive = self._table, self._alive if self._n_dead else None
        found: list[list[np.ndarray]] = []  # of each part the candidates of each query
        at = 0
        for (start, length), graph in self._graphs.in_force(n) if self._waits else self._graphs.ready(n):
            if start > at:
                found.append(_candidates(table, alive, at, start, vectors, size))
            at = start + length
            rows = search_graph(graph, vectors, size, None if alive is None else alive[start:at])
            found.append([start + row for row in rows])
        found.append(_candidates(table, alive, at, n, vectors, size))
        return [_best(table, np.concatenate(each), vector, size) for vector, each in zip(vectors, zip(*found))]

    # -- graphs ------------------------------------------------------------------------------------------------------

    @property
    def kept(self) -> Path | None:
        """As of `Graphs`."""
        return self._graphs.kept

    @kept.setter
    def kept(self, folder: Path | None) -> None:
        self._graphs.kept = folder

    def wait(self) -> None:
        """Return when all graphs are built that a search needs now."""
        self._graphs.in_force(self._size)

    @property
    def graphs(self) -> dict[Block, Any]:
        """The graphs that are built."""
        return self._graphs.built

    def take_graph(self, block: Block, path: Path) -> None:
        """Use the graph that `write_graph` has written to `path` instead of building it; to be said before `add`."""
        self._graphs.take(block, path)

    def snapshot(self) -> VectorIndex:
        """What there is now, whatever is added later."""
        taken = copy.copy(self)
        taken._graphs = self._graphs.copy()
        return taken

    @property
    def bytes_used(self) -> int:
        """What the vectors and the graphs take in memory, about."""
        return self._size * self._table.shape[1] * 4 + self._graphs.bytes_used


class ExactIndex(VectorIndex):
    """Never searched by graphs, whatever its size."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, switch=sys.maxsize)


def _best(table: np.ndarray, candidates: np.ndarray, vector: np.ndarray, size: int) -> list[tuple[int, float]]:
    candidates = np.sort(candidates)
    # einsum, not @: BLAS rounds equal rows differently by where they lie, and ties would fall at random.
    similarity = np.einsum("nd,d->n", table[candidates], vector)
    order = np.argsort(-similarity, kind="stable")[:size]
    return [(int(candidates[i]), float(similarity[i])) for i in order]


def _candidates(
    table: np.ndarray, alive: np.ndarray | None, start: int, end: int, vectors: np.ndarray, size: int
) -> list[np.ndarray]:
    """For each of `vectors` [q, dim] the positions from `start` to `end` among which its `size` nearest are, the edge's
    equals too; in rising order.

    One product by BLAS finds them, with room for its rounding.
    """
    found = []
    for similarity in vectors @ table[start:end].T:
        if alive is not None:
            similarity = np.where(alive[start:end], similarity, -np.inf)
        edge = -np.inf
        if size < len(similarity):
            edge = np.partition(similarity, len(similarity) - size)[len(similarity) - size]
        found.append(start + np.flatnonzero((similarity >= edge - SLACK) & (similarity > -np.inf)))
    return found
