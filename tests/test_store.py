"""The durable bank: what has returned is on disk, records add up, encoders never mix, readers go on beside writers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from errors import DataError, UsageError, UserError
from memory.entries import Contents, EncoderIdentity, Entry
from memory.exchange import read_file, write_file
from memory.inspection import judge, near_duplicates
from memory.store import Store
from step import Case

OURS, THEIRS = EncoderIdentity("ours", "a" * 64, 8), EncoderIdentity("theirs", "b" * 64, 8)


def unit(n: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((n, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def entries(n: int, start: int = 0) -> list[Entry]:
    return [Entry(Case(f"task {i}", ["answer", i]), env="lfd", llm="m", step=i + 1) for i in range(start, start + n)]


def test_what_is_added_is_found_again(tmp_path: Path) -> None:
    path, vectors = tmp_path / "bank.sqlite", unit(50)
    with Store.open(path, OURS, create=True) as store:
        assert store.add(entries(50), vectors) == 50
        found = store.nearest(vectors[7], 3)
        truth = np.argsort(-(vectors @ vectors[7]))[:3]
        assert [entry.step - 1 for entry, _ in found] == truth.tolist()
        assert found[0][1] == pytest.approx(1) and found[0][0].case.answer == ["answer", 7]
        assert store.add(entries(60)[45:], np.concatenate([vectors[45:], unit(10, 1)])) == 10
        assert store.nearest(unit(10, 1)[3], 1)[0][0].step == 49 + 5
    with Store.open(path) as store:
        assert (len(store), store.encoder) == (60, OURS)
        assert store.nearest(vectors[7], 3) == found
        assert store.get(found[0][0].key) == found[0][0] and store.get("none") is None
        with pytest.raises(ValueError, match="opened to be read"):
            store.note([found[0][0].key], 1)


def test_records_add_up_and_what_is_removed_is_gone(tmp_path: Path) -> None:
    vectors = unit(20)
    with Store.open(tmp_path / "bank.sqlite", OURS, create=True) as store:
        store.add(entries(20), vectors)
        first, second = (entry.key for entry in entries(2))
        store.note([first, second], 1, expected=0.5)
        store.note([first, "unknown"], 0)  # expected: the mean so far, 2 of 2
        assert (store.get(first).shown, store.get(first).won, store.get(first).expected) == (2, 1, 1.5)
        assert (store.get(second).shown, store.get(second).won, store.get(second).expected) == (1, 1, 0.5)
        assert store.nearest(vectors[0], 1)[0][0].key == first
        assert [entry.key for entry in store.remove([first, "unknown"])] == [first]
        assert first not in {entry.key for entry, _ in store.nearest(vectors[0], 20)} and len(store) == 19
        assert store.contents().vectors.tobytes() == vectors[1:].tobytes()


def test_vectors_of_two_encoders_never_meet(tmp_path: Path) -> None:
    with Store.open(tmp_path / "ours.sqlite", OURS, create=True) as store:
        store.add(entries(3), unit(3))
        with pytest.raises(UsageError, match=r"encoder ours \(aaaaaaaa, 8 numbers\), not of theirs .* --embed "):
            store.merge(Contents(entries(3), unit(3), THEIRS))
        with pytest.raises(ValueError, match="needs them"):
            store.add(entries(5), None)
    with pytest.raises(UsageError, match="bank.py import NEW.sqlite"):
        Store.open(tmp_path / "ours.sqlite", THEIRS)
    with Store.open(tmp_path / "ours.sqlite", EncoderIdentity("renamed", "a" * 64, 8)) as store:
        assert len(store) == 3  # the name is for people


def test_merging_goes_by_identity_and_counts_once(tmp_path: Path) -> None:
    ours = [*entries(4)]
    theirs = [Entry(entry.case, shown=3, won=2, expected=1.5) for entry in entries(6)]
    with Store.open(tmp_path / "bank.sqlite", OURS, create=True) as store:
        store.add(ours, unit(4))
        before = store.contents().sha256
        assert store.merge(Contents(theirs, unit(6), OURS)) == 2
        assert store.merge(Contents(theirs, unit(6), OURS)) == 0
        assert {(entry.shown, entry.won, entry.expected) for entry in store.entries()} == {(3, 2, 1.5)}
        assert store.contents().sha256 != before
        assert [entry.env for entry in store.entries()] == ["lfd"] * 4 + [None] * 2


def test_what_is_no_bank_or_in_use_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no bank" * 1000)
    with pytest.raises(UserError, match="is not a bank"):
        Store.open(tmp_path / "text")
    with pytest.raises(UserError, match="no such bank"):
        Store.open(tmp_path / "nothing")
    with Store.open(tmp_path / "bank", OURS, create=True):
        with pytest.raises(UserError, match="another process is writing this bank"):
            Store.open(tmp_path / "bank", write=True)
        Store.open(tmp_path / "bank").close()


def test_readers_see_each_write_whole_or_not_at_all(tmp_path: Path) -> None:
    vectors = unit(400)
    with Store.open(tmp_path / "bank.sqlite", OURS, create=True) as store:
        store.add(entries(100), vectors[:100])

        def read(seed: int) -> bool:
            query = unit(1, seed)[0]
            for _ in range(20):
                found = store.nearest(query, 10)
                assert len(found) >= 9
                assert len(list(store.entries())) % 10 == 0  # added in tens
            return True

        with ThreadPoolExecutor(4) as pool:
            reading = [pool.submit(read, seed) for seed in range(4)]
            for start in range(100, 400, 10):
                store.add(entries(10, start), vectors[start : start + 10])
            assert all(future.result() for future in reading)
        assert len(store) == 400


WRITER = """
import sys
import numpy as np
from memory.entries import EncoderIdentity, Entry
from memory.store import Store
from step import Case

