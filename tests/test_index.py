"""The index of a large bank: exact as far as it says, near enough beyond, the same however a run came to its size."""

from __future__ import annotations

import concurrent.futures
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errors import UserError
from memory import graphs as module
from memory.bank import GRAPH, CaseBank
from memory.graphs import blocks_in_force, due, large_sizes, write_graph
from memory.index import VectorIndex
from runs.checkpoint import Checkpoint
from step import Case

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


@pytest.mark.parametrize("n", [65_536, 65_537, 100_000, 1_000_000, 2_400_000, 20_000_000])
def test_blocks_in_force_lie_one_behind_the_other(n: int) -> None:
    blocks = blocks_in_force(n)
    assert bool(blocks) == (n > module.SWITCH)
    end = 0
    for block in blocks:
        start, length = block
        assert start == end and due(block) <= n and start % length == 0
        end = start + length
    if blocks:
        assert n - end < 2 * module.BLOCK and blocks[0][1] >= 0.8 * n - 32_768
    assert len(blocks) < 25


def test_the_large_graph_grows_by_an_eighth_to_where_other_blocks_begin() -> None:
    sizes = [0, *large_sizes(30_000_000)]
    for before, size in zip(sizes, sizes[1:]):
        assert 0 < size - before <= max(32_768, size / 8)
        assert due((0, size)) == size + (size - before) // 16
        for length in (4_096, 32_768, 262_144, 2_097_152):
            assert length > before / 8 or size % length == 0
    assert len(sizes) < 80


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


def built(index: VectorIndex) -> VectorIndex:
    """With all graphs that are needed now or will be next."""
    index.wait()
    while index._graphs._building:
        concurrent.futures.wait(list(index._graphs._building.values()))
        assert index.graphs
    return index


def test_graphs_of_a_larger_block_take_the_place_of_the_smaller(faiss: Any) -> None:
    index = built(grown(unit(2000, 7)))
    assert blocks_in_force(2000, **SMALL)[0] == (0, 1536)
    assert (0, 1536) in index.graphs
    assert not [block for block in index.graphs if block[0] + block[1] <= 1536 and block != (0, 1536)]


def test_a_snapshot_keeps_its_graphs(faiss: Any) -> None:
    vectors, queries = unit(2200, 16), unit(10, 17)
    index = grown(vectors[:1200], 100)
    expected = [index.nearest(query, 5) for query in queries]
    taken = index.snapshot()
    index.add(vectors[1200:])
    built(index)
    assert (0, 1024) not in index.graphs and (0, 1024) in taken.graphs
    assert len(taken) == 1200 and [taken.nearest(query, 5) for query in queries] == expected


def test_who_does_not_wait_is_searched_by_what_is_built_until_all_is(faiss: Any) -> None:
    vectors, queries = unit(3000, 18), unit(20, 19)
    index = VectorIndex(DIM, waits=False, **SMALL)
    index.add(vectors)
    for query in queries:  # each graph has the next one built, though nothing is added any more
        large = [block for block in index.graphs if block[0] == 0 and 512 <= block[1] <= 2560]
        assert len(large) <= 1, "what it has grown from is let go"
        found = index.nearest(query, 8)
        assert len(set(found) & set(exact(vectors, query, 8))) >= 7
    waiting = grown(vectors, 3000)
    assert [built(index).nearest(query, 8) for query in queries] == [waiting.nearest(query, 8) for query in queries]


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


def test_kept_graphs_are_taken_instead_of_built_and_only_where_they_fit(
    faiss: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, keep, made = unit(2000, 0), module._keep, []

    def note(graph: Any, path: Path) -> None:
        made.append(graph.ntotal)
        keep(graph, path)

    monkeypatch.setattr(module, "_keep", note)

    def found(rows: np.ndarray) -> list[list[int]]:
        index = VectorIndex(DIM, **SMALL)
        index.kept = tmp_path / "graphs"
        index.add(rows)
        return [built(index).nearest(query, 5) for query in unit(20, 1)]

    def files() -> dict[Path, tuple[int, int]]:
        paths = sorted((tmp_path / "graphs").iterdir())
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    first, kept = found(vectors[:1500]), files()
    assert sorted(made) == [64] * 7 + [512, 1024] and len(kept) == 8, "the large graph and what came after it"
    assert found(vectors[:1500]) == first and files() == kept and len(made) == 9, "nothing is built again"
    damaged = next(iter(kept))
    damaged.write_bytes(damaged.read_bytes()[:1000])
    assert found(vectors[:1500]) == first
    assert files().items() - kept.items() == {(damaged, files()[damaged])} and files()[damaged][1] == kept[damaged][1]
    made.clear()
    more = found(vectors)
    assert sorted(made) == [64] * 7 + [1536], "the large graph grows from the one that was kept"
    assert more == [built(grown(vectors, 2000)).nearest(query, 5) for query in unit(20, 1)]
    assert found(vectors[:1500]) == first, "and is built again where only a larger one was kept"
    kept = files()
    found(vectors[1:])  # one is gone: each block is of other vectors
    assert not kept.keys() & files().keys(), "what is of no use any more is removed"


def test_a_bank_takes_its_graphs_from_a_checkpoint_and_builds_those_of_another_version_anew(
    faiss: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, build, made = unit(900, 20, 12), module.build_graph, []  # no other test has vectors of 12 numbers

    def note(rows: np.ndarray, base: Any = None) -> Any:
        if rows.shape[1] == 12:
            made.append(len(rows))
        return build(rows, base)

    class Numbered:
        dim = 12

        def encode(self, texts: list[str]) -> np.ndarray:
            return vectors[[int(text) for text in texts]]

        def remember(self, texts: list[str], embeddings: np.ndarray) -> None:
            """It keeps nothing."""

    monkeypatch.setattr(module, "build_graph", note)
    monkeypatch.setattr("memory.bank.VectorIndex", lambda dim: VectorIndex(dim, **SMALL))
    bank = CaseBank(Numbered())
    for i in range(800):
        bank.add(Case(str(i), "answer", 1, i + 1))
    built(bank._index)

    def saved(folder: Path, prefix: str) -> Checkpoint:
        monkeypatch.setattr("memory.bank.GRAPH", prefix)
        checkpoint = Checkpoint.begin(folder, 800, None)
        bank.save(checkpoint)
        checkpoint.finish()
        opened = Checkpoint.open(folder)
        assert opened is not None
        return opened

    ours, older = saved(tmp_path / "ours", GRAPH), saved(tmp_path / "older", "bank-graph")
    monkeypatch.setattr("memory.bank.GRAPH", GRAPH)
    for checkpoint, builds in ((ours, False), (older, True)):
        made.clear()
        again = CaseBank(Numbered())
        again.load(checkpoint)
        for i in range(800, 900, 10):
            assert again.recall(str(i), 8) == bank.recall(str(i), 8)
        assert bool(made) == builds
