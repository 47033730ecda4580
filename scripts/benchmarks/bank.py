"""What a large bank costs: `benchmark.py bank`, the top 32 of a million cases of 384 numbers.

    python scripts/benchmark.py bank                                # 1,000,000 cases; builds their graphs first
    python scripts/benchmark.py bank --cases 20000 65536 200000     # several sizes
    python scripts/benchmark.py bank --json bank.json               # the figures as JSON too

The vectors stand for embeddings: `--clusters` groups (10,000), each a centre drawn from a normal distribution whose
spread falls along the axes as i^-0.5, its members about it at 0.6 of that spread, all of length 1. So a vector's 32
nearest lie in its own group and in those beside it, at cosines as those of real questions: compare the line on
Banking77's. Queries are drawn from the same groups and are not in the bank. Brute force is a product with all vectors
and a partial sort, by NumPy, in turn with the index, query by query; recall is of what it finds. Everything in one
thread but the building of the graphs. Times are medians; read ratios, the seconds are this machine's.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from memory.bank import CaseBank
from memory.graphs import BLOCK, LARGER, SWITCH, Graphs, build_graph
from memory.index import VectorIndex
from runs.checkpoint import Checkpoint
from step import Case

DIM, NEAREST, CHUNK = 384, 32, 50_000
SPREAD, DECAY = 0.6, 0.5
MEANING = {
    "cases": "in the bank",
    "search_ms": "one search for the 32 nearest, median",
    "search_p99_ms": "and its 99th percentile",
    "brute_ms": "the same by brute force, median",
    "ratio": "search_ms / brute_ms",
    "recall": "share of the true 32 nearest that the search finds",
    "bytes_a_case": "in memory: the vector, its graph, the case itself",
    "add_us": "to add a case, with no graph being built beside it",
    "build_us": "of a processor's time, to build the graph, for each case",
    "save_s": "the first checkpoint of all of it",
    "save_more_s": "the next checkpoint, 100 cases later",
    "load_s": "from the checkpoint to the first recall",
}


def make_vectors(count: int, clusters: int, part: int) -> np.ndarray:
    """Unit vectors in groups, float32 [count, DIM]; parts differ in the vectors and share the groups."""
    scale = np.arange(1, DIM + 1, dtype=np.float32) ** -DECAY
    scale /= np.linalg.norm(scale)
    centres = np.random.default_rng([0, 1]).standard_normal((clusters, DIM), np.float32) * scale
    chance = np.random.default_rng([0, 2, part])
    vectors = np.empty((count, DIM), np.float32)
    for start in range(0, count, CHUNK):
        rows = vectors[start : start + CHUNK]
        rows[:] = centres[chance.integers(clusters, size=len(rows))]
        rows += SPREAD * chance.standard_normal(rows.shape, np.float32) * scale
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return vectors


class Planted:
    """An encoder that looks its vectors up: "case 5" is row 5 of the bank's, "query 5" of the queries'."""

    dim = DIM

    def __init__(self, cases: np.ndarray, queries: np.ndarray) -> None:
        self._tables = {"case": cases, "query": queries}

    def encode(self, texts: list[str]) -> np.ndarray:
        named = (text.split()[:2] for text in texts)
        return np.stack([self._tables[kind][int(number) % len(self._tables[kind])] for kind, number in named])

    def remember(self, texts: list[str], embeddings: np.ndarray) -> None:
        """It keeps nothing."""


def brute_force(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    similarity = vectors @ query
    best = np.argpartition(-similarity, NEAREST)[:NEAREST]
    return best[np.argsort(-similarity[best])]


def measure(size: int, queries: int, clusters: int, folder: Path, graphs: Path | None = None) -> dict[str, Any]:
    """The figures of MEANING for a bank of `size` cases; `graphs` as `--graphs`."""
    vectors, asked = make_vectors(size + 200, clusters, 0), make_vectors(queries, clusters, 1)
    before = resident_bytes()
    bank = CaseBank(Planted(vectors, asked))
    bank._index._graphs = Graphs(switch=sys.maxsize)  # none are built beside the adding
    _, add_seconds = timed(functools.partial(add_cases, bank, 0, size))
    bank._index._graphs = Graphs()
    if graphs is not None:
        bank.keep_graphs(graphs)
    bank._index._graphs.build_ahead(bank._index.vectors)
    build_seconds = wait_for_graphs(bank._index)
    figures: dict[str, Any] = {"cases": size} | search_figures(bank._index, asked)
    figures["bytes_a_case"] = round((resident_bytes() - before) / size)
    figures["add_us"] = round(1e6 * add_seconds / size, 1)
    figures["build_us"] = round(1e6 * build_seconds, 1)
    first, figures["save_s"] = timed(lambda: save(bank, folder / "1", size, None))
    add_cases(bank, size, size + 100)
    _, figures["save_more_s"] = timed(lambda: save(bank, folder / "2", size + 100, first))

    def load() -> CaseBank:
        opened = Checkpoint.open(folder / "2")
        assert opened is not None
        again = CaseBank(Planted(vectors, asked))
        again.load(opened)
        again.recall("query 0", NEAREST)
        return again

    again, figures["load_s"] = timed(load)
    assert again.recall("query 1", NEAREST) == bank.recall("query 1", NEAREST)
    return figures


def search_figures(index: VectorIndex, asked: np.ndarray) -> dict[str, Any]:
    """Times of index and brute force in turn, and the recall."""
    ours, brute, found = [], [], 0
    for query in asked:
        positions, seconds = timed(functools.partial(index.nearest, query, NEAREST))
        ours.append(seconds)
        truth, seconds = timed(functools.partial(brute_force, index.vectors, query))
        brute.append(seconds)
        found += len(set(positions) & set(truth.tolist()))
    return {
        "search_ms": round(1000 * statistics.median(ours), 2),
        "search_p99_ms": round(1000 * float(np.quantile(ours, 0.99)), 2),
        "brute_ms": round(1000 * statistics.median(brute), 2),
        "ratio": round(statistics.median(ours) / statistics.median(brute), 3),
        "recall": round(found / (NEAREST * len(asked)), 4),
    }


def wait_for_graphs(index: VectorIndex) -> float:
    """Until every graph that is in force is built; returns a processor's seconds a case, of one block built alone."""
    if len(index) <= SWITCH:
        return 0.0
    index.wait()
    _, seconds = timed(lambda: build_graph(index.vectors[: BLOCK * LARGER]))
    return seconds / (BLOCK * LARGER)


