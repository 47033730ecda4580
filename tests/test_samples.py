"""The shipped samples: made by the generators that ship with them, sound rows, and no answer in the text."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from env import find_env, make_env
from env.data import DATA_ROOT
from scripts.make_samples import GENERATORS, make_sample

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
    """The content of every file under `folder` by its relative path."""
    return {str(path.relative_to(folder)): content(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("task", SINGLE_TURN)
def test_generators_reproduce_the_shipped_files(task: str, tmp_path: Path) -> None:
    made = files_in(make_sample(task, tmp_path).parent)
    shipped = files_in(sample_folder(task))
    assert made.keys() == shipped.keys()
    assert [name for name in made if made[name] != shipped[name]] == []


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
