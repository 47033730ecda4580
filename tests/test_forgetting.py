"""A bank with a limit: equal to a naive reference at every step, through compactions and continued runs."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_casebank import PlantedEmbedder

from config import Config
from errors import UsageError
from memory.bank import SHRINKAGE, CaseBank
from memory.entries import Contents, Entry
from runs.checkpoint import Checkpoint
from step import Case


class Naive:
    """The rules of --forget, written down plainly."""

    def __init__(self, limit: int, forget: str) -> None:
        self.limit, self.forget = limit, forget
        self.cases: list[Case] = []
        self.shown: dict[int, list[int]] = {}  # by step: the rewards of the steps that showed the case
        self.all: list[int] = []

    def add(self, case: Case) -> None:
        self.cases.append(case)
        self.shown[case.step] = []
        if len(self.cases) > self.limit:
            older = self.cases[:-1]
            mean = sum(self.all) / len(self.all) if self.all else 0.5

            def value(case: Case) -> float:
                rewards = self.shown[case.step]
                return (sum(rewards) + SHRINKAGE * mean) / (len(rewards) + SHRINKAGE)

            gone = older[0] if self.forget == "oldest" else min(older, key=value)
            self.cases.remove(gone)

    def note(self, cases: list[Case], reward: int) -> None:
        for case in cases:
            self.all.append(reward)
            if case in self.cases:
                self.shown[case.step].append(reward)

    def recall(self, query: str, size: int) -> list[int]:
        u = PlantedEmbedder._embed(query)
        cosine = [float(PlantedEmbedder._embed(case.task) @ u) for case in self.cases]
        return [self.cases[i].step for i in np.argsort(-np.array(cosine), kind="stable")[:size]]


@pytest.mark.parametrize("forget", ["oldest", "least_useful"])
@pytest.mark.parametrize("limit", [1, 5, 70])
def test_it_forgets_as_the_reference_does(limit: int, forget: str, tmp_path: Path) -> None:
    """Also where it is saved and taken up again, at any step."""
    rng = random.Random(limit)
    bank, naive = CaseBank(PlantedEmbedder(), limit, forget), Naive(limit, forget)
    before: Checkpoint | None = None
    for step in range(1, 301):
        shown = bank.recall(f"query {step}", 4) if step > 1 else []
        assert [case.step for case in shown] == naive.recall(f"query {step}", 4)[: len(shown)]
        reward = int(rng.random() < 0.6)
        bank.note(shown, reward)
        naive.note(shown, reward)
        if rng.random() < 0.9:
            bank.add(Case(f"task {step}", step % 7, 1, step))
            naive.add(Case(f"task {step}", step % 7, 1, step))
        assert bank.cases == naive.cases and len(bank) == len(naive.cases)
        assert bank.latest(3) == naive.cases[-3:]
        if step % 37 == 0:
            checkpoint = Checkpoint.begin(tmp_path / str(step), step, before)
            bank.save(checkpoint)
            checkpoint.finish()
            before = Checkpoint.open(tmp_path / str(step))
            assert before is not None
            bank = CaseBank(PlantedEmbedder(), limit, forget)
            bank.load(before)
    assert len(bank._rows) <= limit + max(limit, 64) + 1  # what is forgotten takes no room


def test_a_case_that_fails_goes_before_one_that_was_never_shown() -> None:
    bank = CaseBank(limit=3, forget="least_useful")
    for step in (1, 2, 3):
        bank.add(Case(f"task {step}", step, 1, step))
    one, two, _ = bank.cases
    for reward in (1, 1, 0):
        bank.note([one], reward)
    bank.note([two], 0)
    bank.add(Case("task 4", 4, 1, 4))
    assert [case.step for case in bank.cases] == [1, 3, 4]


def test_without_a_limit_nothing_is_forgotten() -> None:
    bank = CaseBank(forget="least_useful")
    for step in range(1, 200):
        bank.add(Case("the same", step, 1, step))
        bank.note(bank.cases[:2], 0)
    assert len(bank) == 199


def test_what_a_bank_starts_from_counts_towards_its_limit() -> None:
    entries = [Entry(Case(f"case {i}", i)) for i in range(10)]
    bank = CaseBank(PlantedEmbedder(), limit=4)
    bank.start_from(Contents(entries), "elsewhere")
    assert bank.cases == [entry.case for entry in entries[6:]]
    bank.add(Case("task", 1, 1, 1))
    assert [case.step for case in bank.cases] == [0, 0, 0, 1] and len(bank.recall("query", 9)) == 4


def test_a_run_is_another_with_a_limit_and_the_same_without() -> None:
    options: dict[str, Any] = {"env": "lfd", "agent": "cbr"}
    plain = Config(**options)
    assert not {"bank_limit", "forget", "retain", "bank_from", "policy_from"} & plain.identity().keys()
    assert replace(plain, forget="oldest", retain="on").identity() == plain.identity()
    limited = replace(plain, bank_limit=9)
    assert limited.identity() == plain.identity() | {"bank_limit": 9} and "bank_limit=9" in limited.run_name()
    assert replace(limited, forget="least_useful").identity()["forget"] == "least_useful"
    with pytest.raises(UsageError, match="--forget least_useful needs --bank_limit N"):
        replace(plain, forget="least_useful")
    assert Config(env="lfd", agent="zero-shot", bank_limit=9).without_effect(["bank_limit"])
