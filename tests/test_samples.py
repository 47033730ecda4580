"""The shipped samples: made by the generators that ship with them, sound rows, and no answer in the text."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from env import find_env, make_env
from env.data import DATA_ROOT
from errors import DataError
from scripts.make_samples import GENERATORS, main, make_sample
from scripts.samples import banking77, facts

SINGLE_TURN = [task for task in GENERATORS if find_env(task).single_turn]  # the others' tests are with their tasks


def sample_folder(task: str) -> Path:
    return DATA_ROOT / task / "sample"


def sample_rows(task: str) -> list[dict[str, Any]]:
    lines = (sample_folder(task) / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def content(path: Path) -> bytes | list[str]:
    """A file's bytes; a database's statements, for SQLite writes its own version into the file."""
    if path.suffix != ".sqlite":
        return path.read_bytes()
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return list(database.iterdump())


def files_in(folder: Path) -> dict[str, bytes | list[str]]:
    """The content of every generated file under `folder` by its relative path: all but the facts."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "facts.yaml")
    return {str(path.relative_to(folder)): content(path) for path in files}


@pytest.mark.parametrize("task", SINGLE_TURN)
def test_generators_reproduce_the_shipped_files(task: str, tmp_path: Path) -> None:
    made = files_in(make_sample(task, tmp_path).parent)
    shipped = files_in(sample_folder(task))
    assert made.keys() == shipped.keys()
    assert [name for name in made if made[name] != shipped[name]] == []


def test_rows_are_drawn_from_the_facts_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever edits the facts gets other rows, and theirs only."""
    edited = tmp_path / "banking77" / "sample" / "facts.yaml"
    edited.parent.mkdir(parents=True)
    shutil.copy(sample_folder("banking77") / "facts.yaml", edited)
    tables = yaml.safe_load(edited.read_text(encoding="utf-8"))
    tables["intents"] = {"lost mittens": [f"I lost {number} mittens {{when}}." for number in range(9)]}
    edited.write_text(yaml.safe_dump(tables), encoding="utf-8")
    monkeypatch.setattr(facts, "DATA_ROOT", tmp_path)
    monkeypatch.delitem(sys.modules, banking77.__name__)
    rows = [json.loads(line) for line in make_sample("banking77", tmp_path).read_text(encoding="utf-8").splitlines()]
    assert [row["label"] for row in rows] == ["lost mittens"] * banking77.ROWS_PER_INTENT
    assert len({row["task"] for row in rows}) == len(rows)


@pytest.mark.parametrize("text", ["intents: [", "- no\n- mapping", "", "intents: \x00"])
def test_facts_that_cannot_be_read_name_their_file(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mud" / "sample").mkdir(parents=True)
    (tmp_path / "mud" / "sample" / "facts.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(facts, "DATA_ROOT", tmp_path)
    with pytest.raises(DataError, match=r"mud/sample/facts\.yaml cannot be read: [^\n]+$"):
        facts.load_facts("mud")


def test_unknown_task_is_a_usage_error_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["banking77", "mudd", "--out", str(tmp_path)]) == 2
    assert "unknown task 'mudd'. Did you mean 'mud'?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", SINGLE_TURN)
def test_stream_is_short_and_every_task_text_is_new(task: str) -> None:
    env = make_env(task, data="sample")
    tasks = []
    for env.index in range(len(env)):
        tasks.append((env.observe(), env.row.get("db_id")))
    assert 100 <= len(tasks) <= 400
    assert len(set(tasks)) == len(tasks)
    assert all(text.strip() for text, _ in tasks)


@pytest.mark.parametrize("task", SINGLE_TURN)
def test_labels_are_answers_that_the_task_accepts(task: str) -> None:
    """Every row's own label, written as the prompt asks for it, scores 1; names outside the label set do not load."""
    env = make_env(task, data="sample")
    for env.index in range(len(env)):
        answer, reward = env.evaluate(env.format_answer(env.get_ground_truth()))
        assert reward == 1, (env.index, answer, env.get_ground_truth())


def test_every_ddxplus_disease_occurs_and_no_text_names_its_own() -> None:
    rows = sample_rows("ddxplus")
    labels = (DATA_ROOT.parent / "env" / "labels" / "ddxplus.txt").read_text(encoding="utf-8").split("\n")
    assert {row["label"] for row in rows} == set(filter(None, labels))
    assert [row for row in rows if row["label"].casefold() in row["task"].casefold()] == []
