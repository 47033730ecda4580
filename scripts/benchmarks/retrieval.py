"""How well and how fast the retrieval service's indexes search: `benchmark.py retrieval`.

    python scripts/benchmark.py retrieval                       # recall on the 2wiki sample, times at 100,000 passages
    python scripts/benchmark.py retrieval --passages 1000000 --methods bm25

Recall at 3 is the share of the passages a question needs that the question itself finds. The synthetic passages have
60 words each, as frequent as in a language (Zipf). Encoding a passage costs the same however many there are, so for
dense it is timed on a few and the index is filled with random unit vectors; a query's time includes its encoding.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from config import EMBEDDED
from env.data import DATA_ROOT
from env.tools.search.corpus import Corpus
from env.tools.search.index import DenseIndex, Index, open_index
from memory.passages import PassageEncoder

SAMPLE = DATA_ROOT / "2wiki" / "sample"
WORDS, VOCABULARY, EXPONENT = 60, 50_000, 1.1  # of a synthetic passage
QUERY_WORDS, QUERIES, TOPK, ENCODED = 10, 50, 3, 128


def recall_at(k: int, corpus: Corpus, index: Index, rows: list[dict[str, Any]]) -> tuple[float, float]:
    """What questions find among the first k of the passages they need: (share of all, share of the first needed)."""
    hits = index.search([row["task"] for row in rows], k)
    found = [{corpus[number]["id"] for number, _ in hit} for hit in hits]
    needed = sum(len(row["evidence"]) for row in rows)
    recall = sum(len(ids & set(row["evidence"])) for row, ids in zip(rows, found)) / needed
    return recall, statistics.fmean(row["evidence"][0] in ids for row, ids in zip(rows, found))


def draw_texts(count: int, words: int, rng: np.random.Generator) -> list[str]:
    """`count` texts of invented words, the n-th most frequent one n ** -EXPONENT as often as the first."""
    weights = np.arange(1, VOCABULARY + 1) ** -EXPONENT
    drawn = rng.choice(VOCABULARY, (count, words), p=weights / weights.sum())
    return [" ".join(f"w{word}" for word in text) for text in drawn]


class RandomVectors:
    """Stands for an encoder of passages: random unit vectors."""

    def __init__(self, dim: int, rng: np.random.Generator) -> None:
        self.dim = dim
        self._rng = rng

    def passages(self, texts: list[str]) -> np.ndarray:
        vectors = self._rng.standard_normal((len(texts), self.dim), np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def time_bm25(texts: list[str], queries: list[str], folder: Path) -> tuple[float, float, str]:
    """(seconds to build the index from a corpus file, median seconds of a query, a remark)."""
    path = folder / "corpus.jsonl"
    rows = (json.dumps({"id": str(number), "contents": text}) + "\n" for number, text in enumerate(texts))
    path.write_text("".join(rows), encoding="utf-8")
    build, (_, index, _) = timed(lambda: open_index(path, folder / "indexes"))
    return build, median_query(index, queries), ""


def time_dense(texts: list[str], queries: list[str], folder: Path) -> tuple[float, float, str]:
    """As time_bm25, with random vectors; the remark says what encoding the passages would add."""
    encoder = PassageEncoder(EMBEDDED, "auto")
    vectors = RandomVectors(encoder.dim, np.random.default_rng(0))
    build, _ = timed(lambda: DenseIndex.build(texts, folder, vectors))
    encoder.passages(texts[:8])
    encode = timed(lambda: encoder.passages(texts[:ENCODED]))[0] / ENCODED
    index = DenseIndex(folder / DenseIndex.FILE, encoder)
    remark = f"encoding: {1000 * encode:.1f} ms a passage, {encode * len(texts) / 60:.0f} min for all"
    return build, median_query(index, queries), remark


def median_query(index: Index, queries: list[str]) -> float:
    index.search(queries[:1], TOPK)
    return statistics.median(timed(lambda query=query: index.search([query], TOPK))[0] for query in queries)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", nargs="+", default=["bm25", "dense"], choices=["bm25", "dense"])
    parser.add_argument("--passages", type=int, default=100_000, help="(default: %(default)s)")


def report(arguments: argparse.Namespace) -> None:
    rows = [json.loads(line) for line in (SAMPLE / "2wiki.jsonl").read_text(encoding="utf-8").splitlines()]
    print("| sample | recall at 3 | first passage at 3 |\n|---|---|---|")
    for method in arguments.methods:
        with tempfile.TemporaryDirectory() as folder:
            encoder = PassageEncoder(EMBEDDED) if method == "dense" else None
            corpus, index, _ = open_index(SAMPLE / "corpus.jsonl", Path(folder), encoder)
            recall, first = recall_at(TOPK, corpus, index, rows)
        print(f"| {method} | {recall:.3f} | {first:.3f} |", flush=True)
    rng = np.random.default_rng(0)
    texts, queries = draw_texts(arguments.passages, WORDS, rng), draw_texts(QUERIES, QUERY_WORDS, rng)
    print(f"\n| {len(texts):,} passages | s to build | ms a query | |\n|---|---|---|---|")
    for method in arguments.methods:
        with tempfile.TemporaryDirectory() as folder:
            build, query, remark = {"bm25": time_bm25, "dense": time_dense}[method](texts, queries, Path(folder))
        print(f"| {method} | {build:.1f} | {1000 * query:.1f} | {remark} |", flush=True)
