"""What the endpoint does for many requests at once: batches, bounded heads, the same results as one by one."""

from __future__ import annotations

import socket
import sqlite3
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.endpoint import endpoint, stand_in
from memory.bank import CaseBank
from memory.encoders import TextEncoder
from memory.index import VectorIndex
from serve.batching import Batcher
from serve.ledger import Answered, Ledger
from serve.protocol import LARGEST_HEAD
from step import Case, Step


def test_what_waits_makes_one_batch_in_its_order() -> None:
    batches: list[list[int]] = []
    begun, go_on = threading.Event(), threading.Event()

    def work(batch: list[tuple[int, Future[int]]]) -> None:
        batches.append([item for item, _ in batch])
        begun.set()
        go_on.wait()
        if 7 in batches[-1]:
            raise ValueError("seven")
        for item, future in batch:
            future.set_result(10 * item)

    batcher = Batcher(work, 3, "test")
    first = batcher.submit(0)
    begun.wait()
    others = [batcher.submit(item) for item in range(1, 8)]
    assert others[0].cancel(), "nobody waits for it any more"
    go_on.set()
    assert first.result() == 0
    assert [future.result() for future in others[1:6]] == [20, 30, 40, 50, 60]
    with pytest.raises(ValueError, match="seven"):
        others[6].result()
    batcher.close()
    assert batches == [[0], [2, 3], [4, 5, 6], [7]]


@pytest.mark.parametrize("dead", [0, 40])
def test_searches_together_find_what_each_finds_alone(dead: int) -> None:
    pytest.importorskip("faiss")
    vectors = np.random.default_rng(0).standard_normal((700, 16), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = VectorIndex(16, switch=200, block=128)
    index.add(vectors[:600])
    for position in range(dead):
        index.discard(3 * position)
    asked = vectors[590:]
    assert index.search_all(asked, 5) == [index.search(vector, 5) for vector in asked]


def test_recall_ahead_is_recall(text_encoder: TextEncoder) -> None:
    bank, queries = CaseBank(text_encoder), ["where is my card?", "a loan", "how much is a loan?"]
    for number, task in enumerate(("my card is lost", "I want a loan", "what is the fee?"), 1):
        bank.add(Case(task, number, 1, number))
    alone = [bank.recall(query, 2) for query in queries]
    bank.recall_ahead(queries, 2)
    assert [bank.recall(query, 2) for query in queries] == alone
    bank.recall_ahead(queries, 2)
    bank.add(Case("how much is a loan?", "new", 1, 4))
    assert bank.recall(queries[2], 2)[0].answer == "new", "what was found before the bank changed is not used"


def test_embeddings_of_a_batch_are_those_of_single_texts(text_encoder: TextEncoder) -> None:
    texts = [f"question {i} about {'a ' * i}card" for i in range(6)]
    alone = np.stack([text_encoder.sentences.encode([text])[0].cpu().numpy() for text in texts])
    text_encoder.prepare(texts)
    assert np.array_equal(text_encoder.encode(texts), alone)


def test_a_batch_of_requests_chooses_what_single_ones_would(tmp_path: Path, text_encoder: TextEncoder) -> None:
    queries = [f"question {i} about my card" for i in range(5)]
    with stand_in() as upstream, endpoint(tmp_path, text_encoder, upstream) as running:
        learner = running.service.learner
        for number in range(1, 9):
            learner.agent.retrieval.bank.add(Case(f"card {number} has not come", "card arrival", 1, number))
        chosen = []
        for size in (1, 5):
            steps: list[Future[Step]] = [Future() for _ in queries]
            waiting: list[Any] = list(zip(enumerate(queries), steps))
            for start in range(0, 5, size):
                learner.choose(waiting[start : start + size])
            chosen.append([(step.result().cases, step.result().scores) for step in steps])
    assert chosen[0] == chosen[1] and chosen[0][0][0]


def test_an_answer_that_could_not_be_kept_is_unknown(tmp_path: Path) -> None:
    """Feedback for it would be learned now and by no restart."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    kept, lost = (Answered(id, 1, "query", "cases", [], [], "said") for id in ("kept", "lost"))
    ledger.put(kept).result()
    with pytest.raises(sqlite3.IntegrityError):  # one number twice stands for a disk that takes no more
        ledger.put(lost).result()
    assert ledger.get("kept") == kept and ledger.get("lost") is None
    ledger.close()


def test_an_end_that_is_interrupted_is_one(
    tmp_path: Path, text_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second SIGTERM, while the first has what waits learned, leaves no thread that the process would wait for."""
    with pytest.raises(SystemExit), stand_in() as upstream, endpoint(tmp_path, text_encoder, upstream) as running:
        service = running.service
        close, waits_for = service.learner.close, service.ledger._writes._thread
        monkeypatch.setattr(service.learner, "close", lambda: sys.exit(143))
    assert not waits_for.is_alive() and service.learner._thread.daemon
    close()


def test_a_head_that_is_too_large_is_hung_up_on(tmp_path: Path, text_encoder: TextEncoder) -> None:
    with stand_in() as upstream, endpoint(tmp_path, text_encoder, upstream) as running:
        host, _, port = running.address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            try:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Big: ")
                for _ in range(8):
                    connection.sendall(b"x" * LARGEST_HEAD)
                said = connection.recv(12)  # without a bound it would wait for the rest, and time out
            except ConnectionError:
                said = b""
            assert said in (b"", b"HTTP/1.1 400")


def test_requests_are_never_ranked_by_the_encoder_that_learns(tmp_path: Path, text_encoder: TextEncoder) -> None:
    with stand_in() as upstream, endpoint(tmp_path, text_encoder, upstream, bandit="NeuralLinLogUCB") as running:
        learner = running.service.learner
        seen = learner._view.policy.encoder  # type: ignore[attr-defined]
        assert seen is not learner.agent.retrieval.policy.encoder  # type: ignore[attr-defined]
        learner._refresh()
        assert learner._view.policy.encoder is seen, "of the same weights it is kept"  # type: ignore[attr-defined]
