"""Nearest neighbours by cosine, exact while that is quick, by graphs of a vector library (FAISS) beyond.

Up to `SWITCH` vectors a search is one product with all of them, about the time in which one query is encoded. Beyond,
the vectors fall into blocks of `BLOCK` in the order they were added, and eight of them into a larger one, and so on. A
block that is full never changes, so its graph (HNSW, Malkov and Yashunin, arXiv 1603.09320) is a function of its
vectors alone: it is built once, beside the work, by one thread, and saved once. It takes effect when as many vectors
have come after the block as are in it, so a run that was continued finds the same neighbours as one that never
stopped. What is newest is searched exactly, and what the graphs find is compared by the exact cosines.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import math
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from errors import UserError

SWITCH = 65_536  # vectors; `benchmark.py bank` measures both sides of it
BLOCK, LARGER = 16_384, 8  # vectors in the smallest blocks; how many of them make one of the next size
LINKS, BUILD_EFFORT = 16, 80  # of HNSW: M, efConstruction
SEARCH_EFFORT, MORE_EFFORT = 128, 2.5  # efSearch in the smallest blocks; times that in those of the next size
GRAPH_SUFFIX = f"-{LINKS}-{BUILD_EFFORT}.hnsw"  # of a file that is named by its vectors' hash
Block = tuple[int, int]  # its first vector, how many it has
PROCESSORS = os.cpu_count() or 1
SLACK = 1e-5  # more than the rounding of a product of unit vectors


class VectorIndex:
    """Unit vectors in the order they were added, in one table that grows by doubling.

    One thread may add and discard while others search.

    Args:
        dim: numbers in a vector.
        waits: whether a search waits for a graph that is not built yet, so that its result depends on the vectors
            alone; else it searches that block exactly.
        switch, block: see the module.
    Attributes:
        kept: a folder where graphs are kept by what they are made of, so that nobody builds the same one twice; None
            for no such folder. Whoever sets it is the only one to write there.
    Raises:
        UserError: it has grown beyond `switch`, and FAISS is not installed.
    """

    def __init__(self, dim: int, waits: bool = True, switch: int = SWITCH, block: int = BLOCK) -> None:
        self._table = np.zeros((0, dim), np.float32)
        self._alive = np.zeros(0, bool)
        self._size = 0
        self._n_dead = 0
        self._waits, self._switch, self._block = waits, switch, block
        self._graphs: dict[Block, Any] = {}
        self._building: dict[Block, Future[Any]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self.kept: Path | None = None
        self._files: dict[Block, Path] = {}  # of graphs that are kept
        self._looked: tuple[int, ...] = ()  # `_state`, when it was last seen to what is to be built

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
        return self.search_all(vector[None], size)[0]

    def search_all(self, vectors: np.ndarray, size: int) -> list[list[tuple[int, float]]]:
        """As `search` for each of `vectors` [q, dim], which together cost less, and find the same."""
        n = self._size  # before the table: that is never the shorter of the two
        table, alive = self._table, self._alive
        dead = alive if self._n_dead else None
        found: list[list[np.ndarray]] = []  # of each block the candidates of each query
        exact_from = 0
        for start, length in blocks_in_force(n, self._switch, self._block):
            exact_from = start + length
            graph = self._graph((start, length))
            if graph is None:
                found.append(_candidates(table, dead, start, exact_from, vectors, size))
            else:
                rows = _search_graph(graph, vectors, size, alive[start:exact_from], self._effort(length))
                found.append([start + row for row in rows])
        found.append(_candidates(table, dead, exact_from, n, vectors, size))
        return [_best(table, np.concatenate(each), vector, size) for vector, each in zip(vectors, zip(*found))]

    # -- graphs ------------------------------------------------------------------------------------------------------

    def _effort(self, length: int) -> int:
        return int(SEARCH_EFFORT * MORE_EFFORT ** round(math.log(length / self._block, LARGER)))

    def _build_ahead(self) -> None:
        """Have the graphs built that will be needed next; no more at a time than there are processors."""
        near = self._size > self._switch - self._block and importlib.util.find_spec("faiss") is not None
        if not near and self._size <= self._switch:
            return
        for block in [block for block, future in self._building.items() if future.done()]:
            self._graphs[block] = self._building.pop(block).result()
        if self._state() == self._looked:
            return
        in_force = blocks_in_force(self._size, self._switch, self._block)
        for block in [block for block in self._graphs if _is_within(block, in_force)]:
            del self._graphs[block]  # a larger one has taken its place
        for block in self._full_blocks(in_force):
            if len(self._building) >= PROCESSORS:
                break
            if block not in self._graphs and block not in self._building:
                self._submit(block)
        self._looked = self._state()
        if self._files and not self._building:
            self._tidy()

    def _state(self) -> tuple[int, ...]:
        """What decides which graphs are to be built now."""
        return self._size // self._block, self._size > self._switch, len(self._building)

    def _tidy(self) -> None:
        """Remove the files of graphs that are of no use any more."""
        self._files = {block: path for block, path in self._files.items() if block in self._graphs}
        if self.kept is not None:
            for path in set(self.kept.glob(f"*{GRAPH_SUFFIX}")) - set(self._files.values()):
                path.unlink(missing_ok=True)

    def _full_blocks(self, in_force: list[Block]) -> list[Block]:
        """Those that are or will be in force, the sooner the earlier."""
        found: list[Block] = []
        length = self._block
        while length <= self._size:
            found += [(start, length) for start in range(0, self._size - length + 1, length)]
            length *= LARGER
        return sorted(
            (block for block in found if not _is_within(block, in_force)), key=lambda block: sum(block) + block[1]
        )

    def _submit(self, block: Block) -> Future[Any]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(PROCESSORS, thread_name_prefix="index")
        start, length = block
        future = self._building[block] = self._pool.submit(self._make, block, self._table[start : start + length])
        return future

    def _make(self, block: Block, rows: np.ndarray) -> Any:
        if self.kept is None:
            return build_graph(rows)
        path = self._files[block] = self.kept / f"{hashlib.sha256(rows.data).hexdigest()}{GRAPH_SUFFIX}"
        return kept_graph(rows, path)

    def wait(self) -> None:
        """Return when all graphs are built that a search needs now."""
        for block in blocks_in_force(self._size, self._switch, self._block):
            self._graph(block)

    def _graph(self, block: Block) -> Any:
        """The graph of a block; None where it is not built yet and nobody waits for it."""
        while self._waits and block not in self._graphs:
            self._build_ahead()
            future = self._building.get(block)
            if future is None and self._building:  # others are needed sooner
                future = next(iter(self._building.values()))
            if future is not None:
                future.result()
        future = self._building.get(block)
        if block not in self._graphs and future is not None and future.done():
            return future.result()
        return self._graphs.get(block)

    @property
    def graphs(self) -> dict[Block, Any]:
        """The graphs that are built."""
        self._build_ahead()
        return dict(self._graphs)

    def take_graph(self, block: Block, path: Path) -> None:
        """Use the graph that `write_graph` has written to `path` instead of building it."""
        self._graphs[block] = _faiss().read_index(str(path))

    @property
    def bytes_used(self) -> int:
        """What the vectors and the graphs take in memory, about."""
        return self._size * self._table.shape[1] * 4 + sum(graph_bytes(graph) for graph in self._graphs.values())


class ExactIndex(VectorIndex):
    """Never searched by graphs, whatever its size."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, switch=sys.maxsize)


