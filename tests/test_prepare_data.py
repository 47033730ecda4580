"""scripts/prepare_data.py as a process: real releases converted, checks, downloads from a hub on loopback or none."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from env import ENV_DICT, make_env
from env.base import Env
from env.data import DATA_ROOT, locate
from errors import DataError
from helpers.hub import hub, serve
from scripts import prepare_data
from scripts.prepare import downloads
from scripts.prepare.downloads import fetch_file, unpack_databases

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the public releases are not in {SHARED}")


def prepare(*arguments: object, endpoint: str = "http://127.0.0.1:9") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPO / "scripts" / "prepare_data.py"), *map(str, arguments)]
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment["HF_HUB_VERBOSITY"] = "error"
    return subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def refuses(result: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    """One clear line on stderr with all of `words`, the exit code, and no traceback."""
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


def write_database(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE book (title TEXT, pages INTEGER)")
        connection.execute("INSERT INTO book VALUES ('Emma', 474), ('Persuasion', 236)")


@pytest.fixture
def bird_release(tmp_path: Path) -> Path:
    """A release in BIRD's layout with one small database."""
    release = tmp_path / "bird"
    write_database(release / "dev_databases" / "library" / "library.sqlite")
    item = {
        "question_id": 0,
        "db_id": "library",
        "question": "How many long books are there?",
        "evidence": "long means pages > 300",
        "SQL": "SELECT COUNT(*) FROM book WHERE pages > 300",
        "difficulty": "simple",
    }
    (release / "dev.json").write_text(json.dumps([item, {**item, "evidence": ""}]))
    return release


