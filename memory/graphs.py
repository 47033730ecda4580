"""The graphs that a large table of vectors is searched by: which there are, how they are built, where they are kept.

Nearly all vectors are in one graph (HNSW, Malkov and Yashunin, arXiv 1603.09320, as FAISS has it) that begins with the
first of them and grows: when an eighth of what it holds has come after it, a copy of it takes that in. What is newer
lies in blocks of `BLOCK` in the order it came, eight of which make one of the next size; a block's graph never changes.
A search asks the large graph and the few blocks after it; so it costs little more than one graph would, while nothing
that is being searched or saved is ever changed.

Each graph is built by one thread, from its vectors and the graph that it has grown from: the same vectors give the same
graphs, whether a run was stopped or not. It takes effect when a sixteenth of what was put into it has come after it,
and is built beside the work meanwhile: at 0.1 to 0.5 ms a vector that is in time where a step takes 10 ms.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from errors import UserError

SWITCH = 65_536  # vectors, up to which none are built; `benchmark.py bank` measures both sides of it
BLOCK, LARGER = 4_096, 8  # vectors in the smallest blocks; how many of them make one of the next size
SHARE = 8  # the large graph grows by this part of itself
LEAD = 16  # a graph takes effect when this part of what was put into it has come after it
LINKS, BUILD_EFFORT = 16, 80  # of HNSW: M, efConstruction
SEARCH_EFFORT, MORE_EFFORT = 96, 512  # efSearch in the smallest blocks; in all larger graphs
PARAMETERS = f"{LINKS}-{BUILD_EFFORT}-{BLOCK}-{LARGER}-{SHARE}"  # of what is saved, in its name
GRAPH_SUFFIX = f"-{PARAMETERS}.hnsw"  # of a file that is named by its vectors' hash
Block = tuple[int, int]  # its first vector, how many it has; the large graph is one too
PROCESSORS = os.cpu_count() or 1


@dataclass
class Built:
    """A graph, and the file where it is kept."""

    block: Block
    graph: Any
    file: Path | None = None


class Graphs:
    """Those of one table. One thread may have them built while others search.

    Args:
        switch, block: see the module.
    Attributes:
        kept: a folder where graphs are kept by what they are made of, so that nobody builds the same one twice; None
            for no such folder. Whoever sets it is the only one to write there.
    """

    def __init__(self, switch: int = SWITCH, block: int = BLOCK) -> None:
        self._switch, self._block = switch, block
        self._built: dict[Block, Built] = {}
        self._building: dict[Block, Future[Built]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.RLock()  # of what changes these
        self._rows = np.zeros((0, 0), np.float32)
        self._looked = (0, False)  # what `_rows` were when it was last seen to what is to be built
        self._names: dict[int, str] = {}  # of the large graph's sizes
        self.kept: Path | None = None

    def copy(self) -> Graphs:
        """What there is now: it keeps its graphs when larger ones take their place in this one."""
        taken = Graphs(self._switch, self._block)
        with self._lock:
            taken._built, taken._building, taken._rows = dict(self._built), dict(self._building), self._rows
        return taken

    # -- searching ---------------------------------------------------------------------------------------------------

    def ready(self, n: int) -> list[tuple[Block, Any]]:
        """Those that are built, for a search of the first `n` vectors: in order, none over another, maybe with gaps."""
        done = [future.result() for future in list(self._building.values()) if future.done()]
        found: list[tuple[Block, Any]] = []
        at = 0
        for each in sorted([*self._built.copy().values(), *done], key=lambda each: (each.block[0], -each.block[1])):
            start, length = each.block
            if n > self._switch and start >= at and start + length <= n:
                found.append((each.block, each.graph))
                at = start + length
        return found

    def in_force(self, n: int) -> list[tuple[Block, Any]]:
        """Those that a search of the first `n` vectors is to use, whatever it has to wait for."""
        blocks = blocks_in_force(n, self._switch, self._block)
        while True:
            built = self._built.copy()
            missing = [block for block in blocks if block not in built]
            if not missing:
                return [(block, built[block].graph) for block in blocks]
            if n < len(self._rows):  # others have added meanwhile, and larger ones may be there instead
                return self.ready(n)
            self._advance()
            futures = list(self._building.values())
            if futures:  # it, or others that are needed sooner
                self._building.get(missing[0], futures[0]).result()

    # -- building ----------------------------------------------------------------------------------------------------

    def build_ahead(self, rows: np.ndarray) -> None:
        """Have those built that `rows` [n, dim], all vectors there are, need now or will need next; no more at a time
        than there are processors."""
        self._rows = rows
        if self._state(len(rows)) != self._looked:
            self._advance()

    def _advance(self) -> None:
        """Take what is built, and begin what is wanted next."""
        with self._lock:
            n = len(self._rows)
            self._looked = self._state(n)
            for block, future in list(self._building.items()):
                if future.done():
                    built = future.result()
                    self._built[built.block] = built
                    del self._building[block]
            if n <= self._switch - self._switch // 4:  # it may never come to that
                return
            if n <= self._switch and importlib.util.find_spec("faiss") is None:
                return
            in_force = blocks_in_force(n, 0, self._block)
            there = [block for block in in_force if block in self._built]
            large = in_force[0][1] if in_force else 0
            there += [block for block in self._built if _is_large(block, self._block) and block[1] <= large]
            for block in [block for block in self._built if _is_within(block, there)]:
                del self._built[block]  # a larger one has taken its place
            while len(self._building) < PROCESSORS and (wanted := self._wanted(n, in_force)):
                self._submit(wanted[0])  # which comes back here at once where it is built at once
            if self.kept is not None and not self._building:
                self._tidy(self.kept)

    def _state(self, n: int) -> tuple[int, bool]:
        """What decides which are wanted at `n` vectors."""
        return n // self._block, n > self._switch

    def _wanted(self, n: int, in_force: list[Block]) -> list[Block]:
        """Those that are or will be in force and are not there, the sooner needed the earlier."""
        sizes = large_sizes(n, self._block)
        large = in_force[0][1] if in_force and in_force[0][1] in sizes else 0
        there = max((size for size in sizes if (0, size) in self._built), default=0)
        if (0, large) not in self._built:
            there = max((size for size in sizes if size < large and (0, size) in self._built), default=0)
        found = {(0, size) for size in [size for size in sizes if size > there][:1]}  # each grows from the one before
        for length in _lengths(n, self._block):
            blocks = ((start, length) for start in range(-(-large // length) * length, n - length + 1, length))
            found |= {block for block in blocks if not _is_within(block, in_force)}
        missing = found - self._built.keys() - self._building.keys()
        return sorted(missing, key=lambda block: due(block, self._block))

    def _submit(self, block: Block) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(PROCESSORS, thread_name_prefix="graphs")
        start, length = block
        if _is_large(block, self._block):
            base = self._built.get((0, _size_before(length, self._block)))
            in_force = blocks_in_force(len(self._rows), 0, self._block)
            sizes = range(length, max(length, in_force[0][1] if in_force else 0) + 1)
            work = functools.partial(_make_large, sizes, base, self._rows, self._block, self.kept, self._names)
        else:
            work = functools.partial(_make, block, self._rows[start : start + length], self.kept)
        future = self._building[block] = self._pool.submit(work)
        future.add_done_callback(functools.partial(_go_on, weakref.ref(self)))

    def _tidy(self, folder: Path) -> None:
        """Remove the files of graphs that are of no use any more."""
        used = {built.file for built in self._built.values()}
        for path in folder.glob("*.hnsw"):
            if path not in used:
                path.unlink(missing_ok=True)

    # -- saving ------------------------------------------------------------------------------------------------------

    @property
    def built(self) -> dict[Block, Any]:
        """Those that are built."""
        self._advance()
        return {block: built.graph for block, built in self._built.copy().items()}

    def take(self, block: Block, path: Path) -> None:
        """Use the graph that `write_graph` has written to `path` instead of building it."""
        self._built[block] = Built(block, _faiss().read_index(str(path)))

    @property
    def bytes_used(self) -> int:
        return sum(graph_bytes(built.graph) for built in self._built.copy().values())


# -- which there are -------------------------------------------------------------------------------------------------


@functools.lru_cache(1024)  # each search asks for those of the same few lengths
def large_sizes(n: int, block: int = BLOCK) -> tuple[int, ...]:
    """The sizes, up to `n`, that the large graph takes as it grows."""
    found: list[int] = []
    size = 0
    while True:
        step = max(block * LARGER, max((length for length in _lengths(size // SHARE, block)), default=0))
        size = max(size + step, (size + size // SHARE) // step * step)
        if size > n:
            return tuple(found)
        found.append(size)


def blocks_in_force(n: int, switch: int = SWITCH, block: int = BLOCK) -> list[Block]:
    """What is searched by its graph at `n` vectors, one behind the other from the first; what follows is not."""
    found: list[Block] = []
    if n <= switch:
        return found
    size = max((size for size in large_sizes(n, block) if due((0, size), block) <= n), default=0)
    if size:
        found.append((0, size))
    while True:
        fitting = ((size, length) for length in _lengths(n, block) if size % length == 0)
        each = max((each for each in fitting if due(each, block) <= n), default=None)
        if each is None:
            return found
        found.append(each)
        size += each[1]


def due(block: Block, smallest: int = BLOCK) -> int:
    """How many vectors there are when the graph of `block` takes effect."""
    start, length = block
    added = length - _size_before(length, smallest) if _is_large(block, smallest) else length
    return start + length + added // LEAD


def _lengths(n: int, block: int) -> list[int]:
    """Of the blocks that `n` vectors may lie in."""
    found = []
    while block <= n:
        found.append(block)
        block *= LARGER
    return found


def _is_large(block: Block, smallest: int) -> bool:
    """Whether it is a state of the large graph."""
    return block[0] == 0 and block[1] in large_sizes(block[1], smallest)


def _size_before(size: int, smallest: int) -> int:
    return max((each for each in large_sizes(size, smallest) if each < size), default=0)


def _is_within(block: Block, others: list[Block]) -> bool:
    """Whether a larger one of `others` covers it."""
    start, length = block
    return any(first <= start and start + length <= first + size and size > length for first, size in others)


# -- building them ---------------------------------------------------------------------------------------------------


def build_graph(rows: np.ndarray, base: Any = None) -> Any:
    """The HNSW graph of the vectors in `base` and, after them, `rows` [n, dim], held in half precision.

    By one thread, so always the same. `base` stays as it is.
    """
    faiss = _faiss()
    faiss.omp_set_num_threads(1)  # of this thread
    if base is None:
        graph = faiss.IndexHNSWSQ(rows.shape[1], faiss.ScalarQuantizer.QT_fp16, LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = BUILD_EFFORT
        graph.train(rows[:1])  # half precision has nothing to learn from them
    else:
        graph = faiss.clone_index(base)
    graph.hnsw.rng = faiss.RandomGenerator(graph.ntotal)  # its state is not saved with a graph
    graph.add(rows)
    return graph


def write_graph(graph: Any, path: Path) -> None:
    _faiss().write_index(graph, str(path))


def graph_bytes(graph: Any) -> int:
    """Of a graph in memory: its vectors in half precision, their links and levels."""
    return int(graph.ntotal * graph.d * 2 + graph.hnsw.neighbors.size() * 4 + graph.hnsw.offsets.size() * 8)


def _make(block: Block, rows: np.ndarray, kept: Path | None) -> Built:
    if kept is None:
        return Built(block, build_graph(rows))
    file = kept / f"{hashlib.sha256(rows.data).hexdigest()}{GRAPH_SUFFIX}"
    graph = _read(file, len(rows), rows.shape[1])
    if graph is None:
        graph = build_graph(rows)
        _keep(graph, file)
    return Built(block, graph, file)


def _make_large(
    sizes: range, base: Built | None, rows: np.ndarray, smallest: int, kept: Path | None, names: dict[int, str]
) -> Built:
    """The large graph of the largest of `sizes` that is kept; where none is, the smallest of them, grown from `base`.

    `names` are those of its sizes so far: each is a hash of the vectors that were added last, and the name before.
    """
    size, before = sizes[0], base.block[1] if base is not None else 0
    if kept is None:
        return Built((0, size), build_graph(rows[before:size], base and base.graph))
    last = 0
    for each in large_sizes(sizes[-1], smallest):
        if each not in names:
            names[each] = _hash(names.get(last, ""), rows[last:each])
        last = each
    files = {each: kept / f"{name}{GRAPH_SUFFIX}" for each, name in names.items() if each in sizes}
    for each in sorted(files, reverse=True):
        graph = _read(files[each], each, rows.shape[1])
        if graph is not None:
            return Built((0, each), graph, files[each])
    graph = build_graph(rows[before:size], base and base.graph)
    _keep(graph, files[size])
    return Built((0, size), graph, files[size])


def _hash(before: str, rows: np.ndarray) -> str:
    found = hashlib.sha256(before.encode())
    found.update(rows.data)
    return found.hexdigest()


def _read(path: Path, n: int, dim: int) -> Any:
    """The graph of `n` vectors that was written to `path` before; None where there is none, or a damaged one."""
    with contextlib.suppress(RuntimeError):
        graph = _faiss().read_index(str(path))
        if (graph.ntotal, graph.d) == (n, dim):
            return graph
    return None


def _keep(graph: Any, path: Path) -> None:
    """Write it where that can be: it would only save time."""
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_graph(graph, new)
        new.replace(path)
    except (OSError, RuntimeError):  # a full disk
        new.unlink(missing_ok=True)


def _go_on(graphs: weakref.ref[Graphs], future: Future[Built]) -> None:
    """What one thread is to do when it has built a graph: see to the next."""
    alive = graphs()
    if alive is not None and future.exception() is None:
        with contextlib.suppress(RuntimeError, UserError):  # the process is ending; what failed is told to who searches
            alive._advance()


# -- searching one ---------------------------------------------------------------------------------------------------


def search_graph(graph: Any, vectors: np.ndarray, size: int, alive: np.ndarray | None) -> list[np.ndarray]:
    """For each of `vectors` [q, dim] the positions in the graph of about the `size` nearest, only of those `alive`."""
    faiss = _faiss()
    faiss.omp_set_num_threads(1)  # of this thread
    arguments: dict[str, Any] = {"efSearch": max(search_effort(graph.ntotal), 2 * size)}
    if alive is not None and not alive.all():
        bits = np.packbits(alive, bitorder="little")
        arguments["sel"] = faiss.IDSelectorBitmap(bits)
    parameters = faiss.SearchParametersHNSW(**arguments)
    _, found = graph.search(np.ascontiguousarray(vectors), min(size, graph.ntotal), params=parameters)
    return [row[row >= 0] for row in found]


def search_effort(n: int) -> int:
    """efSearch in a graph of `n` vectors."""
    return SEARCH_EFFORT if n <= BLOCK else MORE_EFFORT


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise UserError(
            f"more than {SWITCH:,} cases are searched by an index of the package faiss-cpu, which is missing: "
            "`pip install -r requirements-bank.txt`; then the same command goes on"
        ) from None
    return faiss