def save(bank: CaseBank, folder: Path, step: int, before: Checkpoint | None) -> Checkpoint:
    checkpoint = Checkpoint.begin(folder, step, before)
    bank.save(checkpoint)
    checkpoint.finish()
    return checkpoint


def add_cases(bank: CaseBank, start: int, end: int) -> None:
    for i in range(start, end):
        bank.add(make_case(i))


def make_case(i: int) -> Case:
    return Case(f"case {i} is a question of about the length that customers of a bank ask", f"label {i % 77}", 1, i + 1)


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    return action(), round(time.perf_counter() - begin, 6)


def resident_bytes() -> int:
    """Of this process, now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cases", type=int, nargs="+", default=[1_000_000], help="sizes (default: 1000000)")
    parser.add_argument("--queries", type=int, default=300, help="searches at each size (default: %(default)s)")
    parser.add_argument("--clusters", type=int, default=10_000, help="groups of vectors (default: %(default)s)")
    parser.add_argument("--graphs", type=Path, help="keep the graphs here, and take those that are", metavar="FOLDER")
    parser.add_argument("--json", type=Path, help="write the figures to this file too", metavar="FILE")


def report(arguments: argparse.Namespace) -> None:
    figures = []
    print(f"| {' | '.join(MEANING)} |\n|{'---|' * len(MEANING)}")
    for size in arguments.cases:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(size, arguments.queries, arguments.clusters, Path(folder), arguments.graphs)
        figures.append({name: found[name] for name in MEANING})
        print(f"| {' | '.join(f'{value:,}' for value in figures[-1].values())} |", flush=True)
    print("\n" + "\n".join(f"- {name}: {text}" for name, text in MEANING.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps({"meaning": MEANING, "sizes": figures}, indent=2) + "\n")
