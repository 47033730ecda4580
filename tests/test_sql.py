"""Text-to-SQL: hostile queries are harmless, and the reward is what the results say."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from env import make_env
from env.families.sql import SQLEnv
from env.tools.sql import QueryFailed, SQLRunner, read_schema
from errors import DataError
from scripts.make_samples import make_sample

REPO = Path(__file__).resolve().parent.parent
SPIDER = REPO.parent / "shared" / "data" / "spider"
DEADLINE = 0.5
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
    assert time.monotonic() - started < DEADLINE + 1.0  # leaves a loaded machine time to start the next process
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
