"""Nearest neighbours by cosine, exact while that is quick, by a graph of a vector library (FAISS) beyond.

Up to `SWITCH` vectors a search is one product with all of them, about the time in which one query is encoded. Beyond,
the vectors fall into blocks of `BLOCK` in the order they were added. A block that is full never changes, so its graph
(HNSW, Malkov and Yashunin, arXiv 1603.09320) is a function of its vectors alone: it is built once, beside the work, by
one thread, and saved once. It takes effect when the block after it is full, at a size known beforehand, so a run that
was continued finds the same neighbours as one that never stopped. Until then, and for what is newest, search is exact.
What the graphs find is compared by the exact cosines, so their rounding changes no order.
"""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from errors import UserError

SWITCH = 65_536  # vectors; `benchmark.py bank` measures both sides of it
BLOCK = 16_384
LINKS, BUILD_EFFORT, SEARCH_EFFORT = 16, 80, 128  # of HNSW: M, efConstruction, efSearch
SLACK = 1e-5  # more than the rounding of a product of unit vectors


class VectorIndex:
    """Unit vectors in the order they were added, in one table that grows by doubling.

    One thread may add and discard while others search.

    Args:
        dim: numbers in a vector.
        waits: whether a search waits for a graph that is not built yet, so that its result depends on the vectors
            alone; else it searches that block exactly.
        switch, block: see the module.
    Raises:
        UserError: it has grown beyond `switch`, and FAISS is not installed.
    """

    def __init__(self, dim: int, waits: bool = True, switch: int = SWITCH, block: int = BLOCK) -> None:
        self._table = np.zeros((0, dim), np.float32)
        self._alive = np.zeros(0, bool)
        self._size = 0
        self._n_dead = 0
        self._waits, self._switch, self._block = waits, switch, block
        self._graphs: dict[int, Any] = {}  # by block
        self._building: dict[int, Future[Any]] = {}
        self._pool: ThreadPoolExecutor | None = None

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
        self._build_ahead()

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
        n = self._size  # before the table: that is never the shorter of the two
        table, alive = self._table, self._alive
        found, exact_from = [], 0
        for block in range(self._blocks_in_force(n)):
            graph = self._graph(block)
            start, exact_from = exact_from, (block + 1) * self._block
            if graph is None:
                found.append(_candidates(table, alive if self._n_dead else None, start, exact_from, vector, size))
            else:
                found.append(start + _search_graph(graph, vector, size, alive[start:exact_from]))
        found.append(_candidates(table, alive if self._n_dead else None, exact_from, n, vector, size))
        candidates = np.sort(np.concatenate(found))
        # einsum, not @: BLAS rounds equal rows differently by where they lie, and ties would fall at random.
        similarity = np.einsum("nd,d->n", table[candidates], vector)
        order = np.argsort(-similarity, kind="stable")[:size]
        return [(int(candidates[i]), float(similarity[i])) for i in order]

    # -- graphs ------------------------------------------------------------------------------------------------------

    def _blocks_in_force(self, n: int) -> int:
        """How many of the first blocks are searched by their graphs at `n` vectors."""
        return max(0, n // self._block - 1) if n > self._switch else 0

    def _build_ahead(self) -> None:
        """Have the graphs built that will be needed next; no more at a time than there are processors."""
        near = self._size > self._switch - self._block and importlib.util.find_spec("faiss") is not None
        if not near and self._size <= self._switch:
            return
        for block in [block for block, future in self._building.items() if future.done()]:
            self._graphs[block] = self._building.pop(block).result()
        for block in range(self._size // self._block):
            if len(self._building) >= (os.cpu_count() or 1):
                return
            if block not in self._graphs and block not in self._building:
                self._submit(block)

    def _submit(self, block: int) -> Future[Any]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="index")
        rows = self._table[block * self._block : (block + 1) * self._block]
        future = self._building[block] = self._pool.submit(build_graph, rows)
        return future

    def _graph(self, block: int) -> Any:
        """The graph of a block; None where it is not built yet and nobody waits for it."""
        if block in self._graphs:
            return self._graphs[block]
        if self._waits:
            self._build_ahead()
        future = self._building.get(block)
        if future is None and self._waits:
            future = self._graphs.get(block) or self._submit(block)
        if isinstance(future, Future):
            return future.result() if self._waits or future.done() else None
        return future

    @property
    def graphs(self) -> dict[int, Any]:
        """The graphs that are built, by block."""
        self._build_ahead()
        return dict(self._graphs)

    def take_graph(self, block: int, path: Path) -> None:
        """Use the graph that `write_graph` has written to `path` instead of building it."""
        self._graphs[block] = _faiss().read_index(str(path))

    @property
    def bytes_used(self) -> int:
        """What the vectors and the graphs take in memory, about."""
        return self._size * self._table.shape[1] * 4 + sum(graph_bytes(graph) for graph in self._graphs.values())


def build_graph(rows: np.ndarray) -> Any:
    """The HNSW graph of `rows` [n, dim], which it holds in half precision; by one thread, so always the same."""
    faiss = _faiss()
    faiss.omp_set_num_threads(1)  # of this thread
    graph = faiss.IndexHNSWSQ(rows.shape[1], faiss.ScalarQuantizer.QT_fp16, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BUILD_EFFORT
    graph.train(rows[:1])  # half precision has nothing to learn from them
    graph.add(rows)
    return graph


def write_graph(graph: Any, path: Path) -> None:
    _faiss().write_index(graph, str(path))


def graph_bytes(graph: Any) -> int:
    """Of a graph in memory: its vectors in half precision, their links and levels."""
    return int(graph.ntotal * graph.d * 2 + graph.hnsw.neighbors.size() * 4 + graph.hnsw.offsets.size() * 8)


def _search_graph(graph: Any, vector: np.ndarray, size: int, alive: np.ndarray) -> np.ndarray:
    """Positions within the block of about the `size` nearest that are alive."""
    faiss = _faiss()
    arguments: dict[str, Any] = {"efSearch": max(SEARCH_EFFORT, 2 * size)}
    if not alive.all():
        bits = np.packbits(alive, bitorder="little")
        arguments["sel"] = faiss.IDSelectorBitmap(bits)
    parameters = faiss.SearchParametersHNSW(**arguments)
    _, found = graph.search(np.ascontiguousarray(vector[None]), min(size, graph.ntotal), params=parameters)
    return found[0][found[0] >= 0]


def _candidates(
    table: np.ndarray, alive: np.ndarray | None, start: int, end: int, vector: np.ndarray, size: int
) -> np.ndarray:
    """Positions from `start` to `end` among which the `size` nearest are, the edge's equals too; in rising order.

    One product by BLAS finds them, with room for its rounding.
    """
    similarity = table[start:end] @ vector
    if alive is not None:
        similarity = np.where(alive[start:end], similarity, -np.inf)
    if size < len(similarity):
        edge = np.partition(similarity, len(similarity) - size)[len(similarity) - size]
        return start + np.flatnonzero((similarity >= edge - SLACK) & (similarity > -np.inf))
    return start + np.flatnonzero(similarity > -np.inf)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise UserError(
            f"more than {SWITCH:,} cases are searched by an index of the package faiss-cpu, which is missing: "
            "`pip install -r requirements-bank.txt`; then the same command goes on"
        ) from None
    return faiss
