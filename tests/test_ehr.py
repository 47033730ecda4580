"""The ehr task: its tools, its scoring, its dialogue, its sample, and runs of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, run_cli

import main
from agent import make_agent
from clients.embedded.scripts import exchange_values, write_script
from clients.scripted import ScriptedClient
from config import Config
from env import make_env
from env.ehr import EHR, TRIES, atoms
from env.tools import ehr_tables
from env.tools.ehr_tools import calendar, filter_rows, get_value, tools
from errors import DataError, LLMError, UsageError
from helpers.fake_server import serving
from helpers.runs import run_folder, steps
from llm import LLM
from scripts.make_samples import make_sample

SAMPLE = ROOT / "data" / "ehr" / "sample"


@pytest.fixture(scope="module")
def env() -> Iterator[EHR]:
    """The sample, unshuffled, with its sandbox."""
    env = make_env("ehr", "sample")
    yield env
    env.close()


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "SUBJECT_ID": [1, 1, 2, 3, 3],
            "HADM_ID": [10.0, 11.0, None, 13.0, 14.0],
            "DRUG": ["heparin", "aspirin", "heparin", None, "insulin || fast, 5%"],
            "STARTDATE": [f"{day} 00:00:00" for day in "2101-01-05 2103-06-01 2102-01-01 2104-01-01".split()] + [None],
        }
    )


def block(script: str) -> str:
    return f"Here it is:\n```python\n{script}\n```"


def test_conditions(table: pd.DataFrame) -> None:
    def rows(conditions: str) -> list[int]:
        return filter_rows(table, conditions).index.tolist()

    assert rows("SUBJECT_ID=1") == rows("subject_id = '1'") == rows("SUBJECT_ID == 1.0") == [0, 1]
    assert rows("DRUG=heparin") == rows('DRUG="heparin"') == [0, 2]
    assert rows("DRUG=heparin||SUBJECT_ID=1") == rows("SUBJECT_ID=1 || DRUG=heparin") == [0]
    assert rows("DRUG=aspirin||SUBJECT_ID=2") == []  # both values occur, never together
    assert rows("SUBJECT_ID>1") == rows("SUBJECT_ID>=2") == [2, 3, 4]
    assert rows("SUBJECT_ID<2") == rows("SUBJECT_ID<=1") == [0, 1]
    assert rows("HADM_ID<13") == [0, 1] and rows("HADM_ID>=13") == [3, 4]
    assert rows("STARTDATE>=2102-01-01") == [1, 2, 3] and rows("STARTDATE<2102-01-01") == [0]
    assert rows("max(STARTDATE)") == [3] and rows("MIN(startdate)") == [0]
    assert rows("SUBJECT_ID=1||max(STARTDATE)") == [1] and rows("max(STARTDATE)||SUBJECT_ID=1") == []
    assert rows("SUBJECT_ID in [1, 3]") == rows("SUBJECT_ID in (1,3)") == rows("SUBJECT_ID IN 1, 3") == [0, 1, 3, 4]
    assert rows(f"DRUG in {['aspirin', 'insulin || fast, 5%', 'none']}".replace("||", "|")) == [1]
    assert rows("SUBJECT_ID=1||DRUG=aspirin||SUBJECT_ID=2||max(HADM_ID)") == []


def test_a_mistake_in_a_condition_says_how_to_mend_it(table: pd.DataFrame) -> None:
    labels = [*(f"test {number}" for number in range(40)), "creatinine"]
    many = pd.DataFrame({"LABEL": labels, "ITEMID": range(0, 410, 10)})
    for conditions, words in (
        ("LABEL=creatinin", "creatinine"),
        ("LABEL=test 7 ", None),
        ("ITEMID=101", "100, 110, 90, 120, 80"),
        ("ITEMID in [101, 102]", "100, 110, 90"),
        ("ITEMID=glucose", "no value 'glucose'"),
        ("ITEMID>high", "not one"),
        ("VALUE=1", "the columns of this table are LABEL, ITEMID"),
        ("creatinine", "COLUMN=value"),
        ("ITEMID != 3", "COLUMN=value"),
        ("", "COLUMN=value"),
    ):
        if words is None:
            assert len(filter_rows(many, conditions)) == 1
            continue
        with pytest.raises(ValueError, match=words.replace("(", r"\(")) as error:
            filter_rows(many, conditions)
        if "the 5 nearest" in str(error.value):
            assert str(error.value).rpartition(": ")[2].count(",") == 4
    with pytest.raises(ValueError, match="5 nearest"):
        filter_rows(many, "LABEL=creatinin")
    assert len(filter_rows(table[:0], "SUBJECT_ID=9||DRUG=x")) == 0  # an empty table has no values to name
    with pytest.raises(TypeError, match="takes a table"):
        filter_rows("patients", "SUBJECT_ID=1")


def test_values(table: pd.DataFrame) -> None:
    ones = filter_rows(table, "SUBJECT_ID=1")
    assert get_value(ones, "SUBJECT_ID") == 1 and get_value(ones, "DRUG") == "heparin, aspirin"
    assert get_value(table, "hadm_id, MAX") == 14 and get_value(table, "HADM_ID,min") == 10
    assert get_value(table, "HADM_ID, sum") == 48 and get_value(table, "HADM_ID, mean") == 12
    assert get_value(table, "DRUG, list") == ["heparin", "aspirin", "heparin", "insulin || fast, 5%"]
    assert get_value(table, "STARTDATE, max") == "2104-01-01 00:00:00"
    assert get_value(pd.DataFrame({"DOSE": ["1", "2.5"]}), "DOSE, sum") == 3.5
    assert get_value(table[:0], "DRUG, list") == []
    for given, argument, words in (
        (table, "DOSE", "there is no column 'DOSE'"),
        (table, "HADM_ID, median", "mean, max, min, sum, list"),
        (table, "DRUG, mean", "has no mean"),
        (table[:0], "DRUG", "no value"),
        (table[:0], "HADM_ID, sum", "no value"),
    ):
        with pytest.raises(ValueError, match=words):
            get_value(given, argument)


def test_calendar() -> None:
    assert calendar("0 day") == "2105-12-31 23:59:00"
    assert calendar("-1 year") == "2104-12-31 23:59:00"
    assert calendar("-2 month") == calendar(" -2 months ") == "2105-10-31 23:59:00"
    assert calendar("-1 year, +3 hour") == "2105-01-01 02:59:00"
    with pytest.raises(ValueError, match="-1 year"):
        calendar("last year")


def test_tables_and_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(
        ROOT / "env" / "tools"
    )  # as in the sandbox, where the tools find the authorizer beside them
    (tmp_path / "D_LABITEMS.csv").write_text('"ROW_ID","itemid","ICD9_CODE"\n1,50,0389\n2,51,\n')
    ehr_tables.build_database({"d_labitems": tmp_path / "D_LABITEMS.csv"}, tmp_path / ehr_tables.DATABASE)
    names = tools(tmp_path)
    loaded = names["LoadDB"](" d_labitems ")
    assert loaded.columns.tolist() == ["ROW_ID", "ITEMID", "ICD9_CODE"] and loaded["ICD9_CODE"].iloc[0] == "0389"
    with pytest.raises(ValueError, match="no table 'labs'; the tables are d_labitems"):
        names["LoadDB"]("labs")
    query = names["SQLInterpreter"]
    assert query("SELECT itemid, ICD9_CODE FROM d_labitems ORDER BY 1;") == [(50, "0389"), (51, None)]
    for sql in ("DELETE FROM d_labitems", "SELECT x FROM y", f"ATTACH '{tmp_path}/x' AS x", "SELECT 1; SELECT 2", ""):
        with pytest.raises(ValueError, match="the SQL query failed: "):
            query(sql)
    with pytest.raises(ValueError, match="100000 rows"):
        query("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c")


def test_answers_that_say_the_same() -> None:
    same = (
        (True, 1, "True", "true", 1.0, "1.00", [True], [(1,)], 1.001),
        (False, 0, "False", "0", -0.001),
        (3.14159, 3.14, "3.141", ["3.140"]),
        ("a, b", ["b", "a"], [("a",), ("b",)], "['a', 'b']", "b ,a"),
        ("fever, unspecified", ["fever, unspecified"], " fever, unspecified "),
        ("2105-12-31 23:59:00", [["2105-12-31 23:59:00"]]),
        (10**400, str(10**400)),
    )
    for group in same:
        assert len({tuple(atoms(list(v) if isinstance(v, tuple) else v)) for v in map(plain, group)}) == 1, group
    firsts = [tuple(atoms(plain(group[0]))) for group in same]
    assert len(set(firsts)) == len(same)
    for one, other in (("a", "A"), (1, "one"), (3.14, 3.15), (["a", "a"], ["a"]), ("1", ""), (None, []), ("nan", 0)):
        assert atoms(one) != atoms(other)
    for odd in ("[", "[" * 5_000, "1e999", "1e9999999", "inf", "\ud800", ",,,", "[1, [2", "--1", "٣"):
        assert isinstance(atoms(odd), list)


def plain(value: object) -> object:
    """As an answer leaves the sandbox: without tuples."""
    return json.loads(json.dumps(value))


def test_the_sample_is_what_its_script_makes(tmp_path: Path) -> None:
    made = make_sample("ehr", tmp_path).parent

    def contents(folder: Path) -> dict[str, str]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != "facts.yaml")
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    assert contents(made) == contents(SAMPLE)
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 2_000_000
    rows = [json.loads(line) for line in (SAMPLE / "ehr.jsonl").read_text().splitlines()]
    assert 60 <= len(rows) <= 150 and len({row["task"] for row in rows}) == len(rows)
    assert {type(row["label"]) for row in rows} == {int, str, float, bool, list}
    assert len({json.dumps(row["label"]) for row in rows}) > len(rows) / 2
    assert len(pd.read_csv(SAMPLE / "source" / "PATIENTS.csv")) == 100


def test_reference_scripts_are_right_and_others_are_not(env: EHR) -> None:
    right, wrong = [], []
    env.reset()
    scripts = [row["script"] for row in env.dataset]
    for number in range(len(env)):
        env.index = number
        right.append(env.evaluate(env.format_answer(env.get_ground_truth())))
        wrong.append(env.evaluate(env.format_answer(scripts[number - 1]))[1])
        assert env.evaluate("") == (None, 0) and env.evaluate("I do not know.") == (None, 0)
    env.reset()
    assert right == [(script, 1) for script in scripts]
    assert sum(wrong) < len(env) / 10  # neighbours share an answer now and then: yes, a gender, a small number


def test_the_dialogue_shows_each_error_and_ends_at_the_fifth(env: EHR) -> None:
    env.reset()
    seen: list[list[dict]] = []

    def play(*answers: str) -> str:
        seen.clear()
        remaining = iter(answers)

        class Client(ScriptedClient):
            def complete(self, request: dict) -> object:
                seen.append(request["messages"])
                return super().complete(request)

        return env.interact("the prompt", LLM(Client(remaining)))

    gold = block(env.get_ground_truth())
    missing, no_age = block("answer = missing"), block("answer = GetValue(LoadDB('patients'), 'AGE')")
    text = play("I think it is 4.", missing, no_age, gold)
    assert text == gold and env.evaluate(text) == (env.get_ground_truth(), 1)
    errors = [turn["error"] for turn in env.turns]
    assert "no script" in errors[0] and "NameError" in errors[1] and "no column 'AGE'" in errors[2]
    assert errors[3] is None
    assert [turn["output"] for turn in env.turns][-1] == gold and env.turns[-1]["answer"] is not None
    assert [len(messages) for messages in seen] == [1, 3, 3, 3]
    assert all(messages[0] == {"role": "user", "content": "the prompt"} for messages in seen)
    assert seen[2][1]["content"] == block("answer = missing") and errors[1] in seen[2][2]["content"]
    assert "in line 1: answer = missing" in errors[1]
    json.dumps(env.turns, allow_nan=False)

    failing = [block(f"answer = {number} / 0") for number in range(9)]
    text = play(*failing)
    assert len(seen) == len(env.turns) == TRIES and text == failing[TRIES - 1]
    assert env.evaluate(text) == (f"answer = {TRIES - 1} / 0", 0)
    with pytest.raises(LLMError):
        play(block("answer = missing"))
    assert env.evaluate(play(block("answer = 'no such thing'")))[1] == 0 and len(env.turns) == 1


def test_prompts_tell_of_tables_and_tools_but_not_of_answers(env: EHR) -> None:
    env.reset()
    cases = [{"task": "How many {braces}?", "answer": "answer = f'{1}'", "reward": 1}]
    for number in range(len(env)):
        env.index = number
        for prompt in (env.get_zero_shot_prompt(env.observe()), env.get_case_based_prompt(env.observe(), cases)):
            assert env.get_ground_truth() not in prompt and prompt.count(env.observe()) == 1
    env.reset()
    for table in ehr_tables.TABLES:
        assert f"- {table}: ROW_ID, " in prompt
    for name in ("LoadDB(", "FilterDB(", "GetValue(", "SQLInterpreter(", "Calendar(", "```python", "`answer`"):
        assert name in prompt
    assert "```python\nanswer = f'{1}'\n```" in prompt and "How many {braces}?" in prompt
    assert "was wrong" in env.get_case_based_prompt_reflexion("x", [cases[0] | {"reward": 0}])


def test_the_tables_are_opened_once_for_all_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    open_path = Path.open

    def count(path: Path, *arguments: object, **options: object) -> object:
        opened.append(path)
        return open_path(path, *arguments, **options)

    env = make_env("ehr", "sample")
    monkeypatch.setattr(Path, "open", count)
    prompts = {env.get_zero_shot_prompt("What?") for _ in range(5)}
    assert len(prompts) == 1 and "- patients: ROW_ID, SUBJECT_ID" in prompts.pop()
    assert sorted(opened) == sorted(env.tables.values())  # each of the 17 once
    assert env.packages == ("pandas", "numpy")


def test_missing_and_double_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "ehr.jsonl").write_text('{"task": "What?", "label": 1}\n')
    with pytest.raises(DataError, match="17 of the 17 tables"):
        make_env("ehr", str(tmp_path))
    shutil.copytree(SAMPLE / "source", tmp_path / "source" / "mimic_iii")
    (tmp_path / "source" / "mimic_iii" / "mimic_iii.db").unlink()
    env = make_env("ehr", str(tmp_path))  # tables may lie deeper; the database is built where it is missing
    assert env.evaluate(block("answer = SQLInterpreter('SELECT count(*) = 100 FROM patients')"))[1] == 1
    assert (tmp_path / "source" / "mimic_iii.db").is_file()
    env.close()
    shutil.copy(SAMPLE / "source" / "COST.csv", tmp_path / "source" / "cost.csv")
    with pytest.raises(DataError, match="two files of the table cost"):
        make_env("ehr", str(tmp_path))
    (tmp_path / "source" / "cost.csv").unlink()
    (tmp_path / "source" / "mimic_iii" / "COST.csv").unlink()
    with pytest.raises(DataError, match=r"1 of the 17 tables \(cost\)"):
        make_env("ehr", str(tmp_path))
    (tmp_path / "ehr.jsonl").write_text('{"task": "What?", "label": " "}\n')
    with pytest.raises(DataError, match="ehr.jsonl:1: the label says nothing"):
        make_env("ehr", str(tmp_path))


FIRST_RUN = """
import sys
from pathlib import Path
from env.tools import ehr_tables
source = Path(sys.argv[1])
tables = ehr_tables.find_tables(source)
print("ready", flush=True)
sys.stdin.readline()
print(ehr_tables.find_database(source, tables).name)
"""


def test_first_runs_at_once_build_one_database(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(SAMPLE / "source", source)
    (source / ehr_tables.DATABASE).unlink()
    (source / "mimic_iii.partial").write_text("what a killed build left")
    command, pipe = [sys.executable, "-c", FIRST_RUN, str(source)], subprocess.PIPE
    runs = [subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(4)]
    assert [run.stdout.readline() for run in runs] == ["ready\n"] * 4
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    outputs = [run.communicate(timeout=60) for run in runs]
    assert outputs == [(f"{ehr_tables.DATABASE}\n", "")] * 4
    assert not list(source.glob("*.partial"))
    with contextlib.closing(sqlite3.connect(source / ehr_tables.DATABASE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == set(ehr_tables.TABLES)


def test_a_database_that_cannot_be_built_is_an_error_of_one_line(tmp_path: Path) -> None:
    tables = ehr_tables.find_tables(SAMPLE / "source")
    (tmp_path / f".{ehr_tables.DATABASE}.lock").mkdir()  # stands for a folder that cannot be written to
    with pytest.raises(DataError, match="could not be built"):
        ehr_tables.find_database(tmp_path, tables)


def test_the_reader_exchanges_values_or_says_that_it_cannot() -> None:
    old = "How many times was the lab test sodium done on patient 85508 since 2104?"
    script = "item = find('LABEL=sodium')\nanswer = len(f'SUBJECT_ID=85508||ITEMID={item}||CHARTTIME>=2104-01-01')"
    new = "How many times was the lab test urea nitrogen done on patient 1 since 2101?"
    expected = script.replace("sodium", "urea nitrogen").replace("85508", "1").replace("2104", "2101")
    assert exchange_values(script, old, new) == expected
    assert exchange_values(script, old, old) == exchange_values(script, old, old.replace(" ", "  ")) == script
    assert exchange_values(script, old, "How many times was patient 3 admitted to the hospital?") is None
    titles = ("Count the patients with pneumonia, organism nos.", "Count the patients with anemia, nos.")
    assert exchange_values("x = 'T=pneumonia, organism nos'", *titles) == "x = 'T=anemia, nos'"
    swapped = exchange_values("f(1, 2)", "Is 1 more than 2?", "Is 2 more than 1?")
    assert swapped in ("f(2, 1)", None)
    assert write_script(new, "", (old, block(script))) == f"```python\n{expected}\n```"
    assert write_script("Which drugs are there?", "- patients: SUBJECT_ID, GENDER", (old, block(script))) is None
    assert "'GENDER'" in write_script("What is the gender of patient 5?", "- patients: SUBJECT_ID, GENDER", None)


def test_a_run_continues_from_a_torn_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(name: str) -> str:
        arguments = ("--env", "ehr", "--data", "sample", "--limit", "24", "--agent", "cbr")
        assert main.main([*arguments, "--output_dir", str(tmp_path / name)]) == 0
        return capsys.readouterr().err

    assert "sandbox: " in run("whole") and "sandbox: " in run("torn")
    folder = run_folder(tmp_path / "torn")
    log = (folder / "steps.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "steps.jsonl").write_bytes(b"".join(log[:9]) + log[9][:50])
    (folder / "summary.json").unlink()
    assert "continuing at step 10" in run("torn")
    whole = steps(run_folder(tmp_path / "whole"))
    assert steps(folder) == whole and len(whole) == 24
    assert sum(step["reward"] for step in whole) > 0 and all(1 <= len(step["turns"]) <= TRIES for step in whole)
    assert any(step["cases"] for step in whole)
    assert "sandbox: " in (folder / "config.yaml").read_text()


def test_an_outage_within_a_dialogue_scores_nothing(tmp_path: Path) -> None:
    with serving(lambda prompt: block("answer = missing")) as server:
        server.fault = lambda number: None if number < 7 else (400, "no more")
        done = run_cli("--env", "ehr", "--data", "sample", "--limit", 3, "--agent", "zero-shot", "--llm", "m", "--port",
                       server.port, "--output_dir", tmp_path)  # fmt: skip
    assert done.returncode == 1 and "no more" in done.stderr
    (step,) = steps(run_folder(tmp_path))
    assert step["reward"] == 0 and len(step["turns"]) == TRIES and step["answer"] == "answer = missing"


@pytest.mark.parametrize("agent", ["cbrdiscover", "ground-truth"])
def test_single_turn_agents_are_refused(env: EHR, agent: str) -> None:
    with pytest.raises(UsageError, match="does not apply to the task ehr"):
        make_agent(Config(env="ehr", agent=agent), env, LLM(ScriptedClient([])), lambda: None)