store = Store.open(sys.argv[1], EncoderIdentity("ours", "a" * 64, 8), create=True)
for i in range(len(store), 10_000):
    store.add([Entry(Case(f"task {i}", i))], np.full((1, 8), 8**-0.5, np.float32))
    print(i + 1, flush=True)
"""


def test_a_kill_loses_nothing_of_what_has_returned(tmp_path: Path) -> None:
    path, told = tmp_path / "bank.sqlite", 0
    for lines in (1, 7, 20):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            for _ in range(lines):
                told = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            told = max([told, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        with Store.open(path, OURS) as store:
            assert told <= len(store) <= told + 1
            assert [entry.case.answer for entry in store.entries()] == list(range(len(store)))
            assert store.contents().vectors.shape == (len(store), 8)
    assert told >= 28


# -- as files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("encoder", [OURS, None])
def test_an_export_comes_back(suffix: str, encoder: EncoderIdentity | None, tmp_path: Path) -> None:
    lessons = [{"title": "a", "when": "b", "do": "c"}]
    cases = [Case("a", {"x": [1, None]}), Case("b\u2028", "text", 0, 0, "output"), Case("c", 3, 1, 0, None, lessons)]
    rows = [
        Entry(case, "lfd", "m", "2026-01-01T00:00:00+00:00", "import", "run", i, 3, 2, 1.25)
        for i, case in enumerate(cases)
    ]
    contents = Contents(rows, unit(3) if encoder else None, encoder)
    write_file(contents, tmp_path / f"bank{suffix}")
    again = read_file(tmp_path / f"bank{suffix}")
    assert again.entries == rows and again.encoder == encoder and again.sha256 == contents.sha256
    assert (again.vectors is None) if encoder is None else again.vectors.tobytes() == contents.vectors.tobytes()


def test_an_export_is_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for suffix, kind in ((".jsonl", "json"), (".parquet", "parquet")):
        write_file(Contents(entries(4), unit(4), OURS), tmp_path / f"bank{suffix}")
        files = str(tmp_path / f"bank{suffix}")
        rows = datasets.load_dataset(kind, data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
        assert rows["task"][:2] == ["task 0", "task 1"] and json.loads(rows["answer_json"][1]) == ["answer", 1]
        assert len(rows["embedding"][0]) == 8


@pytest.mark.parametrize("line, told", [
    ("{", "cannot be read"), ('{"task": 1, "answer": 2}', ":2: not a case .*task must be a text"),
    ('{"answer": 2}', ":2: not a case"), ('{"task": "a", "answer": 2, "reward": 3}', "reward 0 or 1"),
    ('{"task": "a", "answer": 2, "key": "x"}', "its key is not that of its content"),
    ('{"task": "a", "answer": 2, "embedding": [1, 2]}', "not a case"),
    ('{"task": "a", "answer": 2, "embedding": [1, 0], "encoder_sha256": "x"}', "of some rows only"),
])  # fmt: skip
def test_a_damaged_export_names_the_row(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "bank.jsonl").write_text(f'{{"task": "fine", "answer": "yes"}}\n{line}\n')
    with pytest.raises(DataError, match=told):
        read_file(tmp_path / "bank.jsonl")


# -- what records say --------------------------------------------------------------------------------------------------


def test_what_a_showing_should_bring_follows_the_cases_that_come_and_go(tmp_path: Path) -> None:
    with Store.open(tmp_path / "bank.sqlite", None, write=True, create=True) as store:
        first, second = (entry.key for entry in entries(2))
        store.add(entries(2), None)
        store.note([first], 1)
        store.add([Entry(Case("another", "card"), shown=3, won=0)], None)
        store.note([second], 0)
        assert store.get(second).expected == 1 / 4, "of 4 showings one had succeeded"
        store.remove([first])
        store.note([second], 1)
        assert store.get(second).expected == 1 / 4 + 0 / 4


def planted(kind: str, shown: int, won: int, expected: float) -> Entry:
    return Entry(Case(f"{kind} {shown} {won} {expected}", kind), shown=shown, won=won, expected=shown * expected)


def test_cases_are_judged_by_their_showings_and_few_say_little() -> None:
    usual = [planted("usual", 10 + i % 5, 8 + i % 5, 0.8) for i in range(30)]
    bank = [planted("harmful", 20, 4, 0.8), planted("helpful", 20, 20, 0.5), planted("unlucky", 1, 0, 0.8), *usual]
    verdicts = judge([*bank, planted("never", 0, 0, 0.0)])
    assert [v.entry.case.answer for v in verdicts if v.misleads] == ["harmful"]
    assert "helpful" in {v.entry.case.answer for v in verdicts if v.helps}
    by_kind = {v.entry.case.answer: v for v in verdicts}
    assert by_kind["harmful"].gain < -5 < 0 < by_kind["helpful"].gain and verdicts[0] is by_kind["harmful"]
    assert 0.2 < by_kind["harmful"].rate < 0.5 and by_kind["unlucky"].rate > 0.4
    assert all(v.low < v.rate < v.high for v in verdicts) and "never" not in by_kind
    assert judge([]) == []


def test_by_chance_alone_few_cases_mislead() -> None:
    chance = np.random.default_rng(0)
    bank = [planted(str(i), 8, int(chance.binomial(8, 0.7)), 0.7) for i in range(500)]
    flagged = [verdict for verdict in judge(bank) if verdict.misleads or verdict.helps]
    assert len(flagged) < 15


def test_near_duplicates_and_those_that_contradict() -> None:
    vectors = unit(5)
    vectors[3], vectors[4] = vectors[0], vectors[1]
    cases = [Case("a", 1), Case("b", 1), Case("c", 1), Case("a again", 1), Case("b again", 2)]
    twins = near_duplicates(Contents([Entry(case) for case in cases], vectors, OURS))
    found = {(pair.first.case.task, pair.second.case.task, pair.agree) for pair in twins}
    assert found == {("a", "a again", True), ("b", "b again", False)}
    assert near_duplicates(Contents([Entry(case) for case in cases])) == []
