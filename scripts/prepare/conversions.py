"""The original public releases of some tasks, read as rows of the task's schema.

Each release is a table entry: which file holds which split, how its rows are read, and where its databases are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from env import find_env
from env.data import check_text
from env.labels import LabelSet
from env.parsing import python_literal
from env.sentifin import SENTIMENTS
from env.sources import read_csv
from errors import DataError, UsageError

from .alfworld_games import find_games, game_rows
from .streambench import (
    cosql_rows,
    ds1000_rows,
    find_ds1000,
    hotpotqa_rows,
    runnable,
    toolbench_files,
    toolbench_rows,
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Conversion:
    """Rows read from `source`, and what they need: path below the task's data folder -> file to copy, or content."""

    rows: list[Row]
    source: Path
    files: dict[str, Path] = field(default_factory=dict)
    written: dict[str, bytes] = field(default_factory=dict)
    dropped: int = 0  # rows of the release that cannot be answered


@dataclass(frozen=True)
class Release:
    """A public release: split -> its file, the usual split first; how rows are read; split -> folders of databases.

    `drop`: which rows are kept, where the release has some that cannot be answered, from them and the databases'
    folders. `write`: what else has to stand beside the rows, made of them and of the release's folder.
    """

    splits: dict[str, str]
    read: Callable[[Path], list[Row]]
    databases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    drop: Callable[[list[Row], list[Path]], list[Row]] = lambda rows, databases: rows
    write: Callable[[list[Row], Path], dict[str, bytes]] = lambda rows, folder: {}


def convert(task: str, folder: Path, split: str | None = None) -> Conversion:
    """Read the release of `task` in `folder`; without `split`, the usual one of those that are there.

    Raises DataError naming file and line where the release is not as expected, UsageError for an unknown task or split.
    """
    if task == "alfworld":
        source, files = find_games(folder, split)
        return Conversion(game_rows(files), source, files)
    if task == "ds1000":
        if split is not None:
            raise UsageError("ds1000 has no splits: leave --split out")
        source = find_ds1000(folder)
        rows = ds1000_rows(source)
        if not rows:
            raise DataError(f"{source} has no rows")
        return Conversion(rows, source)
    if task not in RELEASES:
        raise UsageError(f"--from cannot convert {task}; it converts: {', '.join([*RELEASES, 'alfworld', 'ds1000'])}")
    release = RELEASES[task]
    if split is not None and split not in release.splits:
        raise UsageError(f"{task} has no split {split!r}; choose from: {', '.join(release.splits)}")
    there = [name for name in release.splits if (folder / release.splits[name]).is_file() and split in (None, name)]
    if not there:
        wanted = " or ".join(release.splits.values() if split is None else [release.splits[split]])
        raise DataError(f"{folder} has no {wanted}: --from takes the folder of the original release")
    source = folder / release.splits[there[0]]
    rows = release.read(source)
    if not rows:
        raise DataError(f"{source} has no rows")
    roots = [folder / name for name in release.databases.get(there[0], ())]
    read = len(rows)
    rows = release.drop(rows, roots)
    if not rows:
        raise DataError(f"{source}: the query of no row runs on a database in {' or '.join(map(str, roots))}")
    files = _databases(task, rows, roots) if roots else {}
    return Conversion(rows, source, files, release.write(rows, folder), read - len(rows))


def _databases(task: str, rows: list[Row], roots: list[Path]) -> dict[str, Path]:
    files = {}
    for db_id in sorted({row["db_id"] for row in rows}):
        if not re.fullmatch(r"[\w-]+", db_id):
            raise DataError(f"db_id {db_id!r} is not the plain name of a database")
        candidates = [root / db_id / f"{db_id}.sqlite" for root in roots]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            places = " or ".join(map(str, candidates))
            raise DataError(f"the database of db_id {db_id!r} is missing: there is no {places}")
        files[f"{find_env(task).databases}/{db_id}/{db_id}.sqlite"] = found
    return files


def banking77_rows(path: Path) -> list[Row]:
    """text, category -> task, label: a category with spaces for underscores, spelled as in env/labels."""
    labels = LabelSet("banking77")
    rows = []
    for where, record in _csv_records(path, "text", "category"):
        label = labels.find(record["category"].replace("_", " "))
        if label is None:
            raise DataError(f"{where}: {labels.unknown(record['category'])}")
        rows.append({"task": record["text"].strip(), "label": label})
    return rows


