"""Where rows come from: --data and --columns over JSON lines, CSV, Parquet and data sets of a hub on loopback."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, run_cli

from config import Config
from env import ENV_DICT, find_env, make_env
from env.base import Env
from env.data import DATA_ROOT, describe_rows, locate, parse_columns
from errors import DataError, UsageError
from helpers.hub import COMMIT, hub, serve

ROWS = [("I lost my card", "lost or stolen card"), ('Hm, "where"\nis it?', "card arrival"), ("NA", "card arrival")]
EXPECTED = [{"task": task, "label": label} for task, label in ROWS]
COLUMNS = "task=text,label=category"


def rows_of(data: object, columns: str | None = COLUMNS, env: str = "banking77") -> list[dict[str, Any]]:
    return make_env(env, str(data), config=Config(env=env, data=str(data), columns=columns)).dataset


def write_csv(path: Path, rows: list[tuple[str, ...]] = ROWS, columns: tuple[str, ...] = ("text", "category")) -> Path:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def parquet(rows: list[tuple[str, ...]] = ROWS, **extra: Any) -> bytes:
    """Rows as a Parquet file with `category` as a class label, as data sets of the hub are stored."""
    from datasets import ClassLabel, Dataset, Features, Value

    names = sorted({label for _, label in ROWS})
    columns = {"text": [text for text, _ in rows], "category": [names.index(label) for _, label in rows]}
    features = {"text": Value("string"), "category": ClassLabel(names=names)}
    for name, (values, feature) in extra.items():
        columns[name], features[name] = values, feature
    buffer = io.BytesIO()
    Dataset.from_dict(columns, features=Features(features)).to_parquet(buffer)
    return buffer.getvalue()


# -- files -------------------------------------------------------------------------------------------------------------


def test_every_form_of_file_gives_the_same_rows(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv")
    (tmp_path / "rows.parquet").write_bytes(parquet())
    lines = (json.dumps({"text": task, "category": label}) + "\n" for task, label in ROWS)
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    for name in ("rows.csv", "rows.parquet", "rows.jsonl"):
        data = locate("banking77", str(tmp_path / name))
        assert rows_of(tmp_path / name) == EXPECTED, name
        assert (data.origin, data.folder, data.name) == ("user", tmp_path, str(tmp_path / name))
        assert data.sha256 in (subprocess.run(["sha256sum", data.path], capture_output=True, text=True).stdout)
    write_csv(tmp_path / "plain.CSV", columns=("task", "label"))
    assert rows_of(tmp_path / "plain.CSV", columns=None) == EXPECTED, "no mapping is needed where the names agree"


def test_columns_may_change_places_and_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"label": "hello", "task": "card arrival", "source": 7}))
    assert rows_of(path, "task=label,label=task") == [{"task": "hello", "label": "card arrival", "source": 7}]


def test_a_csv_cell_becomes_the_number_that_its_task_wants(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv", [("stable", "3"), ("bleeding", "two")])
    with pytest.raises(DataError, match=r"rows.csv:3: the field 'label' should be int, found 'two'"):
        rows_of(path, env="mimic-iv-tlp")
    write_csv(path, [("stable", "3")])
    assert rows_of(path, env="mimic-iv-tlp") == [{"task": "stable", "label": 3}]
    with pytest.raises(DataError, match=r"'label' is a list, which CSV cannot hold: use JSON lines or Parquet"):
        rows_of(path, env="mimic-iv-mr")


@pytest.mark.parametrize(
    ("content", "columns", "words"),
    [
        (b"text,category\nhi,card arrival\n", None, "rows.csv:2: the field 'task' is missing, .* are: text, category"),
        (b"text,category\nhi,x\n", "task=text,label=cat", "rows.csv:2: there is no column 'cat' for the field 'label'"),
        (b"text,category\nhi,card arrival\nhi,card loss\n", COLUMNS, "rows.csv:3: unknown label 'card loss'"),
        (b"Text, category\nhi,x\n", COLUMNS, r"no column 'text' for the field 'task' \(did you mean 'Text'\?\)"),
        (b"text;category\nhi;x\n", COLUMNS, "rows.csv:1: the columns are separated by semicolons; save it with commas"),
        (b"text\tcategory\nhi\tx\n", COLUMNS, "rows.csv:1: the columns are separated by tabs"),
        (b"text,category\n ,card arrival\n", COLUMNS, "rows.csv:2: the field 'task' is empty"),
        (b"text,category\nhi\n", COLUMNS, "rows.csv:2: there is no cell for the column 'category'"),
        (b"text,category\nhi,x,y\n", COLUMNS, "rows.csv:2: more cells than the 2 columns"),
        (b"text,text\nhi,x\n", COLUMNS, "rows.csv:1: there are two columns 'text'"),
        (b'text,category\n"hi,x\n', COLUMNS, "rows.csv: not valid CSV .* after line 1"),
        (b"text,category\n\xff,x\n", COLUMNS, "rows.csv: not UTF-8"),
        (b"text,category\n", COLUMNS, "rows.csv has no rows"),
        (b"", COLUMNS, "rows.csv has no rows"),
    ],
)
def test_a_bad_csv_file_is_told_by_line(content: bytes, columns: str | None, words: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        rows_of(tmp_path / "rows.csv", columns)


@pytest.mark.parametrize("suffix", [".xlsx", ".json", ".TSV", ".jsonl.gz"])
def test_a_file_in_another_form_is_told_which_are_taken(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(b'[{"text": "hi", "category": "x"}]')
    with pytest.raises(DataError, match=r"--data takes .jsonl \(an object a line\), .csv and .parquet files"):
        rows_of(path, COLUMNS)


def test_a_bad_parquet_file_is_told_by_row(tmp_path: Path) -> None:
    from datasets import ClassLabel, List, Value

    path = tmp_path / "rows.parquet"
    extra = {
        "tags": ([[0], [1, 0], []], List(ClassLabel(names=["a", "b"]))),
        "meta": ([{"x": 1}] * 3, {"x": Value("int64")}),
        "stars": ([1, 2, 3], Value("int32")),
        "day": ([datetime.date(2026, 1, 1)] * 3, Value("date32")),
        "unlabelled": ([0, 1, -1], ClassLabel(names=["card arrival", "lost or stolen card"])),
    }
    path.write_bytes(parquet(**extra))
    row = rows_of(path)[1]
    assert (row["tags"], row["meta"], row["stars"]) == (["b", "a"], {"x": 1}, 2)
    assert "day" not in row, "JSON has no dates"
    for column, words in {
        "tags": "row 1: the field 'label' should be str, found list",
        "meta": "row 1: the field 'label' should be str, found dict",
        "stars": "row 1: the field 'label' should be str, found int",
        "day": "the column 'day' holds date32, not text, numbers, lists or dicts of such",
        "unlabelled": "row 3: the field 'label' should be str, found nothing",
        "none": "row 1: there is no column 'none' for the field 'label'; the columns are: text, category, tags",
    }.items():
        with pytest.raises(DataError, match=words):
            rows_of(path, f"task=text,label={column}")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="rows.parquet: not a readable Parquet file"):
        rows_of(path)


@pytest.mark.parametrize("text", ["task", "task=", "=text", "task=a,task=b", ",", "task=a,"])
def test_columns_that_say_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="expected FIELD=COLUMN"):
        parse_columns(text)


def test_a_run_on_a_csv_file(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv")
    options = ("--env", "banking77", "--agent", "ground-truth", "--data", path, "--output_dir", tmp_path / "out")
    result = run_cli(*options, "--columns", COLUMNS)
    assert result.returncode == 0, result.stderr
    assert "success rate       1.000" in result.stdout
    recorded = yaml.safe_load(next((tmp_path / "out").rglob("config.yaml")).read_text())
    assert recorded["identity"]["columns"] == COLUMNS
    assert recorded["data"]["path"] == str(path) and recorded["data"]["rows"] == 3
    result = run_cli(*options)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "the columns are: text, category" in result.stderr


# -- what cannot be read -----------------------------------------------------------------------------------------------


def test_what_is_no_readable_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder" / "lfd.jsonl").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    for choice, words in {
        "/proc/self/mem": "/proc/self/mem cannot be read",
        tmp_path / "folder": "lfd.jsonl is not a file of rows",
        tmp_path / "pipe": "pipe is not a file of rows",
        tmp_path / ("x" * 5000): "cannot be read",
        "~nobody-of-this-name/rows.jsonl": "cannot be read",
        tmp_path / "none.csv": "does not exist",
    }.items():
        with pytest.raises(DataError, match=words):
            locate("lfd", str(choice))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(DataError, match="rows.jsonl cannot be read"):
        locate("lfd", str(path))


def test_a_file_whose_reading_is_refused_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.jsonl").write_text("{}")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"rows.jsonl cannot be read \(Permission denied\)"):
        locate("lfd", str(tmp_path / "rows.jsonl"))


# -- words -------------------------------------------------------------------------------------------------------------


def test_rows_in_words_never_show_a_whole_hash(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv")
    data = locate("lfd", str(path))
    assert data.describe() == f"your own rows {path} (sha256 {data.sha256[:8]})"
    assert locate("lfd", "sample").describe() == "the SAMPLE rows"
    plain = {"path": None, "origin": "official", "sha256": "f" * 64}
    assert describe_rows(plain) == "the official rows"
    assert describe_rows(plain | {"origin": "converted"}).endswith("from the original release (sha256 ffffffff)")
    assert describe_rows(plain | {"origin": "user"}) == "your own rows of the task itself (sha256 ffffffff)"
    found = describe_rows(plain | {"origin": "user", "path": "hf:a/b:test", "revision": "e" * 40})
    assert found == "your own rows hf:a/b:test (revision eeeeeeee, sha256 ffffffff)"


class Mails(Env):
    name = "mails"


def test_missing_rows_of_an_own_task_ask_for_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENV_DICT, "mails", Mails)
    for choice in ("auto", "sample", "official"):
        with pytest.raises(DataError) as caught:
            make_env("mails", choice)
        assert f"write them to {DATA_ROOT}/mails/mails.jsonl" in str(caught.value)
        assert "prepare_data" not in str(caught.value) and "--data sample" not in str(caught.value)
    with pytest.raises(DataError, match=r"prepare_data.py bird`, or choose --data sample"):
        make_env("bird", "official")


# -- the hub -----------------------------------------------------------------------------------------------------------

TRY_EACH = """
import json, sys
from env import find_env
from env.data import locate
from errors import UserError
fields, columns = find_env("banking77").fields, {"task": "text", "label": "category"}
for choice in sys.argv[1:]:
    try:
        data = locate("banking77", choice)
        print(json.dumps(data.record() | {"rows": [row for _, row in data.rows(fields, columns)]}))
    except UserError as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""