def blocks_in_force(n: int, switch: int = SWITCH, block: int = BLOCK) -> list[Block]:
    """The blocks that are searched by their graphs at `n` vectors, in their order; what follows them is not."""
    found: list[Block] = []
    start, length = 0, block
    if n <= switch:
        return found
    while start + 2 * length * LARGER <= n:
        length *= LARGER
    while length >= block:
        while start + 2 * length <= n:
            found.append((start, length))
            start += length
        length //= LARGER
    return found


def _is_within(block: Block, others: list[Block]) -> bool:
    """Whether a larger one of `others` covers it."""
    start, length = block
    return any(first <= start and start + length <= first + size and size > length for first, size in others)


def build_graph(rows: np.ndarray) -> Any:
    """The HNSW graph of `rows` [n, dim], which it holds in half precision; by one thread, so always the same."""
    faiss = _faiss()
    faiss.omp_set_num_threads(1)  # of this thread
    graph = faiss.IndexHNSWSQ(rows.shape[1], faiss.ScalarQuantizer.QT_fp16, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BUILD_EFFORT
    graph.train(rows[:1])  # half precision has nothing to learn from them
    graph.add(rows)
    return graph


def kept_graph(rows: np.ndarray, path: Path) -> Any:
    """The graph of `rows` that was written to `path` before; else it is built, and written there where that can be."""
    with contextlib.suppress(RuntimeError):  # there is none, or it is damaged
        graph = _faiss().read_index(str(path))
        if (graph.ntotal, graph.d) == rows.shape:
            return graph
    graph = build_graph(rows)
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_graph(graph, new)
        new.replace(path)
    except (OSError, RuntimeError):  # a full disk: it would only save time
        new.unlink(missing_ok=True)
    return graph


def write_graph(graph: Any, path: Path) -> None:
    _faiss().write_index(graph, str(path))


def graph_bytes(graph: Any) -> int:
    """Of a graph in memory: its vectors in half precision, their links and levels."""
    return int(graph.ntotal * graph.d * 2 + graph.hnsw.neighbors.size() * 4 + graph.hnsw.offsets.size() * 8)


def _best(table: np.ndarray, candidates: np.ndarray, vector: np.ndarray, size: int) -> list[tuple[int, float]]:
    candidates = np.sort(candidates)
    # einsum, not @: BLAS rounds equal rows differently by where they lie, and ties would fall at random.
    similarity = np.einsum("nd,d->n", table[candidates], vector)
    order = np.argsort(-similarity, kind="stable")[:size]
    return [(int(candidates[i]), float(similarity[i])) for i in order]


def _search_graph(graph: Any, vectors: np.ndarray, size: int, alive: np.ndarray, effort: int) -> list[np.ndarray]:
    """For each of `vectors` [q, dim] the positions within the block of about the `size` nearest that are alive."""
    faiss = _faiss()
    faiss.omp_set_num_threads(1)  # of this thread
    arguments: dict[str, Any] = {"efSearch": max(effort, 2 * size)}
    if not alive.all():
        bits = np.packbits(alive, bitorder="little")
        arguments["sel"] = faiss.IDSelectorBitmap(bits)
    parameters = faiss.SearchParametersHNSW(**arguments)
    _, found = graph.search(np.ascontiguousarray(vectors), min(size, graph.ntotal), params=parameters)
    return [row[row >= 0] for row in found]


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


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise UserError(
            f"more than {SWITCH:,} cases are searched by an index of the package faiss-cpu, which is missing: "
            "`pip install -r requirements-bank.txt`; then the same command goes on"
        ) from None
    return faiss
