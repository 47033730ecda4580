"""Text-to-SQL: hostile queries are harmless, and the reward is what the results say."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import main
from env import make_env
from env.families.sql import SQLEnv
from env.tools.sql import QueryFailed, SQLRunner, read_schema
from errors import DataError, UserError
from helpers.runs import run_folder, steps
from scripts.make_samples import make_sample

REPO = Path(__file__).resolve().parent.parent
SPIDER = REPO.parent / "shared" / "data" / "spider"
DEADLINE = 0.5
SLACK = 15.0  # seconds that a loaded machine may take to notice, and to start the next process
ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
CROSS = "FROM loan a, loan b, loan c, loan d, loan e, loan f"  # 80 ** 6 rows

REFUSED = {
    "drop": "DROP TABLE book",
    "delete": "DELETE FROM book",
    "update": "UPDATE book SET title = 'x'",
    "insert": "INSERT INTO book(title) VALUES ('x')",
    "replace": "REPLACE INTO book(book_id) VALUES (1)",
    "alter": "ALTER TABLE book ADD COLUMN x",
    "create": "CREATE TABLE t(a)",
    "create index": "CREATE INDEX i ON book(title)",
    "temp table": "CREATE TEMP TABLE t AS SELECT * FROM book",
    "temp view": "CREATE TEMP VIEW v AS SELECT 1",
    "virtual table": "CREATE VIRTUAL TABLE t USING fts5(a)",
    "delete by cte": "WITH x AS (SELECT 1) DELETE FROM book WHERE book_id IN x",
    "insert by cte": "WITH x(a) AS (SELECT 'y') INSERT INTO book(title) SELECT a FROM x",
    "update returning": "UPDATE book SET pages = 0 RETURNING title",
    "schema table": "UPDATE sqlite_master SET sql = ''",
    "attach": "ATTACH DATABASE '{folder}/other.sqlite' AS other",
    "attach this": "ATTACH DATABASE '{folder}/library.sqlite' AS other",
    "detach": "DETACH DATABASE main",
    "vacuum": "VACUUM",
    "vacuum into": "VACUUM INTO '{folder}/copy.sqlite'",
    "writable schema": "PRAGMA writable_schema = 1",
    "journal mode": "PRAGMA journal_mode = WAL",
    "user version": "PRAGMA user_version = 7",
    "pragma read": "PRAGMA table_info(book)",
    "pragma table": "SELECT * FROM pragma_table_info('book')",
    "heap limit": "PRAGMA hard_heap_limit = 1",
    "temp folder": "PRAGMA temp_store_directory = '{folder}'",
    "extension": "SELECT load_extension('{folder}/evil')",
    "tokenizer": "SELECT fts3_tokenizer('simple', x'4141414141414141')",
    "begin": "BEGIN EXCLUSIVE",
    "savepoint": "SAVEPOINT s",
    "reindex": "REINDEX",
    "analyze": "ANALYZE",
    "two statements": "SELECT 1; DROP TABLE book",
    "after a comment": "SELECT 1 /* ; */ ; -- harmless\n DELETE FROM book",
    "in a comment": "-- SELECT 1\nDELETE FROM book",
    "open comment": "/* SELECT 1",
    "only a comment": "-- SELECT 1",
    "only a semicolon": ";",
    "shell command": ".shell touch {folder}/x",
    "file function": "SELECT writefile('{folder}/x', 'x')",
    "nul": "SELECT 1\0; DROP TABLE book",
    "surrogate": "SELECT '\ud800'",
    "too long": "SELECT " + "1 + " * 100_000 + "1",
    "too deep": "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "too many columns": "SELECT " + ", ".join(["randomblob(9)"] * 2_500),
}

UNBOUNDED = {
    "endless recursion": ENDLESS + "SELECT count(*) FROM c",
    "endless rows": ENDLESS + "SELECT n FROM c",
    "endless equal rows": ENDLESS + "SELECT 1 FROM c",
    "endless sort": ENDLESS + "SELECT n, randomblob(1000) FROM c ORDER BY 2",
    "endless group": ENDLESS + "SELECT group_concat(n, hex(zeroblob(1000))) FROM c",
    "endless union": "WITH RECURSIVE c(n) AS (SELECT 1 UNION SELECT n + 1 FROM c) SELECT count(*) FROM c",
    "billions of rows": f"SELECT a.days {CROSS}",
    "billions counted": f"SELECT count(*) {CROSS}",
    "billions grouped": f"SELECT a.days, b.days, c.days, d.days, count(*) {CROSS} GROUP BY 1, 2, 3, 4",
    "billions distinct": f"SELECT DISTINCT a.loan_id, b.loan_id, c.loan_id, d.loan_id {CROSS}",
    "huge value": "SELECT zeroblob(999999999)",
    "huge text": "SELECT printf('%.*c', 999999999, 'x')",
    "huge random": "SELECT hex(randomblob(400000000))",
    "huge replace": "SELECT length(replace(hex(zeroblob(20000)), '0', hex(zeroblob(12000))))",
    "many huge values": "SELECT " + ", ".join(["zeroblob(100000000)"] * 50),
    "doubling": "WITH RECURSIVE c(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM c) SELECT s FROM c",
    "slow instr": "SELECT instr(hex(zeroblob(20000000)), hex(zeroblob(10000000)) || '1')",
    "slow replace": "SELECT replace(hex(zeroblob(20000000)), hex(zeroblob(10000000)) || '1', '')",
    "slow like": f"SELECT count(*) {CROSS} WHERE hex(zeroblob(20000)) LIKE '{'%0_' * 900}%1'",
    "slow glob": f"SELECT count(*) {CROSS} WHERE hex(zeroblob(20000)) GLOB '{'*0?' * 900}*1'",
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample("spider", tmp_path_factory.mktemp("data")).parent


@pytest.fixture(scope="module")
def env(sample: Path) -> SQLEnv:
    """The spider sample at a row of the library database, with a short deadline."""
    env = make_env("spider", str(sample))
    env.runner = SQLRunner(seconds=DEADLINE)
    env.dataset = [{"task": "Titles?", "db_id": "library", "query": "SELECT title, pages FROM book WHERE pages > 300"}]
    return env


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "facts.yaml"
    }


def answer(sql: str) -> str:
    return f"Here it is.\n```sql\n{sql}\n```"


@pytest.mark.parametrize("kind", REFUSED)
def test_only_reading_is_allowed(env: SQLEnv, sample: Path, kind: str) -> None:
    before = contents(sample)
    folder = env.database("library").parent
    sql = REFUSED[kind].replace("{folder}", str(folder))
    with pytest.raises(QueryFailed):
        env.runner.run(env.database("library"), sql)
    assert env.evaluate(answer(sql))[1] == 0
    assert contents(sample) == before
    assert env.evaluate(answer(env.get_ground_truth()))[1] == 1


@pytest.mark.parametrize("kind", UNBOUNDED)
def test_time_and_memory_are_bounded(env: SQLEnv, sample: Path, kind: str) -> None:
    before, memory = contents(sample), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    _, reward = env.evaluate(answer(UNBOUNDED[kind]))
    assert reward == 0
    assert time.monotonic() - started < DEADLINE + SLACK
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 100_000  # kB
    assert contents(sample) == before
    assert env.evaluate(answer(env.get_ground_truth()))[1] == 1


def test_memory_is_bounded_before_the_deadline(env: SQLEnv) -> None:
    runner = SQLRunner(seconds=20, memory=256 * 2**20)
    for sql in ("SELECT zeroblob(400000000)", UNBOUNDED["many huge values"], UNBOUNDED["huge replace"]):
        with pytest.raises(QueryFailed, match="memory|too big"):
            runner.run(env.database("library"), sql)
    runner.close()


def test_results_are_capped(env: SQLEnv) -> None:
    runner = SQLRunner(max_rows=50, max_bytes=2_000)
    database = env.database("library")
    for sql, message in (
        ("SELECT loan_id FROM loan", "50 distinct rows"),
        ("SELECT hex(zeroblob(5000))", "2000 bytes"),
    ):
        with pytest.raises(QueryFailed, match=message):
            runner.run(database, sql)
    assert len(runner.run(database, "SELECT loan_id FROM loan LIMIT 50")) == 50
    assert runner.run(database, "SELECT 1 FROM loan a, loan b") == {(1,)}  # 6,400 equal rows are one


def test_nothing_appears_beside_a_database_in_wal_mode(tmp_path: Path) -> None:
    database = tmp_path / "wal.sqlite"
    connection = sqlite3.connect(database)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)")
    connection.close()
    before = contents(tmp_path)
    assert list(before) == ["wal.sqlite"]
    assert SQLRunner().run(database, "SELECT a FROM t") == {(1,), (2,)}
    assert contents(tmp_path) == before


def test_values_come_back_as_they_are(env: SQLEnv, tmp_path: Path) -> None:
    database = tmp_path / "odd ?#%.sqlite"
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE t(a)")
    values = [None, 0, -(2**63), 1.5, float("inf"), "", "naïve ☃ \u2028 \n", b"\x00\xff"]
    connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
    connection.execute("INSERT INTO t VALUES (CAST(x'66ff67' AS TEXT))")  # not UTF-8
    connection.commit()
    connection.close()
    assert env.runner.run(database, "SELECT a FROM t") == {(value,) for value in [*values, "f\udcffg"]}
    assert env.runner.run(database, "SELECT 1") == {(1.0,)} != env.runner.run(database, "SELECT '1'")


def test_threads_share_a_runner_and_a_dead_child_is_replaced(env: SQLEnv) -> None:
    runner, database = SQLRunner(seconds=DEADLINE), env.database("library")
    found: dict[int, set] = {}

    def ask(number: int) -> None:
        found[number] = runner.run(database, f"SELECT {number}")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: {(number,)} for number in range(20)}
    for _ in range(2):
        with pytest.raises(QueryFailed, match="deadline"):
            runner.run(database, UNBOUNDED["slow instr"])
        assert runner.run(database, "SELECT 5") == {(5,)}
    runner.close()
    assert runner.run(database, "SELECT 6") == {(6,)}


def count_to(number: int) -> str:
    return f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {number}) SELECT max(n) FROM c"


def test_an_idle_child_that_was_ended_is_replaced(env: SQLEnv) -> None:
    assert env.evaluate(answer("SELECT title, pages FROM book WHERE pages >= 301"))[1] == 1
    for number in (signal.SIGKILL, signal.SIGTERM):
        worker = env.runner._worker
        worker.send_signal(number)
        worker.wait()
        assert env.evaluate(answer("SELECT title, pages FROM book WHERE pages >= 301"))[1] == 1
        assert env.runner._worker is not worker


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGALRM], ids=lambda number: number.name)
def test_a_query_that_was_ended_from_outside_is_not_a_wrong_one(
    env: SQLEnv, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, database, workers = SQLRunner(seconds=60), env.database("library"), []
    start = runner._start

    def start_and_end(victims: int) -> Callable[[], subprocess.Popen[str]]:
        def started() -> subprocess.Popen[str]:
            workers.append(start())
            if len(workers) <= victims:
                threading.Timer(0.2, workers[-1].send_signal, [number]).start()
            return workers[-1]

        return started

    monkeypatch.setattr(runner, "_start", start_and_end(1))
    assert runner.run(database, count_to(3_000_000)) == {(3_000_000,)}
    assert [worker.poll() for worker in workers] == [-number, None]
    runner.close()
    workers.clear()
    monkeypatch.setattr(runner, "_start", start_and_end(2))
    with pytest.raises(UserError, match=f"ended twice from outside, by signal {number.value}"):
        runner.run(database, UNBOUNDED["slow instr"])
    assert [worker.poll() for worker in workers] == [-number, -number]
    assert runner.run(database, "SELECT 1") == {(1,)}
    runner.close()


def test_a_query_that_crashes_its_child_is_wrong(env: SQLEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = SQLRunner(seconds=60)
    start = runner._start

    def started() -> subprocess.Popen[str]:
        worker = start()
        threading.Timer(0.2, worker.send_signal, [signal.SIGSEGV]).start()
        return worker

    monkeypatch.setattr(runner, "_start", started)
    with pytest.raises(QueryFailed, match="ended by signal 11"):
        runner.run(env.database("library"), UNBOUNDED["slow instr"])


def test_a_child_that_was_out_of_memory_is_replaced(env: SQLEnv) -> None:
    runner, database = SQLRunner(memory=256 * 2**20), env.database("library")
    runner.run(database, "SELECT 1")
    worker = runner._worker
    with pytest.raises(QueryFailed, match="memory"):
        runner.run(database, UNBOUNDED["many huge values"])
    assert worker.poll() is not None
    assert runner.run(database, "SELECT 1") == {(1,)}
    runner.close()


def lose(database: Path) -> None:
    database.unlink()


def empty(database: Path) -> None:
    database.write_bytes(b"")


def overwrite(database: Path) -> None:
    database.write_bytes(b"not a database, but long enough to be read as one" * 99)


def zero_its_pages(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[:4096] + bytes(len(content) - 4096))


def be_a_folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


@pytest.mark.parametrize("damage", [lose, empty, overwrite, zero_its_pages, be_a_folder])
def test_a_lost_database_is_no_wrong_answer(sample: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    shutil.copytree(sample / "source", tmp_path / "source")
    env = make_env("spider", write_stream(tmp_path, query="SELECT title FROM book"))
    gold, respelled = answer("SELECT title FROM book"), answer("SELECT title FROM book WHERE 1")
    assert env.evaluate(gold)[1] == env.evaluate(respelled)[1] == 1
    assert env.evaluate(answer("SELECT pages FROM book"))[1] == 0
    database = env.database("library")
    database.rename(tmp_path / "kept")
    shutil.copy(tmp_path / "kept", database)
    damage(database)
    for text in (gold, respelled, answer("SELECT pages FROM book")):
        with pytest.raises(DataError, match=r"library\.sqlite cannot be read|no such table: book"):
            env.evaluate(text)
    if not database.is_dir():
        (tmp_path / "kept").replace(database)
        assert env.evaluate(respelled)[1] == 1
    env.close()


def test_a_database_that_is_lost_while_a_query_runs_is_no_wrong_answer(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sample / "source", tmp_path / "source")
    env = make_env("spider", write_stream(tmp_path, query="SELECT title FROM book"))
    run = env.runner.run

    def lose_then_run(database: Path, sql: str, seconds: float | None = None) -> set:
        if sql == "SELECT title FROM book":  # the gold query still has its database
            return run(database, sql, seconds)
        with sqlite3.connect(database) as connection:
            connection.execute("DELETE FROM book")
        connection.close()
        return run(database, sql, seconds)

    monkeypatch.setattr(env.runner, "run", lose_then_run)
    with pytest.raises(DataError, match="changed while"):
        env.evaluate(answer("SELECT title FROM book WHERE 1"))
    env.close()


def test_a_lost_database_stops_a_run_which_then_goes_on(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample, data)
    run, calls = SQLRunner.run, []

    def lose_at_the_tenth(runner: SQLRunner, database: Path, *arguments: object) -> set:
        calls.append(database)
        if len(calls) == 10:
            database.rename(tmp_path / "away")
        return run(runner, database, *arguments)

    def start(name: str) -> int:
        arguments = ("--env", "spider", "--data", str(data), "--agent", "ground-truth", "--limit", "12")
        return main.main([*arguments, "--output_dir", str(tmp_path / name)])

    assert start("whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(SQLRunner, "run", lose_at_the_tenth)
        assert start("broken") == 1
    assert "cannot be read" in capsys.readouterr().err
    whole, broken = steps(run_folder(tmp_path / "whole")), steps(run_folder(tmp_path / "broken"))
    assert 0 < len(broken) < len(whole) == 12 and broken == whole[: len(broken)]
    (tmp_path / "away").rename(calls[9])
    assert start("broken") == 0
    assert steps(run_folder(tmp_path / "broken")) == whole


def test_a_damaged_database_is_named_whatever_the_damage(sample: Path, tmp_path: Path) -> None:
    content = (sample / "source" / "library" / "library.sqlite").read_bytes()
    copy, runner, generator = tmp_path / "copy.sqlite", SQLRunner(seconds=5), random.Random(0)
    unreadable = 0
    for _ in range(150):
        damaged = bytearray(content)
        reach = generator.choice([200, 4096, len(content)])  # the header, the schema, everything
        for _ in range(generator.choice([1, 10, 100])):
            damaged[generator.randrange(reach)] = generator.randrange(256)
        copy.write_bytes(damaged[: generator.choice([len(damaged), generator.randrange(len(damaged))])])
        try:
            assert isinstance(read_schema(copy), str)
            for table in ("book", "loan", "member"):
                with contextlib.suppress(QueryFailed):  # the table's name may be what is damaged
                    assert isinstance(runner.run(copy, f"SELECT * FROM {table}"), set)
        except DataError as error:
            assert str(error).startswith(str(copy))
            unreadable += 1
    assert 20 < unreadable < 150
    runner.close()


def test_a_message_that_is_no_text_is_the_query_s_own_fault(env: SQLEnv) -> None:
    with pytest.raises(QueryFailed, match="decode"):
        env.runner.run(env.database("library"), "SELECT json_extract('{}', CAST(x'ff' AS TEXT))")


def test_a_slow_gold_query_is_matched(env: SQLEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env.runner, "seconds", 0.05)
    monkeypatch.setitem(env.row, "query", count_to(1_000_000))
    assert env.evaluate(answer(env.get_ground_truth()))[1] == 1  # the same text is not run again
    assert env._gold.seconds > 0.05
    respelled = answer(f"{env.get_ground_truth()} WHERE 1")
    env._gold = dataclasses.replace(env._gold, seconds=60)  # as if it had taken so long
    assert env.evaluate(respelled)[1] == 1
    env._gold = dataclasses.replace(env._gold, seconds=0.001)
    assert env.evaluate(respelled)[1] == 0


KILLED_RUN = """
import sys, threading
sys.path.insert(0, {root!r})
from pathlib import Path
from env.tools.sql import SQLRunner
runner = SQLRunner(seconds=300)
runner.run(Path({database!r}), "SELECT 1")
print(runner._worker.pid, flush=True)
runner.run(Path({database!r}), {sql!r})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children on Linux only")
def test_a_killed_run_leaves_no_query_behind(env: SQLEnv) -> None:
    sql = UNBOUNDED["slow instr"]
    source = KILLED_RUN.format(root=str(REPO), database=str(env.database("library")), sql=sql)
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as run:
        worker = int(run.stdout.readline())
        time.sleep(0.3)  # into the query
        os.kill(worker, 0)
        run.kill()
    deadline = time.monotonic() + 30
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(worker)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_another_spelling_of_the_query_is_right(env: SQLEnv) -> None:
    for sql in (
        "select Title, PAGES from Book where not pages <= 300;",
        "SELECT title, pages FROM book WHERE pages > 300 ORDER BY pages DESC -- the order does not count",
        "SELECT title, pages FROM book WHERE pages > 300 UNION ALL SELECT title, pages FROM book WHERE pages > 300",
        "WITH long AS (SELECT * FROM book WHERE pages > 300) SELECT title, pages * 1.0 FROM long",
        "SELECT b.title, b.pages FROM book AS b JOIN book AS c USING (book_id) WHERE c.pages >= 301",
    ):
        assert env.evaluate(answer(sql)) == (sql, 1)
    for sql in (
        "SELECT pages, title FROM book WHERE pages > 300",
        "SELECT title FROM book WHERE pages > 300",
        "SELECT title, pages FROM book",
        "SELECT title, CAST(pages AS TEXT) FROM book WHERE pages > 300",
        "SELECT title, pages FROM book WHERE pages > 300 LIMIT 3",
        "SELECT nothing FROM nowhere",
    ):
        assert env.evaluate(answer(sql)) == (sql, 0)