def try_each(endpoint: str, home: Path, *choices: str, **environment: str) -> list[dict[str, Any]]:
    """What `locate` finds for each choice, in a process of its own: the libraries read their settings once."""
    command = [sys.executable, "-c", TRY_EACH, *choices]
    settings = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), **environment}
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, env=settings, cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, ""), "nothing but the one line"
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_data_set_of_the_hub(tmp_path: Path) -> None:
    card = "---\nconfigs:\n- config_name: all\n  default: true\n  data_files:\n"
    card += "  - {split: train, path: train.parquet}\n  - {split: test, path: test.parquet}\n"
    card += "- config_name: few\n  data_files:\n  - {split: train, path: few.parquet}\n---\n"
    files = {"README.md": card.encode(), "few.parquet": parquet(ROWS[:1])}
    files |= {"train.parquet": parquet(ROWS[::-1]), "test.parquet": parquet()}
    choices = ["hf:a/b", "hf:a/b:train", "hf:a/b:few:train", f"hf:a/b@{COMMIT}:test", "hf:a/b@old", "hf:a/b:dev"]
    choices += ["hf:a/b:none:test", "hf:a/c", "hf:", "hf:a/b:c:d:e", "hf:a b/c"]
    with serve(hub(files, "a/b")) as address:
        test, train, few, pinned, old, dev, config, unknown, *malformed = try_each(address, tmp_path, *choices)
    assert test["rows"] == EXPECTED and pinned == test
    assert (test["path"], test["origin"], test["revision"]) == ("hf:a/b:test", "user", COMMIT)
    assert (train["path"], train["rows"]) == ("hf:a/b:train", EXPECTED[::-1])
    assert (few["path"], few["rows"]) == ("hf:a/b:few:train", EXPECTED[:1])
    assert len({len(test["sha256"]), 64}) == 1 and len({found["sha256"] for found in (test, train, few)}) == 3
    assert "has no revision old" in old["error"]
    assert dev["error"].endswith("has no split 'dev'; there are: train, test")
    assert "'none' not found. Available: ['all', 'few']" in config["error"]
    assert "the hub has no data set a/c" in unknown["error"]
    assert [found["error"].partition(":")[0] for found in malformed] == ["UsageError", "UsageError", "DataError"]

    choices = ["hf:a/b:all:test", "hf:a/b:few:train", f"hf:a/b@{'e' * 40}:all:test", "hf:a/b", "hf:a/c"]
    again, few_again, other, ambiguous, unknown = try_each("http://127.0.0.1:9", tmp_path, *choices)
    assert again == test | {"path": "hf:a/b:all:test"}, "the copy of an earlier load: the same hash and revision"
    assert few_again == few
    assert "multiple 'a/b' configurations in the cache" in ambiguous["error"]
    assert "the copy here is of aaaaaaaa" in other["error"]
    assert "the hub is out of reach, and there is no copy" in unknown["error"]
    assert try_each(address, tmp_path, "hf:a/b:few:train", HF_HUB_OFFLINE="1") == [few]