def sentifin_rows(path: Path) -> list[Row]:
    """Title, Decisions -> task, label: the entities in the order in which the headline mentions them."""
    rows = []
    for where, record in _csv_records(path, "Title", "Decisions"):
        title, decisions = " ".join(record["Title"].split()), _decisions(record["Decisions"])
        if not decisions or not all(isinstance(e, str) and label in SENTIMENTS for e, label in decisions.items()):
            raise DataError(f"{where}: the decisions {record['Decisions']!r} are not entities with their sentiments")
        sentiments = {_as_in_title(" ".join(entity.split()), title): label for entity, label in decisions.items()}
        entities = _in_order_of_occurrence(list(sentiments), title)
        rows.append({"task": title, "label": [{"entity": entity, "label": sentiments[entity]} for entity in entities]})
    return rows


def _decisions(text: str) -> dict[str, str]:
    """A dict literal, in which the release left some apostrophes unescaped; empty where it is something else."""
    repaired = re.findall(rf"'(.+?)': '({'|'.join(SENTIMENTS)})'(?:, |\}}$)", text)
    return python_literal(text, dict) or dict(repaired)


def _as_in_title(entity: str, title: str) -> str:
    """Undo the release's replacement of trading words inside names: 'Bajaj neutralings' was 'Bajaj Holdings'."""
    if entity in title:
        return entity
    for sentiment, word in (("neutral", "hold"), ("negative", "sell"), ("positive", "buy")):
        start = title.casefold().find(entity.replace(sentiment, word).casefold())
        if sentiment in entity and start >= 0:
            return title[start : start + len(entity.replace(sentiment, word))]
    return entity


def _in_order_of_occurrence(entities: list[str], title: str) -> list[str]:
    """Longer names take their place first, so that 'SBI' in 'SBI Life' is not SBI; unmentioned ones go last."""
    taken: list[tuple[int, int]] = []
    starts = {}
    for entity in sorted(entities, key=len, reverse=True):
        name = re.escape(entity)
        places = [match.span() for pattern in (rf"(?<!\w){name}(?!\w)", name) for match in re.finditer(pattern, title)]
        free = [(a, b) for a, b in places if all(b <= start or end <= a for start, end in taken)]
        start, end = next(iter(free or places), (len(title), len(title)))
        taken.append((start, end))
        starts[entity] = start
    return sorted(entities, key=starts.__getitem__)


def _csv_records(path: Path, *columns: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file:line", record) of a CSV file with at least `columns`, none of them empty."""
    for number, record in read_csv(path, columns):
        empty = [column for column in columns if not record[column].strip()]
        if empty:
            raise DataError(f"{path}:{number}: the column {empty[0]!r} is empty")
        yield f"{path}:{number}", record


def spider_rows(path: Path) -> list[Row]:
    return [
        {"task": item["question"].strip(), "db_id": item["db_id"], "query": item["query"]}
        for item in _json_items(path, "question", "db_id", "query")
    ]


def bird_rows(path: Path) -> list[Row]:
    return [
        {"task": item["question"].strip(), "evidence": item["evidence"], "db_id": item["db_id"], "SQL": item["SQL"]}
        for item in _json_items(path, "question", "evidence", "db_id", "SQL")
    ]


def _json_items(path: Path, *fields: str) -> list[dict[str, str]]:
    """The objects of a JSON list, each with at least the string `fields`."""
    try:
        items = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, a number too long, brackets too deep
        raise DataError(f"{path}: not readable JSON ({error})") from None
    if not isinstance(items, list):
        raise DataError(f"{path}: expected a JSON list of questions, found {type(items).__name__}")
    for number, item in enumerate(items, start=1):
        for name in fields:
            if not isinstance(item, dict) or not isinstance(item.get(name), str):
                raise DataError(f"{path}: item {number} has no text in the field {name!r}")
            check_text(f"{path}: item {number}", item[name])
    return items


RELEASES = {
    "banking77": Release({"test": "test.csv", "train": "train.csv"}, banking77_rows),
    "sentifin": Release({"all": "SEntFiN.csv"}, sentifin_rows),
    "spider": Release(
        {"test": "test.json", "dev": "dev.json"},
        spider_rows,
        {"test": ("test_database", "database"), "dev": ("database", "test_database")},
    ),
    "bird": Release({"dev": "dev.json"}, bird_rows, {"dev": ("dev_databases",)}),
    "cosql": Release(
        {"dev": "sql_state_tracking/cosql_dev.json", "train": "sql_state_tracking/cosql_train.json"},
        cosql_rows,
        {"dev": ("database",), "train": ("database",)},
        drop=runnable,
    ),
    "toolbench": Release({"test": "tool_test.json"}, toolbench_rows, write=toolbench_files),
    "hotpotqa": Release(
        {
            "dev": "hotpot_dev_distractor_v1.json",
            "train": "hotpot_train_v1.1.json",
            "dev-sample": "hotpot_distractor_dev_sample_100.json",
            "train-sample": "hotpotqa_train_100_distractor.json",
        },
        hotpotqa_rows,
    ),
}