def test_an_empty_result_equals_an_empty_result(env: SQLEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(env.row, "query", "SELECT title FROM book WHERE pages < 0")
    assert env.evaluate(answer("SELECT name FROM member WHERE joined < 0"))[1] == 1
    assert env.evaluate(answer("SELECT count(*) FROM book WHERE pages < 0"))[1] == 0
    assert env.evaluate(answer("SELECT title FROM boook WHERE pages < 0"))[1] == 0
    assert env.evaluate(answer("-- nothing"))[1] == 0


def test_answers_are_found_in_what_models_write(env: SQLEnv) -> None:
    sql = "SELECT 1"
    for text in (
        f"```sql\n{sql}\n```",
        f"```SQL\n{sql}\n```",
        f"First:\n```sql\nSELECT 0\n```\nBetter:\n```sql\n{sql}\n```\nThat is all.",
        f"```sql\n{sql}",
        f"```\n{sql}\n```",
        f"  {sql}\n",
        f"```python\nprint()\n```\nso\n```sql\n{sql}\n```",
    ):
        assert env.extraction(text) == sql
    for text in ("", "I do not know.", "```\nDROP TABLE book\n```", "```sql\n```", "The SELECT statement is hard."):
        assert env.evaluate(text) == (None, 0)
    assert env.extraction(env.format_answer("WITH a AS (SELECT 1) SELECT * FROM a")).startswith("WITH a")


def test_any_text_is_scored(env: SQLEnv) -> None:
    for text in (
        "```",
        "```sql",
        "\0",
        "\ud800",
        "SELECT \ud800",
        "WITH " * 10_000,
        "`" * 10_001,
        "select '",
        "SELECT {x}",
    ):
        assert env.evaluate(text)[1] == 0


@pytest.mark.parametrize("task", ["spider", "bird"])
def test_samples(task: str, tmp_path: Path) -> None:
    shipped = REPO / "data" / task / "sample"
    folder = make_sample(task, tmp_path).parent
    assert contents(folder) == contents(shipped)
    assert all(path.stat().st_size < 100_000 for path in shipped.rglob("*.sqlite"))
    env = make_env(task, "sample")
    assert len(env) >= 120 and env.data_file.origin == "sample"
    questions, empty, wrong = set(), 0, 0
    gold = [row[env.gold_field] for row in env.dataset]
    for number in range(len(env)):
        questions.add(env.observe())
        assert env.evaluate(env.format_answer(env.get_ground_truth())) == (gold[number], 1)
        assert env.evaluate("") == (None, 0)
        empty += env.evaluate(answer("SELECT 1 WHERE 0"))[1]
        wrong += env.evaluate(answer(gold[number - 1]))[1] if gold[number - 1] != gold[number] else 0
        env.step()
    assert len(questions) == len(env)
    assert empty == 0 and wrong <= len(env) // 50


def test_prompts_show_schema_question_and_cases_but_not_the_answer(sample: Path) -> None:
    spider, bird = make_env("spider", str(sample)), make_env("bird", "sample")
    assert bird.observe() == f"{bird.row['task']}\nEvidence: {bird.row['evidence']}"
    for env in (spider, bird):
        schema = read_schema(env.database(env.row["db_id"]))
        assert schema.count("CREATE TABLE") >= 3
        cases = [{"task": "How many {braces}?", "answer": "SELECT '{}'", "reward": 1}]
        for prompt in (
            env.get_zero_shot_prompt(env.observe()),
            env.get_case_based_prompt(env.observe(), cases),
            env.get_case_based_prompt_reflexion(env.observe(), cases),
        ):
            assert schema in prompt and prompt.count(env.observe()) == 1
            assert env.get_ground_truth() not in prompt
        assert "How many {braces}?" in prompt and "```sql\nSELECT '{}'\n```" in prompt


def write_stream(folder: Path, **row: str) -> str:
    line = json.dumps({"task": "q", "db_id": "library", "query": "SELECT 1"} | row)
    (folder / "spider.jsonl").write_text(line + "\n", encoding="utf-8")
    return str(folder)


def test_bad_data_is_named(sample: Path, tmp_path: Path) -> None:
    shutil.copytree(sample / "source", tmp_path / "source")
    (tmp_path / "source" / "broken").mkdir()
    (tmp_path / "source" / "broken" / "broken.sqlite").write_text(
        "not a database, but long enough to be read as one" * 9
    )
    for db_id, message in (
        ("zoo", "missing"),
        ("../source/library", "plain name"),
        ("..", "plain name"),
        ("", "plain name"),
        ("library\n", "plain name"),
        ("broken", "not a database"),
    ):
        with pytest.raises(DataError, match=f"spider.jsonl:1: .*{message}"):
            make_env("spider", write_stream(tmp_path, db_id=db_id))
    env = make_env("spider", write_stream(tmp_path, query="SELECT title FROM nowhere"))
    with pytest.raises(DataError, match="nowhere.* fails: no such table"):
        env.evaluate(answer("SELECT 1"))


@pytest.mark.skipif(not SPIDER.is_dir(), reason=f"no real Spider data at {SPIDER}")
def test_gold_queries_of_the_real_data_score_1(tmp_path: Path) -> None:
    (tmp_path / "source").symlink_to(SPIDER / "database")
    rows = json.loads((SPIDER / "dev.json").read_text(encoding="utf-8"))
    with (tmp_path / "spider.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            print(json.dumps({"task": row["question"], "db_id": row["db_id"], "query": row["query"]}), file=file)
    before = contents(SPIDER / "database")
    env = make_env("spider", str(tmp_path))
    assert len(env) == 972
    right = rejected = empty = 0
    for _ in range(len(env)):
        right += env.evaluate(env.format_answer(env.get_ground_truth()))[1]
        rejected += 1 - env.evaluate(answer("SELECT 'nothing like it'"))[1]
        empty += env.evaluate(answer("SELECT 1 WHERE 0"))[1]
        env.step()
    assert right == rejected == 972
    assert empty == 49  # these gold queries give no rows, so any query without rows is right
    assert contents(SPIDER / "database") == before
