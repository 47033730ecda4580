"""StreamBench's rows: downloaded from a hub on loopback, converted from the public releases, refused where broken."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from test_prepare_data import write_database

from config import Config
from env import make_env
from env.data import locate
from errors import DataError
from helpers.hub import hub, serve
from scripts import prepare_data
from scripts.prepare import streambench

SHARED = ROOT.parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the public releases are not in {SHARED}")
QUESTION = {
    "id": "1",
    "question": "Who wrote it?",
    "answer": "Ada Brock",
    "type": "bridge",
    "level": "hard",
    "context": {"title": ["It", "Ada Brock"], "sentences": [["It is a book.", " It is short."], ["She wrote It."]]},
}
CALL = {"query": "What date is it?", "api_name": "get_today_date", "api_input": "{}"}
SETTINGS = ("streambench", "dtlbench")
PARAGRAPHS = [{"title": "It", "text": "It is a book. It is short."}, {"title": "Ada Brock", "text": "She wrote It."}]


def parquet(rows: list[dict[str, Any]]) -> bytes:
    from datasets import Dataset

    buffer = io.BytesIO()
    Dataset.from_list(rows).to_parquet(buffer)
    return buffer.getvalue()


def download(task: str, files: dict[str, bytes], out: Path) -> subprocess.CompletedProcess[str]:
    """prepare_data.py TASK as a process, with a hub that has these files of StreamBench's data set."""
    with serve(hub(files, "appier-ai-research/StreamBench")) as address:
        quiet = {"HF_ENDPOINT": address, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_VERBOSITY": "error"}
        command = [sys.executable, str(ROOT / "scripts" / "prepare_data.py"), task, "--out", str(out)]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, env={**os.environ, **quiet})


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def convert(task: str, release: Path, out: Path, *more: str) -> int:
    return prepare_data.main([task, "--from", str(release), "--out", str(out), *more])


# -- the hub -----------------------------------------------------------------------------------------------------------