# -- conversions -------------------------------------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize(
    ("task", "release", "options", "count"),
    [
        ("banking77", "banking77", [], 3080),
        ("banking77", "banking77", ["--split", "train"], 10003),
        ("spider", "spider", [], 972),
        ("sentifin", "sentfin", [], 10753),
    ],
)
def test_public_releases_convert_whole_and_check(
    task: str, release: str, options: list[str], count: int, tmp_path: Path
) -> None:
    result = prepare(task, "--from", SHARED / release, "--out", tmp_path / task, "--check", *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"{count} rows (converted), 0 bad" in result.stdout
    path = tmp_path / task / f"{task}.jsonl"
    assert len(read(path)) == count
    note = json.loads((path.parent / "provenance.json").read_text())
    assert note["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (note["origin"], note["rows"]) == ("converted", count)
    assert not list(path.parent.glob(".*")), "no temporary files are left"
    assert len(make_env(task, data=str(path))) == count
    path.write_bytes(path.read_bytes() + b"\n")
    assert locate(task, str(path)).origin == "user", "rows edited since lose their origin"


@needs_shared
def test_banking77_takes_the_labels_spelling(tmp_path: Path) -> None:
    assert prepare("banking77", "--from", SHARED / "banking77", "--out", tmp_path).returncode == 0
    rows = read(tmp_path / "banking77.jsonl")
    assert rows[0] == {"task": "How do I locate my card?", "label": "card arrival"}
    labels = (REPO / "env" / "labels" / "banking77.txt").read_text().splitlines()
    assert {row["label"] for row in rows} == set(labels)


@needs_shared
def test_rows_in_blocks_of_one_label_are_told_of(tmp_path: Path) -> None:
    result = prepare("banking77", "--from", SHARED / "banking77", "--out", tmp_path)
    assert "neighbours agree in 98% of cases, 1% by chance" in result.stdout and "--shuffle" in result.stdout
    result = prepare("sentifin", "--from", SHARED / "sentfin", "--out", tmp_path)
    assert "neighbours" not in result.stdout


@needs_shared
def test_spider_brings_its_databases(tmp_path: Path) -> None:
    assert prepare("spider", "--from", SHARED / "spider", "--out", tmp_path).returncode == 0
    rows, originals = read(tmp_path / "spider.jsonl"), json.loads((SHARED / "spider" / "dev.json").read_text())
    assert [(row["task"], row["query"]) for row in rows] == [(o["question"].strip(), o["query"]) for o in originals]
    for db_id in {row["db_id"] for row in rows}:
        original = SHARED / "spider" / "database" / db_id / f"{db_id}.sqlite"
        assert (tmp_path / "source" / db_id / f"{db_id}.sqlite").read_bytes() == original.read_bytes()


@needs_shared
def test_sentifin_is_repaired_and_in_order(tmp_path: Path) -> None:
    assert prepare("sentifin", "--from", SHARED / "sentfin", "--out", tmp_path).returncode == 0
    rows = read(tmp_path / "sentifin.jsonl")
    for row in rows:
        places = [row["task"].find(entry["entity"]) for entry in row["label"]]
        assert -1 not in places and len(set(map(str, row["label"]))) == len(row["label"])
    entities = {entry["entity"] for row in rows for entry in row["label"]}
    assert {"Dr Reddy's Labs", "Osian's Art Fund", "UK's FTSE", "Bajaj Holdings", "Frank Russell Company"} <= entities
    assert not any("neutraling" in entity for entity in entities)


@pytest.mark.parametrize(
    ("decisions", "title", "expected"),
    [
        ("{'Beta': 'negative', 'Acme': 'positive'}", "Acme beats Beta", ["Acme", "Beta"]),
        ("{'SBI': 'negative', 'SBI Life': 'positive'}", "SBI Life up as SBI slips", ["SBI Life", "SBI"]),
        ("{'Joe's': 'positive', 'Acme's Inn': 'neutral'}", "Acme's Inn buys Joe's", ["Acme's Inn", "Joe's"]),
        ("{'Acme neutralings': 'neutral'}", "Acme Holdings in talks", ["Acme Holdings"]),
    ],
)
def test_entities_of_a_headline(decisions: str, title: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "SEntFiN.csv").write_text(f'S No.,Title,Decisions,Words\n1,"{title}","{decisions}",5\n')
    assert prepare("sentifin", "--from", tmp_path, "--out", tmp_path / "out", "--check").returncode == 0
    (row,) = read(tmp_path / "out" / "sentifin.jsonl")
    assert [entry["entity"] for entry in row["label"]] == expected


def test_bird_converts(bird_release: Path, tmp_path: Path) -> None:
    result = prepare("bird", "--from", bird_release, "--out", tmp_path / "out", "--check")
    assert (result.returncode, result.stderr) == (0, "")
    first, second = read(tmp_path / "out" / "bird.jsonl")
    assert set(first) == {"task", "evidence", "db_id", "SQL"}
    assert (first["evidence"], second["evidence"]) == ("long means pages > 300", "")
    assert (tmp_path / "out" / "source" / "dev_databases" / "library" / "library.sqlite").is_file()


def test_a_spider_release_with_test_set_and_no_database(bird_release: Path, tmp_path: Path) -> None:
    release = tmp_path / "spider"
    write_database(release / "test_database" / "library" / "library.sqlite")
    item = {"question": "How many books?", "query": "SELECT COUNT(*) FROM book", "db_id": "library"}
    (release / "test.json").write_text(json.dumps([item]))
    (release / "dev.json").write_text(json.dumps([item, {**item, "db_id": "cinema"}]))
    assert prepare("spider", "--from", release, "--out", tmp_path / "out", "--check").returncode == 0
    assert len(read(tmp_path / "out" / "spider.jsonl")) == 1, "the test set is the usual split"
    refuses(prepare("spider", "--from", release, "--split", "dev", "--out", tmp_path / "dev"), "'cinema' is missing")
    (release / "test.json").write_text(json.dumps([{**item, "db_id": "../library"}]))
    refuses(prepare("spider", "--from", release, "--out", tmp_path / "dev"), "'../library' is not the plain name")
    assert not (tmp_path / "dev").exists()


@pytest.mark.parametrize(
    ("task", "file", "content", "words"),
    [
        ("banking77", "test.csv", b"text,category\nhi,card_arrival\nhi,card_loss\n", ["test.csv:3", "card_loss"]),
        ("banking77", "test.csv", b"text,label\nhi,card_arrival\n", ["test.csv:1", "'category'"]),
        ("banking77", "test.csv", b"text,category\n,card_arrival\n", ["test.csv:2", "'text' is empty"]),
        ("banking77", "test.csv", b"text,category\nhi\n", ["test.csv:2", "no cell", "'category'"]),
        ("banking77", "test.csv", b"text,category\n\xff,card_arrival\n", ["test.csv", "not UTF-8"]),
        ("banking77", "test.csv", b"text,category\n", ["no rows"]),
        ("banking77", "test.csv", b"", ["'text'"]),
        ("banking77", "other.csv", b"", ["has no test.csv or train.csv"]),
        ("sentifin", "SEntFiN.csv", b"Title,Decisions\nAcme up,{'Acme': 'good'}\n", ["SEntFiN.csv:2", "good"]),
        ("sentifin", "SEntFiN.csv", b"Title,Decisions\nAcme up,exit()\n", ["SEntFiN.csv:2", "exit()"]),
        ("spider", "dev.json", b"[{]", ["dev.json:1", "not valid JSON"]),
        ("spider", "dev.json", b"[" * 100_000, ["dev.json", "not readable JSON"]),
        ("spider", "dev.json", b"{}", ["expected a JSON list"]),
        ("spider", "dev.json", b'[{"question": "q", "db_id": "d"}]', ["item 1", "'query'"]),
        ("bird", "dev.json", b'[{"question": "q", "db_id": "d", "SQL": ""}]', ["item 1", "'evidence'"]),
        ("spider", "dev.json", b'[{"question": "\\ud800", "db_id": "d", "query": ""}]', ["item 1", "half a character"]),
        (
            "bird",
            "dev.json",
            b'[{"question": "", "evidence": "", "db_id": "d", "SQL": "\\udfff"}]',
            ["item 1", "half a"],
        ),
    ],
)
def test_a_bad_release_leaves_nothing(task: str, file: str, content: bytes, words: list[str], tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(content)
    refuses(prepare(task, "--from", tmp_path, "--out", tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["banking7"], ["unknown task 'banking7'", "Did you mean 'banking77'?"]),
        (["rca", "--from", "."], ["cannot convert rca", "banking77"]),
        (["banking77", "--split", "test"], ["--from"]),
        (["banking77", "--from", ".", "--split", "dev"], ["no split 'dev'", "test, train"]),
    ],
)
def test_usage_errors(arguments: list[str], words: list[str]) -> None:
    refuses(prepare(*arguments), *words, code=2)


# -- Parquet -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["banking77", "mimic-iv-mr", "sentifin", "mimic-iv-tlp"])
def test_rows_written_as_parquet_are_read_as_they_were(task: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"{task}.parquet"
    result = prepare(task, "--to", path, "--out", REPO / "data" / task / "sample")
    assert (result.returncode, result.stderr) == (0, "")
    sample = make_env(task, "sample").dataset
    assert result.stdout == f"{path}: {len(sample)} rows (sample)\n"
    assert make_env(task, str(path)).dataset == sample
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_release_goes_to_parquet_at_once(bird_release: Path, tmp_path: Path) -> None:
    path = tmp_path / "bird.parquet"
    result = prepare("bird", "--from", bird_release, "--out", tmp_path / "out", "--to", path, "--check")
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 rows (converted)" in result.stdout and "2 rows (converted), 0 bad" in result.stdout
    (tmp_path / "source").symlink_to(tmp_path / "out" / "source")
    assert make_env("bird", str(path)).dataset == read(tmp_path / "out" / "bird.jsonl")


def test_rows_that_parquet_would_change_are_not_written(tmp_path: Path) -> None:
    for task in ("mud", "ehr"):  # dicts with other keys in each row; numbers and lists in one column
        path = tmp_path / f"{task}.parquet"
        refuses(prepare(task, "--to", path, "--out", REPO / "data" / task / "sample"), f"{task}.jsonl", "one type")
        assert not path.exists()
    refuses(prepare("mud", "--to", tmp_path / "rows.csv"), "ends in .parquet", code=2)


# -- checks ------------------------------------------------------------------------------------------------------------


def test_every_bad_row_is_reported_by_line(tmp_path: Path) -> None:
    good = json.dumps({"task": "Where is my card?", "label": "card arrival"}).encode()
    bad = {
        2: (b"{", "not valid JSON"),
        3: (b'{"task": "x"}', "'label' is missing"),
        5: (b'{"task": "x", "label": "cards"}', "unknown label 'cards'"),
        6: (b'{"task": "\xff", "label": "card arrival"}', "not UTF-8"),
        7: (b'{"task": " ", "label": "card arrival"}', "the task is empty"),
        8: (b'{"task": "x", "label": ' + b"9" * 5000 + b"}", "not readable JSON"),
        9: (b"[" * 100_000, "not readable JSON"),
    }
    lines = [bad[number][0] if number in bad else good for number in range(1, 10)] + [b"", good]
    path = tmp_path / "banking77.jsonl"
    path.write_bytes(b"\n".join(lines))
    result = prepare("banking77", "--check", "--out", tmp_path)
    assert result.returncode == 1
    reported = result.stderr.splitlines()
    assert len(reported) == len(bad)
    for (number, (_, problem)), line in zip(bad.items(), reported, strict=True):
        assert line.startswith(f"{path}:{number}: ") and problem in line
    assert "10 rows (user), 7 bad" in result.stdout


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    row = '\ufeff{"task": "Where is my card?", "label": "card arrival"}\n'
    (tmp_path / "banking77.jsonl").write_text(row, encoding="utf-8")
    assert len(make_env("banking77", str(tmp_path))) == 1
    result = prepare("banking77", "--check", "--out", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_gold_queries_are_run(bird_release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert prepare("bird", "--from", bird_release, "--out", out).returncode == 0
    rows = read(out / "bird.jsonl")
    broken = [rows[0], {**rows[0], "SQL": "SELECT author FROM book"}, {**rows[0], "db_id": "cinema"}]
    (out / "bird.jsonl").write_text("".join(json.dumps(row) + "\n" for row in broken))
    result = prepare("bird", "--check", "--out", out)
    first, second = result.stderr.splitlines()
    assert result.returncode == 1
    assert "bird.jsonl:2: " in first and "author" in first
    assert "bird.jsonl:3: " in second and "cinema" in second


def test_checks_without_data(tmp_path: Path) -> None:
    refuses(prepare("rca", "--check", "--out", tmp_path / "nowhere"), "does not exist")
    (tmp_path / "rca.jsonl").write_text("\n")
    refuses(prepare("rca", "--check", "--out", tmp_path), "has no rows")


@pytest.mark.parametrize("task", ["banking77", "mimic-iv-mr", "bird"])
def test_the_samples_check(task: str) -> None:
    result = prepare(task, "--check", "--out", REPO / "data" / task / "sample")
    assert (result.returncode, result.stderr) == (0, "")
    assert "rows (sample), 0 bad" in result.stdout


# -- downloads ---------------------------------------------------------------------------------------------------------


def test_no_hub_is_one_clear_line_and_nothing_written(tmp_path: Path) -> None:
    result = prepare("banking77", "--out", tmp_path / "out")
    refuses(result, "guosy/DTLBench could not be downloaded", "banking77.jsonl in a browser", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("task", ["mimic-iv-mr", "mimic-iv-msr", "mimic-iv-tlp"])
def test_what_has_to_be_fetched_by_hand(task: str, tmp_path: Path) -> None:
    refuses(prepare(task, "--out", tmp_path / "out"), "physionet.org", f"{tmp_path}/out/{task}.jsonl")
    assert not (tmp_path / "out").exists()


def test_an_own_task_has_nothing_to_download(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(ENV_DICT, "mails", Env)
    assert prepare_data.main(["mails"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"write its rows to {DATA_ROOT}/mails/mails.jsonl" in error


def test_ehr_rows_arrive_and_the_tables_are_asked_for(tmp_path: Path) -> None:
    row = {"task": "How many patients are there?", "label": "1"}
    with serve(hub({"ehr/ehr.jsonl": json.dumps(row).encode()})) as address:
        result = prepare("ehr", "--out", tmp_path, endpoint=address)
        refuses(result, "drive.google.com", f"{tmp_path}/source", "--check")
        assert json.loads((tmp_path / "ehr.jsonl").read_text()) == row
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "PATIENTS.csv").write_text("ROW_ID,SUBJECT_ID\n")
        refuses(prepare("ehr", "--out", tmp_path, endpoint=address), "lacks 16 of the 17 tables")


def test_official_rows_are_downloaded_checked_and_noted(tmp_path: Path) -> None:
    content = b'{"task": "Where is my card?", "label": "card arrival"}\n'
    with serve(hub({"banking77/banking77.jsonl": content})) as address:
        result = prepare("banking77", "--out", tmp_path, endpoint=address)
    assert result.returncode == 0, result.stderr
    assert "1 rows (official), 0 bad" in result.stdout
    assert (tmp_path / "banking77.jsonl").read_bytes() == content
    assert locate("banking77", str(tmp_path)).origin == "official"


def test_spider_rows_arrive_and_the_databases_are_asked_for(tmp_path: Path) -> None:
    row = {"task": "How many books?", "db_id": "library", "query": "SELECT COUNT(*) FROM book"}
    with serve(hub({"data/spider/spider.jsonl": json.dumps(row).encode()})) as address:
        result = prepare("spider", "--out", tmp_path, endpoint=address)
        refuses(result, "drive.google.com", f"{tmp_path}/source/library/library.sqlite")
        write_database(tmp_path / "source" / "library" / "library.sqlite")
        assert prepare("spider", "--out", tmp_path, endpoint=address).returncode == 0
    assert prepare("spider", "--out", tmp_path, "--check").returncode == 0


def test_a_hub_without_the_task(tmp_path: Path) -> None:
    with serve(hub({"readme.md": b"nothing here"})) as address:
        refuses(prepare("rca", "--out", tmp_path / "out", endpoint=address), "has no rca.jsonl")
    assert not (tmp_path / "out").exists()


def test_a_file_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    with serve({"/whole.zip": b"12345", "/short.zip": (b"123", 5)}) as address:
        fetch_file(f"{address}/whole.zip", tmp_path / "whole.zip")
        assert (tmp_path / "whole.zip").read_bytes() == b"12345"
        with pytest.raises(DataError, match="3 of 5 bytes"):
            fetch_file(f"{address}/short.zip", tmp_path / "short.zip")
        with pytest.raises(DataError, match="404"):
            fetch_file(f"{address}/none.zip", tmp_path / "none.zip")


def test_bird_databases_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({"/dev.zip": zipped({"dev/dev_databases/club/club.sqlite": b"club"})}) as address:
        monkeypatch.setattr(downloads, "BIRD_URL", f"{address}/dev.zip")
        downloads.fetch_bird_databases(["club"], tmp_path / "source")
    assert (tmp_path / "source" / "club" / "club.sqlite").read_bytes() == b"club"


def test_databases_are_unpacked_and_nothing_else(tmp_path: Path) -> None:
    inner = zipped({"dev_databases/club/club.sqlite": b"club", "dev_databases/club/notes.csv": b"x"})
    outside = {"../../evil/evil.sqlite": b"", "/abs/abs.sqlite": b"", "dev/x/y.sqlite": b"", "../up.sqlite": b""}
    archive = tmp_path / "in" / "dev.zip"
    archive.parent.mkdir()
    archive.write_bytes(zipped({"dev/dev_databases.zip": inner, "dev/dev.json": b"[]", **outside}))
    assert unpack_databases(archive, tmp_path / "out" / "source") == 3
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["in/dev.zip", *(f"out/source/{name}/{name}.sqlite" for name in ("abs", "club", "evil"))]
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(DataError, match="not a whole zip file"):
        unpack_databases(archive, tmp_path / "out" / "source")


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()
