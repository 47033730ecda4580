"""The endpoint's command line: what it refuses, the README's example, and a run played through it again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run_cli

from env import ENV_DICT, find_env
from errors import UsageError
from helpers.runs import run_folder
from serve.chat import read_template
from serve.cli import config_of, make_task, parse

SERVED = {"banking77", "ddxplus", "lfd", "rca"}  # among others


def refuses(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        own, rest = parse(list(words))
        make_task(config_of(own, rest), own.template)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--host 0.0.0.0", "--api_key"),
        ("--port 70000", "65535"),
        ("--holdout 1", "below 1"),
        ("--rate 0", "at least 1"),
        ("--max_body 0", "at least 1"),
        ("--api_key=", "empty"),
        ("--query_template $question", "$query"),
        ("--agent self-refine", "cbr"),
        ("--agent cbrgt", "these can"),
        ("--agent mam-stream-icl --llms embedded-reader", "these can"),
        ("--seed -1", "five runs"),
        ("--env alfworld", "turn by turn"),
        ("--env spider", "more than the query"),
        ("--env banking77 --template x.yaml", "drop one"),
        ("--bank b.sqlite --tenant_header X-Tenant", "of its own"),
        ("--comk 0", "at least 1"),
        ("--hoost x", "unrecognized"),
    ],
)
def test_refused(words: str, says: str) -> None:
    assert says in refuses(*words.split())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "case: 3",
        "case: '{query}'",
        "message: '{cases} {query'",
        "other: x",
        "a: [",
        "case: '{query} {answer} {x}'",
    ],
)
def test_templates_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(str(path))):
        read_template(path)


def test_template_says_how_cases_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text('case: "Q: {query} A: {answer}"\nmessage: "{cases}\\nNow: {query}"\n')
    own, rest = parse(["--template", str(path)])
    task = make_task(config_of(own, rest), own.template)
    assert task.get_zero_shot_prompt("why?") == "why?"
    case = {"id": 1, "task": "how {so}?", "answer": "like that", "reward": 1}
    assert task.get_case_based_prompt("why {x}?", [case]) == "Q: how {so}? A: like that\nNow: why {x}?"


def test_tasks_that_need_no_more_than_the_query_can_be_served() -> None:
    fits = set()
    for name in ENV_DICT:
        if not find_env(name).single_turn:
            continue
        try:
            own, rest = parse(["--env", name])
            make_task(config_of(own, rest), None)
            fits.add(name)
        except UsageError as error:
            assert "cannot be served" in str(error)
    assert fits >= SERVED and not fits & {"spider", "bird", "cosql", "hotpotqa", "ds1000"}


def test_printed_example_learns(tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(# try_endpoint\.py\n.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    rows = (ROOT / "data/banking77/sample/banking77.jsonl").read_text("utf-8").splitlines(keepends=True)[:200]
    folder = tmp_path / "data/banking77/sample"
    folder.mkdir(parents=True)
    (folder / "banking77.jsonl").write_text("".join(rows), encoding="utf-8")
    command = [
        sys.executable,
        str(ROOT / "scripts/serve.py"),
        "--env",
        "banking77",
        "--bandit",
        "Pretrained",
        "--port",
        "0",
    ]
    child = subprocess.Popen([*command, "--output_dir", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        address = child.stdout.readline().strip()
        script = script.replace("http://127.0.0.1:8080", address)
        said = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=200)
        first, last = map(int, re.findall(r": (\d+)", said.stdout))
        assert last > first + 10, said.stdout + said.stderr
        child.terminate()
        assert child.wait(60) == 0
    finally:
        child.kill()
    for script in ("report.py", "bank.py inspect"):
        name, *words = script.split()
        command = [sys.executable, str(ROOT / "scripts" / name), *words, str(run_folder(tmp_path))]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
        assert said.returncode == 0, said.stderr


def test_replayed_run_chooses_the_same_cases(tmp_path: Path) -> None:
    options = (
        "--env",
        "banking77",
        "--data",
        "sample",
        "--limit",
        40,
        "--bandit",
        "NeuralLinLogUCB",
        "--batch_size",
        8,
    )
    assert run_cli(*options, "--output_dir", tmp_path).returncode == 0
    command = [sys.executable, str(ROOT / "scripts/serve.py"), "--replay", str(run_folder(tmp_path))]
    said = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert said.returncode == 0 and "40 steps, 0 with other cases" in said.stderr, said.stderr
    nothing = subprocess.run([*command[:-1], str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert nothing.returncode == 1 and "no run here" in nothing.stderr