def test_a_hub_that_hangs_up_is_asked_a_few_times_at_most(tmp_path: Path) -> None:
    calls = []

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            calls.append(self.client_address)

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            (found,) = try_each(f"http://127.0.0.1:{server.server_address[1]}", tmp_path, "hf:a/b")
        finally:
            server.shutdown()
    assert "the hub is out of reach" in found["error"]
    assert 1 <= len(calls) <= 3


def test_a_folder_in_the_hubs_layout(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    (folder / "train.parquet").write_bytes(parquet())
    (found,) = try_each("http://127.0.0.1:9", tmp_path / "home", f"hf:{folder}")
    assert found["path"] == f"hf:{folder}:train" and "revision" not in found
    assert found["rows"] == EXPECTED, "the only split needs no name"
    (folder / "test.parquet").write_bytes(parquet(ROWS[:1]))
    (folder / "train.parquet").rename(folder / "validation.parquet")
    (folder / "test.parquet").rename(folder / "train.parquet")
    (found,) = try_each("http://127.0.0.1:9", tmp_path / "home", f"hf:{folder}")
    assert found["error"].endswith("names no split; there are: train, validation")


def test_databases_of_a_hub_data_set_are_looked_for_in_the_tasks_folder(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = [{"task": "?", "db_id": "x", "query": "SELECT 1"}]
    Dataset.from_list(rows).to_parquet(str(tmp_path / "test.parquet"))
    code = f"from env.data import locate; print(locate('spider', 'hf:{tmp_path}').folder)"
    settings = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=settings)
    assert result.stdout.strip() == str(DATA_ROOT / "spider"), result.stderr


def test_no_data_option_imports_datasets_without_need() -> None:
    code = "import sys, env, env.data; env.make_env('lfd', 'sample'); print('datasets' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.strip() == "False", result.stderr


def test_every_tasks_fields_are_checked_in_every_form(tmp_path: Path) -> None:
    """A row that lacks the task's last field, as CSV and as Parquet."""
    from datasets import Dataset

    for name in ENV_DICT:
        *kept, last = find_env(name).fields
        write_csv(tmp_path / "rows.csv", [("x",) * len(kept)], tuple(kept))
        Dataset.from_list([dict.fromkeys(kept, "x")]).to_parquet(str(tmp_path / "rows.parquet"))
        for file in ("rows.csv", "rows.parquet"):
            with pytest.raises(DataError, match=f"the field '{last}' is missing"):
                list(locate(name, str(tmp_path / file)).rows(find_env(name).fields))
