"""The index of a large bank: exact as far as it says, near enough beyond, the same however a run came to its size."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errors import UserError
from memory import index as module
from memory.index import VectorIndex, blocks_in_force, write_graph

DIM, SMALL = 16, {"switch": 500, "block": 64}


@pytest.fixture
def faiss() -> Any:
    return pytest.importorskip("faiss", reason="pip install -r requirements-bank.txt")


def unit(n: int, seed: int, dim: int = DIM) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def exact(vectors: np.ndarray, query: np.ndarray, size: int) -> list[int]:
    return np.argsort(-np.einsum("nd,d->n", vectors, query), kind="stable")[:size].tolist()


def grown(vectors: np.ndarray, step: int = 1, **options: Any) -> VectorIndex:
    index = VectorIndex(DIM, **SMALL, **options)
    for start in range(0, len(vectors), step):
        index.add(vectors[start : start + step])
    return index


@pytest.mark.parametrize("n", [65_536, 65_537, 100_000, 1_000_000, 20_000_000])
def test_blocks_in_force_lie_one_behind_the_other(n: int) -> None:
    blocks = blocks_in_force(n)
    assert bool(blocks) == (n > module.SWITCH)
    end = 0
    for start, length in blocks:
        assert start == end and start + 2 * length <= n and start % length == 0
        end = start + length
    assert n - end < module.SWITCH + module.BLOCK if not blocks else n - end < 2 * module.BLOCK
    assert len(blocks) < 40


def test_up_to_the_switch_search_is_exact_to_the_last_tie() -> None:
    vectors = np.repeat(unit(50, 0), 10, axis=0)[np.random.default_rng(1).permutation(500)]
    index = grown(vectors)
    for query, size in zip(unit(20, 2), (1, 2, 7, 32, 499, 500, 600) * 3):
        assert index.nearest(query, size) == exact(vectors, query, size)
    assert list(blocks_in_force(len(vectors), **SMALL)) == []


def test_beyond_the_switch_it_finds_the_nearest_as_it_grows(faiss: Any) -> None:
    vectors, queries = unit(3000, 3), unit(30, 4)
    index, found, wanted = VectorIndex(DIM, **SMALL), 0, 0
    for i, vector in enumerate(vectors):
        index.add(vector[None])
        if i % 97 == 0:
            positions = index.search(queries[i % 30], 8)
            truth = exact(vectors[: i + 1], queries[i % 30], 8)
            cosines = [cosine for _, cosine in positions]
            assert cosines == sorted(cosines, reverse=True) and len(positions) == len(truth)
            found, wanted = found + len({position for position, _ in positions} & set(truth)), wanted + len(truth)
    assert found / wanted > 0.98
    assert index.bytes_used > vectors.nbytes


def test_what_it_finds_depends_on_the_vectors_alone(faiss: Any, tmp_path: Path) -> None:
    """One at a time, many at once, and taken up again from saved graphs: the same neighbours."""
    vectors, queries = unit(3000, 5, DIM), unit(40, 6)
    one, many = grown(vectors), grown(vectors, 1000)
    expected = [one.nearest(query, 32) for query in queries]
    assert [many.nearest(query, 32) for query in queries] == expected
    again = VectorIndex(DIM, **SMALL)
    for (start, length), graph in one.graphs.items():
        write_graph(graph, tmp_path / f"{start}-{length}")
        again.take_graph((start, length), tmp_path / f"{start}-{length}")
    again.add(vectors)
    assert [again.nearest(query, 32) for query in queries] == expected


def test_graphs_of_a_larger_block_take_the_place_of_the_smaller(faiss: Any) -> None:
    index = grown(unit(2000, 7))
    index.nearest(unit(1, 8)[0], 4)
    assert (0, 512) in blocks_in_force(2000, **SMALL)
    assert (0, 512) in index.graphs
    assert not {(start, 64) for start in range(0, 512, 64)} & index.graphs.keys()


@pytest.mark.parametrize("n", [300, 1500])
def test_what_is_discarded_is_never_found(n: int, faiss: Any) -> None:
    vectors = unit(n, 9)
    index = grown(vectors, 100)
    gone = set(range(0, n, 2)) | set(range(64, 128))
    for position in gone:
        index.discard(position)
    kept = np.array(sorted(set(range(n)) - gone))
    for query in unit(20, 10):
        positions = index.nearest(query, 16)
        assert len(positions) == 16 and not gone & set(positions)
        assert len(set(positions) & set(kept[exact(vectors[kept], query, 16)].tolist())) >= 14


def test_readers_go_on_while_one_adds(faiss: Any) -> None:
    vectors, queries = unit(2500, 11), unit(8, 12)
    index = VectorIndex(DIM, waits=False, **SMALL)
    index.add(vectors[:400])

    def read(query: np.ndarray) -> list[list[tuple[int, float]]]:
        return [index.search(query, 5) for _ in range(60)]

    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(read, query) for query in queries]
        for vector in vectors[400:]:
            index.add(vector[None])
    for query, future in zip(queries, reading):
        for found in future.result():
            assert len(found) == 5
            for position, cosine in found:
                assert cosine == pytest.approx(float(vectors[position] @ query), abs=1e-5)


def test_a_missing_package_is_missed_only_beyond_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    index = grown(unit(500, 13))
    assert len(index.nearest(unit(1, 14)[0], 3)) == 3
    with pytest.raises(UserError, match="pip install -r requirements-bank.txt"):
        index.add(unit(200, 15))
        index.nearest(unit(1, 14)[0], 3)


def test_kept_graphs_are_taken_instead_of_built_and_only_where_they_fit(faiss: Any, tmp_path: Path) -> None:
    vectors = unit(1500, 0)

    def found(rows: np.ndarray) -> list[list[int]]:
        index = VectorIndex(DIM, **SMALL)
        index.kept = tmp_path / "graphs"
        index.add(rows)
        index.wait()
        while index._building:  # what will be needed later, too
            index._build_ahead()
        return [index.nearest(query, 5) for query in unit(20, 1)]

    def files() -> dict[Path, tuple[int, int]]:
        paths = sorted((tmp_path / "graphs").iterdir())
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    first, kept = found(vectors), files()
    assert len(kept) == 17
    assert found(vectors) == first and files() == kept, "nothing is built again"
    damaged = next(iter(kept))
    damaged.write_bytes(damaged.read_bytes()[:1000])
    assert found(vectors) == first
    assert files().items() - kept.items() == {(damaged, files()[damaged])} and files()[damaged][1] == kept[damaged][1]
    found(vectors[1:])  # one is gone: each block is of other vectors
    assert not kept.keys() & files().keys(), "what is of no use any more is removed"
