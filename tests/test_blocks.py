"""Whether a stream lies in blocks of one label: the note, its formula, and the shipped samples, which do not."""

from __future__ import annotations

import itertools
import json
import random
import statistics
from pathlib import Path

import pytest

from env.blocks import label_blocks

DATA = Path(__file__).resolve().parent.parent / "data"
LABELS = ["a"] * 40 + ["b"] * 40 + ["c"] * 20


def stream(labels: list) -> list[dict]:
    return [{"task": str(i), "label": label} for i, label in enumerate(labels)]


def test_sorted_rows_are_told_of_and_shuffled_ones_are_not() -> None:
    note = label_blocks(stream(LABELS))
    assert note is not None and "neighbours agree in 98% of cases, 35% by chance" in note and "--shuffle" in note
    told = 0
    for seed in range(1000):
        labels = LABELS.copy()
        random.Random(seed).shuffle(labels)
        told += label_blocks(stream(labels)) is not None
    assert told == 0


@pytest.mark.parametrize(
    "labels",
    [
        [],
        ["a", "a", "b", "b"] * 7,  # too few to say
        ["a"] * 100,  # no other order
        list(range(100)),  # no neighbours that could agree
        [*range(100), 99],  # one pair in a long stream
        ["a", "b"] * 50,  # less often than by chance
    ],
)
def test_what_is_not_in_blocks(labels: list) -> None:
    assert label_blocks(stream(labels)) is None


def test_labels_of_any_form_and_none() -> None:
    assert label_blocks(stream([["x", "y"]] * 30 + [["z"]] * 30)) is not None
    assert label_blocks(stream([{"p": 1, "q": 2}, {"q": 2, "p": 1}] * 15 + [{"p": 2}] * 30)) is not None
    assert label_blocks([{"task": "no label"}] * 100) is None


def test_mean_and_variance_are_those_of_all_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against every order of a few labels: the bound lies `SURPRISE` deviations above the mean, and nowhere else."""
    monkeypatch.setattr("env.blocks.FEWEST", 2)
    monkeypatch.setattr("env.blocks.SHARE", 0.0)
    labels = ["a", "a", "a", "b", "b", "c", "d"]
    orders = {order: sum(x == y for x, y in zip(order, order[1:])) for order in itertools.permutations(labels)}
    by_order = [sum(x == y for x, y in zip(order, order[1:])) for order in itertools.permutations(labels)]
    mean, deviation = statistics.fmean(by_order), statistics.pstdev(by_order)
    for surprise in (0.1, 0.5, 0.9, 1.3, 1.8, 2.3):
        monkeypatch.setattr("env.blocks.SURPRISE", surprise)
        for order, equal in orders.items():
            assert (label_blocks(stream(list(order))) is not None) == (equal > mean + surprise * deviation)


@pytest.mark.parametrize("task", sorted(path.name for path in DATA.iterdir() if (path / "sample").is_dir()))
def test_no_sample_lies_in_blocks(task: str) -> None:
    lines = (DATA / task / "sample" / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    assert label_blocks(map(json.loads, lines)) is None


def test_the_label_of_a_call_is_its_api() -> None:
    rows = [{"task": str(i), "api_name": label, "api_input": "{}"} for i, label in enumerate(LABELS)]
    assert label_blocks(rows) == label_blocks(stream(LABELS)) is not None
