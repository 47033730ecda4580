"""The case bank: recall is a plain sort by cosine, at every size, and a saved bank is the same bank."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from errors import UserError
from memory.bank import CaseBank
from runs.checkpoint import Checkpoint
from step import Case

DIM = 7


class PlantedEmbedder:
    """Unit vectors drawn from the text; counts what it had to encode."""

    dim = DIM

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.known: dict[str, np.ndarray] = {}

    def encode(self, texts: list[str]) -> np.ndarray:
        for text in texts:
            if text not in self.known:
                self.encoded.append(text)
                self.known[text] = self._embed(text)
        return np.stack([self.known[text] for text in texts])

    def remember(self, texts: list[str], embeddings: np.ndarray) -> None:
        self.known.update(zip(texts, embeddings))

    @staticmethod
    def _embed(text: str) -> np.ndarray:
        vector = np.random.default_rng(list(text.encode())).standard_normal(DIM)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def case(step: int, task: str, answer: Any = "yes") -> Case:
    return Case(task, answer, 1, step)


def saved(bank: CaseBank, folder: Path) -> dict[str, Any]:
    """What a checkpoint in `folder` gives back of `bank`."""
    checkpoint = Checkpoint.begin(folder, 1, None)
    checkpoint.put("bank", bank.state_dict(), grows=("cases", "embeddings"))
    checkpoint.finish()
    opened = Checkpoint.open(folder)
    assert opened is not None
    return opened.get("bank")


def naive_recall(bank: CaseBank, query: str, size: int) -> list[int]:
    """The ids of the nearest cases: a sort of all by cosine, then by age; equal texts have equal cosines."""
    embedder, cosine = PlantedEmbedder(), {}
    for task in {case.task for case in bank.cases}:
        u, v = (embedder.encode([text])[0].astype(np.float64) for text in (query, task))
        cosine[task] = sum(float(a) * float(b) for a, b in zip(u, v))
    return [case.step for case in sorted(bank.cases, key=lambda case: (-cosine[case.task], case.step))][:size]


def test_recall_is_a_sort_by_cosine_as_the_bank_grows() -> None:
    bank = CaseBank(PlantedEmbedder())
    for step in range(1, 601):
        bank.add(case(step, f"task {step * step % 211}"))  # many tasks come more than once
        assert len(bank) == step
        if step < 40 or step in (255, 256, 257, 511, 512, 513, 600):  # about where the table grows
            for size in (1, 2, 5, 32, step, step + 1):
                recalled = [case.step for case in bank.recall(f"query {step}", size)]
                assert recalled == naive_recall(bank, f"query {step}", size)
    assert len({case.task for case in bank.cases}) < 300


@pytest.mark.parametrize("n", [5, 17, 100, 255, 300])
def test_of_equal_cases_the_older_comes_first(n: int) -> None:
    class Large(PlantedEmbedder):
        dim = 384

        def encode(self, texts: list[str]) -> np.ndarray:
            vectors = [np.random.default_rng(len(text)).standard_normal(384) for text in texts]
            return np.stack([(vector / np.linalg.norm(vector)).astype(np.float32) for vector in vectors])

    bank = CaseBank(Large())
    for step in range(1, n + 1):
        bank.add(case(step, "the same"))
    assert [case.step for case in bank.recall("another query", 32)] == list(range(1, n + 1))[:32]
    assert [case.step for case in bank.recall("another query", n)] == list(range(1, n + 1))


def test_latest_are_the_newest_in_order() -> None:
    bank = CaseBank()
    assert bank.latest(3) == []
    for step in range(1, 6):
        bank.add(case(step, f"task {step}"))
    assert [case.step for case in bank.latest(3)] == [3, 4, 5]
    assert [case.step for case in bank.latest(1)] == [5]
    assert [case.step for case in bank.latest(9)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("n", [0, 1, 255, 256, 300])
def test_a_saved_bank_is_the_same_bank(n: int, tmp_path: Path) -> None:
    bank = CaseBank(PlantedEmbedder())
    answers = ["yes", 3, ["a", "b"], {"Zhāng": "theft"}, "line one\nline two\u2028\x85", None]
    for step in range(1, n + 1):
        bank.add(case(step, f"task {step}\r\nmore", answers[step % len(answers)]))

    embedder = PlantedEmbedder()
    restored = CaseBank(embedder)
    restored.load_state_dict(saved(bank, tmp_path / "checkpoint"))
    assert restored.cases == bank.cases
    for step in range(n + 1, n + 4):  # both go on
        for either in (bank, restored):
            either.add(case(step, f"task {step}"))
        assert restored.recall("query", 32) == bank.recall("query", 32)
        assert [case.step for case in restored.recall("query", 32)] == naive_recall(bank, "query", 32)
    assert embedder.encoded == [f"task {n + 1}", "query", f"task {n + 2}", f"task {n + 3}"]


def test_a_bank_without_encoder_is_saved_too(tmp_path: Path) -> None:
    bank = CaseBank()
    bank.add(case(1, "task"))
    restored = CaseBank()
    restored.load_state_dict(saved(bank, tmp_path / "checkpoint"))
    assert restored.cases == bank.cases
    assert len(restored) == 1


def test_what_is_shown_of_a_case_cannot_change_the_bank() -> None:
    bank = CaseBank()
    bank.add(case(1, "task", ["a", {"b": 1}]))
    view = bank.latest(1)[0].view()
    view["task"] = "another"
    view["answer"][1]["b"] = 2
    view.clear()
    assert bank.cases == [case(1, "task", ["a", {"b": 1}])]


def test_answers_are_kept_as_json_gives_them_back() -> None:
    bank = CaseBank()
    for step in range(1, 4):
        bank.add(case(step, "task", {"a set": {"b", "a", "c"}, "numbers": np.int64(3), "row": (np.float32(0.5), 1)}))
    assert bank.cases[0].answer == {"a set": ["a", "b", "c"], "numbers": 3, "row": [0.5, 1]}
    with pytest.raises(UserError, match="must be made of texts, numbers, lists and dicts: object is none of these"):
        bank.add(case(4, "task", object()))
    assert len(bank) == 3


def test_a_set_reads_the_same_in_every_process() -> None:
    """The order of a set of texts depends on the process's hash seed."""
    script = "from step import as_plain; print(as_plain({'pear', 'apple', 'fig', 'plum', 'lime'}))"
    orders = set()
    for seed in range(4):
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", script]
        orders.add(subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment).stdout)
    assert orders == {"['apple', 'fig', 'lime', 'pear', 'plum']\n"}