def test_rows_are_downloaded_and_official(tmp_path: Path) -> None:
    files = {"hotpotqa_distract/test-00000-of-00001.parquet": parquet([QUESTION]), "readme.md": b"about it"}
    done = download("hotpotqa", files, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 rows (official), 0 bad" in done.stdout
    (row,) = read(tmp_path / "hotpotqa.jsonl")
    assert row == {
        "task": "Who wrote it?",
        "label": "Ada Brock",
        "paragraphs": PARAGRAPHS,
        "type": "bridge",
        "level": "hard",
    }
    assert locate("hotpotqa", str(tmp_path)).origin == "official"


def test_toolbench_needs_the_documentation_of_its_apis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is no part of the data set: it is fetched beside the rows, or was put there."""
    documentation = {"get_today_date": 'Today. Your input: {{"zone" : string, }}', "another": ""}
    (tmp_path / "put").mkdir()
    (tmp_path / "put" / "API_descriptions.json").write_text(json.dumps(documentation), encoding="utf-8")
    done = download("toolbench", {"toolbench/test-00000-of-00001.parquet": parquet([CALL])}, tmp_path / "put")
    assert done.returncode == 0, done.stderr
    expected = [{"name": "get_today_date", "documentation": 'Today. Your input: {"zone" : string, }', "exact": True}]
    assert read(tmp_path / "put" / "apis.jsonl") == expected
    rows = [streambench.toolbench_row(CALL)]
    assert read(tmp_path / "put" / "toolbench.jsonl") == rows
    (tmp_path / "got").mkdir()
    with serve({"/API_descriptions.json": json.dumps(documentation).encode()}) as address:
        monkeypatch.setattr(streambench, "API_URL", f"{address}/API_descriptions.json")
        streambench.fetch_apis(rows, tmp_path / "got")
        assert read(tmp_path / "got" / "apis.jsonl") == expected
        monkeypatch.setattr(streambench, "API_URL", f"{address}/nowhere.json")
        (tmp_path / "none").mkdir()
        with pytest.raises(DataError, match=r"the rows are there, but .* 404.*put API_descriptions.json"):
            streambench.fetch_apis(rows, tmp_path / "none")
    assert not list((tmp_path / "none").iterdir())


def test_cosql_asks_for_its_databases(tmp_path: Path) -> None:
    row = {"question": "How many?", "db_id": "library", "SQL": "SELECT count(*) FROM book WHERE pages > = 300"}
    files = {"cosql/test-00000-of-00001.parquet": parquet([row])}
    done = download("cosql", files, tmp_path)
    assert done.returncode == 1 and "yale-lily.github.io/cosql" in done.stderr and "library" in done.stderr
    write_database(tmp_path / "source" / "library" / "library.sqlite")
    assert download("cosql", files, tmp_path).returncode == 0
    assert read(tmp_path / "cosql.jsonl")[0]["query"].endswith("pages >= 300")


def test_a_hub_that_lacks_the_rows_or_has_others(tmp_path: Path) -> None:
    done = download("toolbench", {"toolbench/train-00000-of-00001.parquet": b""}, tmp_path / "out")
    assert done.returncode == 1 and "has no toolbench/test-*.parquet" in done.stderr
    wrong = parquet([{"query": "q", "api_name": "x", "api_input": "{1}"}])
    done = download("toolbench", {"toolbench/test-00000-of-00001.parquet": wrong}, tmp_path / "out")
    assert done.returncode == 1 and "test-00000-of-00001.parquet, row 1: not as expected" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


# -- releases ----------------------------------------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize(
    ("task", "split", "count"),
    [("toolbench", "test", 750), ("hotpotqa", "dev-sample", 100), ("hotpotqa", "train-sample", 100)],
)
def test_every_real_row_converts_and_its_truth_scores_one(task: str, split: str, count: int, tmp_path: Path) -> None:
    assert convert(task, SHARED / task, tmp_path, "--split", split, "--check") == 0
    env = make_env(task, str(tmp_path))
    assert len(env) == count
    for env.index in range(count):
        assert env.evaluate(env.gold_output()) == (env.get_ground_truth(), 1), env.row
        assert set(env.step_metrics.values()) == {1.0}


@needs_shared
def test_the_real_apis(tmp_path: Path) -> None:
    assert convert("toolbench", SHARED / "toolbench", tmp_path) == 0
    env = make_env("toolbench", str(tmp_path))
    assert len(env.apis) == 50 and sum(api.exact for api in env.apis.values()) == 31
    exact = [row for row in env.dataset if env.apis[row["api_name"]].exact]
    assert (len(exact), sum(row["api_input"] == "{}" for row in exact)) == (465, 287)


def test_both_layouts_of_hotpotqa_are_read(tmp_path: Path) -> None:
    context = QUESTION["context"]
    listed = [list(pair) for pair in zip(context["title"], context["sentences"])]
    items = [QUESTION, {"question": "q ", "answer": "a", "context": listed, "_id": "2"}]
    (tmp_path / "hotpot_dev_distractor_v1.json").write_text(json.dumps(items))
    assert convert("hotpotqa", tmp_path, tmp_path / "out") == 0
    first, second = read(tmp_path / "out" / "hotpotqa.jsonl")
    assert first["paragraphs"] == second["paragraphs"] == PARAGRAPHS
    assert second == {"task": "q", "label": "a", "paragraphs": PARAGRAPHS}


def test_cosql_keeps_the_turns_that_can_be_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [
        {"utterance": "How many books?", "query": "SELECT count(*) FROM book"},
        {"utterance": "The long ones?", "query": "SELECT title FROM book WHERE pages > = 300"},
        {"utterance": "And films?", "query": "SELECT count(*) FROM film"},
    ]
    items = [
        {"database_id": "library", "interaction": turns, "final": {}},
        {"database_id": "absent", "interaction": turns[:1]},
    ]
    (tmp_path / "sql_state_tracking").mkdir()
    (tmp_path / "sql_state_tracking" / "cosql_dev.json").write_text(json.dumps(items))
    assert convert("cosql", tmp_path, tmp_path / "none") == 1
    assert "the query of no row runs" in capsys.readouterr().err
    write_database(tmp_path / "database" / "library" / "library.sqlite")
    assert convert("cosql", tmp_path, tmp_path / "out", "--check") == 0
    assert "2 rows are left out: their database is missing or does not run" in capsys.readouterr().out
    rows = read(tmp_path / "out" / "cosql.jsonl")
    assert [(row["task"], row["dialogue"], row["turn"]) for row in rows] == [
        ("How many books?", 1, 1),
        ("The long ones?", 1, 2),
    ]
    env = make_env("cosql", str(tmp_path / "out"))
    assert len(env) == 2


@pytest.mark.parametrize(
    ("task", "file", "content", "words"),
    [
        ("toolbench", "tool_test.json", b"[]", "expected a JSON object"),
        ("toolbench", "tool_test.json", b'{"a": [{"query": "q"}]}', "a, item 1: not as expected"),
        ("toolbench", "tool_test.json", b'{"a": [{"query": "q", "action": "a", "action_input": "{"}]}', "item 1"),
        ("toolbench", "tool_test.json", b'{"a": [{"query": "q", "action": "a", "action_input": "{}"}]}', "API_desc"),
        ("hotpotqa", "hotpot_train_v1.1.json", b"{}", "expected a JSON list"),
        ("hotpotqa", "hotpot_train_v1.1.json", b'[{"question": "q", "answer": "a"}]', "item 1: not as expected"),
        ("hotpotqa", "hotpot_train_v1.1.json", b'[{"question": "q", "answer": "a", "context": [1]}]', "item 1"),
        ("cosql", "sql_state_tracking/cosql_dev.json", b"[{}]", "item 1 has no list of turns"),
        ("cosql", "sql_state_tracking/cosql_dev.json", b'[{"interaction": [1]}]', "item 1, turn 1"),
        ("cosql", "sql_state_tracking/cosql_dev.json", b"\xff", "not readable JSON"),
    ],
)
def test_a_bad_release_leaves_nothing(
    task: str, file: str, content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(content)
    assert convert(task, tmp_path, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


# -- cosql -------------------------------------------------------------------------------------------------------------


def test_streambench_finds_no_empty_result_right(tmp_path: Path) -> None:
    write_database(tmp_path / "source" / "library" / "library.sqlite")
    rows = [
        {"task": "Which are long?", "db_id": "library", "query": "SELECT title FROM book WHERE pages > 300"},
        {"task": "Which are endless?", "db_id": "library", "query": "SELECT title FROM book WHERE pages > 9000"},
    ]
    (tmp_path / "cosql.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    env = make_env("cosql", str(tmp_path))
    scores = []
    for env.index in (0, 1):
        for text in (env.gold_output(), "```sql\nSELECT 1\n```", "nothing"):
            env.step_metrics = {}
            scores.append((env.evaluate(text)[1], env.step_metrics["streambench_reward"]))
    env.close()
    assert scores == [(1, 1.0), (0, 0.0), (0, 0.0), (1, 0.0), (0, 0.0), (0, 0.0)]


# -- the setting -------------------------------------------------------------------------------------------------------


def test_the_setting_of_streambench() -> None:
    """Order by the seed, a second score for SQL, no evidence in bird, paragraphs in hotpotqa's cases."""
    config = Config(env="bird", stream="streambench")
    assert config.shuffle and not config.case_paragraphs
    assert "stream=streambench" in config.run_name() and config.identity()["stream"] == "streambench"
    for task in ("spider", "bird"):
        env, own = (make_env(task, "sample", config=Config(env=task, stream=setting)) for setting in SETTINGS)
        index = next(i for i, row in enumerate(own.dataset) if task == "spider" or row["evidence"].strip())
        for each in (env, own):
            each.index = index
            assert each.evaluate(each.gold_output())[1] == 1
            each.close()
        assert env.step_metrics == {"streambench_reward": 1.0} and own.step_metrics == {}
        assert env.observe() == own.row["task"]
    assert own.row["evidence"].strip() in own.observe()
    assert Config(env="hotpotqa", stream="streambench").case_paragraphs
    elsewhere = Config(env="banking77", stream="streambench")
    assert not elsewhere.shuffle and "stream" not in elsewhere.identity()
    assert "--stream has no effect on the task banking77" in elsewhere.without_effect(["stream"])


# -- ds1000 ------------------------------------------------------------------------------------------------------------


def ds1000_lines() -> bytes:
    return b"\n".join((ROOT / "data" / "ds1000" / "sample" / "ds1000.jsonl").read_bytes().splitlines()[:3])


def test_ds1000_is_read_from_a_file_or_a_folder_packed_or_not(tmp_path: Path) -> None:
    import gzip

    lines = ds1000_lines()
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "ds1000.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "any.jsonl").write_bytes(lines + b"\n\n")
    for number, source in enumerate((tmp_path / "release", tmp_path / "any.jsonl")):
        assert convert("ds1000", source, tmp_path / f"out{number}", "--check") == 0
        assert read(tmp_path / f"out{number}" / "ds1000.jsonl") == [json.loads(line) for line in lines.splitlines()]
        assert locate("ds1000", str(tmp_path / f"out{number}")).origin == "converted"


def test_ds1000_is_downloaded_from_its_own_data_set(tmp_path: Path) -> None:
    with serve(hub({"test.jsonl": ds1000_lines()}, "xlangai/DS-1000")) as address:
        quiet = {"HF_ENDPOINT": address, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_VERBOSITY": "error"}
        command = [sys.executable, str(ROOT / "scripts" / "prepare_data.py"), "ds1000", "--out", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, env={**os.environ, **quiet})
    assert done.returncode == 0, done.stderr
    assert "3 rows (official), 0 bad" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.txt", b"", "none.txt has no rows"),
        ("ds1000.jsonl.gz", b"\x1f\x8b\x08", "not a whole gzip file"),
        ("ds1000.jsonl", b'{"prompt": "p"}', "ds1000.jsonl:1: the field 'reference_code' is missing"),
        ("ds1000.jsonl", b"{", "ds1000.jsonl:1: not valid JSON"),
        ("ds1000.jsonl", b'\n{"prompt": "", "reference_code": "", "code_context": "", "metadata": {}}', ":2: not as"),
        ("other", b"", "--from takes the file of DS-1000, or its folder"),
    ],
)
def test_ds1000_that_is_not_as_expected(
    name: str, content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert convert("ds1000", tmp_path if name == "other" else tmp_path / name, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
