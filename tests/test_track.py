"""A run that is continued goes on with its W&B run. The package is a stand-in that writes down what it is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import main
from helpers.fake_server import FakeServer, serving
from helpers.runs import argv, lfd_stream, run_folder

STAND_IN = """
import json, pathlib
BOOK = pathlib.Path(__file__).with_name("book.jsonl")


def note(*entry):
    with BOOK.open("a") as file:
        file.write(json.dumps(entry) + "\\n")


class Table:
    def __init__(self, columns, data):
        assert all(len(row) == len(columns) for row in data)
        note("table", columns, data)


class Run:
    summary = type("Summary", (), {"update": lambda self, values: note("summary", values)})()

    def log(self, numbers, step):
        if "steps" in numbers:
            return note("log table", step)
        note("log", step, numbers)

    def finish(self):
        note("finish")


def init(**settings):
    note("init", settings)
    return Run()
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    lfd_stream(tmp_path, 6)
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "wandb.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with serving() as server:
        yield server


def book(tmp_path: Path, what: str) -> list[Any]:
    lines = (tmp_path / "packages" / "book.jsonl").read_text().splitlines()
    return [entry[1:] for entry in map(json.loads, lines) if entry[0] == what]


def test_a_continued_run_is_one_wandb_run(server: FakeServer, tmp_path: Path) -> None:
    command = argv(server, tmp_path / "out", "--agent", "icrl", "--track", "wandb", "--max_retries", 0)
    server.fault = lambda number: "503" if number == 3 else None
    assert main.main(command) == 1
    assert main.main(command) == 0
    (first,), (second,) = book(tmp_path, "init")
    assert first["id"] == second["id"] and first["resume"] == second["resume"] == "allow"
    assert first["config"]["agent"] == "icrl" and first["name"]
    assert [step for step, _ in book(tmp_path, "log")] == [1, 2, 3, 4, 5, 6]  # none is sent twice
    assert len(book(tmp_path, "finish")) == 2
    ((columns, rows),) = book(tmp_path, "table")  # of a finished run alone
    (summary,), ((last,),) = book(tmp_path, "summary")[0], book(tmp_path, "log table")
    assert summary["steps"] == len(rows) == last == 6 and columns[:2] == ["step", "task"]
    assert summary["success_rate"] == sum(row[columns.index("reward")] for row in rows) / 6
    assert main.main([*command, "--overwrite"]) == 0
    assert book(tmp_path, "init")[2][0]["id"] != first["id"]


def test_an_id_that_was_not_written_is_made_anew(server: FakeServer, tmp_path: Path) -> None:
    command = argv(server, tmp_path / "out", "--agent", "icrl", "--track", "wandb", "--max_retries", 0)
    server.fault = lambda number: "503" if number == 3 else None
    assert main.main(command) == 1
    (run_folder(tmp_path / "out") / "wandb" / "run_id").write_text("")
    assert main.main(command) == 0
    assert len(book(tmp_path, "init")[1][0]["id"]) == 32


def test_a_skipped_step_has_no_reward_to_track(server: FakeServer, tmp_path: Path) -> None:
    server.fault = lambda number: (400, "maximum context length is 9 tokens") if number == 1 else None
    more = ("--agent", "icrl", "--track", "wandb", "--on_refused", "skip")
    assert main.main(argv(server, tmp_path / "out", *more)) == 0
    told = dict(book(tmp_path, "log"))
    assert [step for step in told if "reward" not in told[step]] == [2]
