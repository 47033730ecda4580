"""A run folder that is damaged in any way is left out by name in one line, and the rest is reported."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import UserError
from helpers.planted_runs import plant_run
from report import cli
from report.folders import read_run_folder, read_runs
from report.page import write_page
from report.runs import group
from report.single import print_run
from report.summaries import summarize, summary_table
from report.tables import stream_table
from runs import load_runs
from runs.prices import Prices
from runs.reader import check_record, iterate_steps, last_step, read_config, read_run, read_summary, whole_steps

GOOD = ("--agent", "zero-shot")
DEEP = '{"a": ' * 5_000 + "1" + "}" * 5_000
BOMB = "identity: &a [x, x]\n" + "\n".join(f"b{i}: &b{i} [{', '.join(['*a'] * 9)}]" for i in range(9)) + "\n"
VALUES: list[Any] = [
    *(None, True, -1, 2, 0.5, 10**400, float("nan"), float("inf"), "x", "", "a\x00b", "\ud800", "$a$ $b$"),
    *([], [1], {}, {"a": 1}, [{"id": "x"}], [None], json.loads('{"a": ' * 300 + "1" + "}" * 300)),
]
# the profile is deterministic: the same cases each time
REPRODUCIBLE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, Path]:
    """(folder of runs, one of its runs, which has everything that a record may hold); the other run is whole."""
    root = tmp_path / "results"
    plant_run(root, [1, 0], *GOOD)
    folder = plant_run(root, [1, 0, 1], *GOOD, "--seed", 1, cases=[[], [1], [1]], sha256="b" * 64)
    records = list(iterate_steps(folder / "steps.jsonl"))
    more = {"env_seconds": 0.1, "finish_reason": "stop", "prompt_sha256": "0" * 64, "turns": [{"reply": "x"}]}
    write_steps(folder, [record | more for record in records])
    return root, folder


def write_steps(folder: Path, records: list[Any]) -> None:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "steps.jsonl").write_text(lines, encoding="utf-8")


def damage(folder: Path, name: str, path: list[str | int], value: Any) -> None:
    """Put `value` into the file `name` where `path` leads; `...` deletes what is there."""
    file = folder / name
    text = file.read_text(encoding="utf-8")
    if name == "steps.jsonl":
        whole: Any = list(iterate_steps(file))
    else:
        whole = yaml.safe_load(text) if name == "config.yaml" else json.loads(text)
    holder = whole
    for key in path[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = copy.deepcopy(value)
    if name == "steps.jsonl":
        write_steps(folder, whole)
    elif name == "config.yaml":
        file.write_text(yaml.dump(whole, allow_unicode=False, Dumper=NoAliases), encoding="utf-8")
    else:
        file.write_text(json.dumps(whole), encoding="utf-8")


class NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def report_all(root: Path, folder: Path) -> list[str]:
    """Read, tabulate and page all runs, and print the one; returns what was told. Only a UserError may come out."""
    told: list[str] = []
    runs = read_runs(root, told.append)
    streams = group(runs)
    for stream in streams:
        stream_table(stream, Prices()).markdown()
        stream_table(stream, Prices()).latex()
    for summary in summarize(streams):
        summary_table(summary).csv()
    write_page(root.parent / "report.html", streams, steps="all")
    try:
        run = read_run_folder(folder)
        if run is not None:
            print_run(run, Prices())
    except UserError:
        pass
    load_runs(root, lambda line: None)
    read_run(folder)
    assert any(run.folder != folder for run in runs), "the whole run is always there"
    for line in told:
        assert "\n" not in line
    if not any(run.folder == folder for run in runs):
        assert any(line.startswith(f"left out: {folder}") for line in told), "it was left out without a word"
    return told


RECORD_KEYS = ["step", "task", "cases", "output", "answer", "reward", "success_rate", "regret", "usage", "llm_seconds"]
RECORD_KEYS += ["agent_seconds", "cached", "metrics", "env_seconds", "finish_reason", "prompt_sha256", "turns"]
PLACES = [
    *(("steps.jsonl", [1, key]) for key in RECORD_KEYS),
    *(("steps.jsonl", [1, *keys]) for keys in (["usage", "prompt_tokens"], ["cases", 0, "id"], ["cases", 0, "score"])),
    ("steps.jsonl", [1]),
    *(("config.yaml", [key]) for key in ("identity", "options", "data", "versions", "code")),
    *(("config.yaml", ["identity", key]) for key in ("env", "agent", "llm", "seed", "limit", "shuffle", "data")),
    *(("config.yaml", ["identity", key]) for key in ("data_sha256", "temperature", "serving_mode")),
    *(("config.yaml", ["data", key]) for key in ("path", "origin", "sha256", "rows")),
    *(("config.yaml", ["options", key]) for key in ("env", "agent", "limit", "shuffle", "data", "seed", "llm")),
    *(("summary.json", [key]) for key in ("steps", "success_rate", "bank_size", "regret")),
]


@given(place=st.sampled_from(PLACES), value=st.sampled_from([*VALUES, ...]))
@REPRODUCIBLE
def test_a_value_of_another_type(
    planted: tuple[Path, Path], place: tuple[str, list[str | int]], value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = planted
    saved = {path: path.read_bytes() for path in folder.iterdir() if path.suffix}
    try:
        damage(folder, *place, value)
        report_all(root, folder)
    finally:
        for path, content in saved.items():
            path.write_bytes(content)
    capsys.readouterr()


@given(
    name=st.sampled_from(["config.yaml", "steps.jsonl", "summary.json"]),
    cut=st.integers(0, 2_000),
    noise=st.binary(max_size=20),
)
@REPRODUCIBLE
def test_bytes_that_are_lost_or_overwritten(
    planted: tuple[Path, Path], name: str, cut: int, noise: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = planted
    path = folder / name
    raw = path.read_bytes()
    at = cut % len(raw)
    try:
        path.write_bytes(raw[:at] + noise + raw[at + len(noise) :] if noise else raw[:at])
        report_all(root, folder)
    finally:
        path.write_bytes(raw)
    capsys.readouterr()


def overwrite(name: str, text: str | bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


NAMED: dict[str, tuple[Callable[[Path], object], str]] = {
    "identity null": (lambda folder: damage(folder, "config.yaml", ["identity"], None), "it has no identity"),
    "llm a list": (lambda folder: damage(folder, "config.yaml", ["identity", "llm"], ["m"]), "llm is not a name"),
    "origin a list": (lambda folder: damage(folder, "config.yaml", ["data", "origin"], ["x"]), "origin is not a text"),
    "no data": (lambda folder: damage(folder, "config.yaml", ["data"], ...), "what data the run is on"),
    "reward a list": (lambda folder: damage(folder, "steps.jsonl", [1, "reward"], [1]), "steps.jsonl:2: damaged"),
    "reward 9": (lambda folder: damage(folder, "steps.jsonl", [1, "reward"], 9), "reward is not 0, 1 or null"),
    "reward null": (lambda folder: damage(folder, "steps.jsonl", [1, "reward"], None), "why the step was skipped"),
    "no output": (
        lambda folder: damage(folder, "steps.jsonl", [2, "output"], ...),
        "steps.jsonl:3: damaged (no output",
    ),
    "usage nan": (lambda f: damage(f, "steps.jsonl", [0, "usage", "prompt_tokens"], float("nan")), "usage is not"),
    "a deep line": (overwrite("steps.jsonl", f'{{"step": 1, "x": {DEEP}}}\n'), "nested too deeply"),
    "a deep config": (overwrite("config.yaml", "a: " + "[" * 100_000), "nested too deeply"),
    "an alias bomb": (overwrite("config.yaml", BOMB), "it has aliases"),
    "a large config": (overwrite("config.yaml", b"a" * 5_000_000), "larger than"),
    "a summary of another length": (overwrite("summary.json", '{"steps": 7}'), "counts 7 steps"),
    "a deep summary": (overwrite("summary.json", DEEP), "nested too deeply"),
    "no config": (lambda folder: (folder / "config.yaml").unlink(), "no config.yaml beside it"),
    "steps a folder": (lambda f: ((f / "steps.jsonl").unlink(), (f / "steps.jsonl").mkdir()), "cannot be read"),
    "too many steps": (lambda folder: damage(folder, "config.yaml", ["data", "rows"], 2), "3 steps of a stream of 2"),
}


@pytest.mark.parametrize("what", NAMED)
def test_what_is_said_of_a_damaged_run(
    planted: tuple[Path, Path], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = planted
    harm, words = NAMED[what]
    harm(folder)
    told = report_all(root, folder)
    assert len(told) == 2 and words in told[0] and told[1] == "1 damaged run folder left out"
    assert cli.main([str(root)]) == 0
    error = capsys.readouterr().err
    assert error.startswith(f"left out: {folder}") and words in error
    assert str(folder.name) in (root / "report" / "report.md").read_text(encoding="utf-8")
    if what != "no config":  # then it is no run folder that one could name
        assert cli.main([str(folder)]) == 1
        assert capsys.readouterr().err.startswith(f"error: {folder}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_log_is_left_out(planted: tuple[Path, Path]) -> None:
    root, folder = planted
    (folder / "steps.jsonl").chmod(0)
    assert "cannot be read (Permission denied)" in report_all(root, folder)[0]


def test_the_report_is_not_read_back_as_runs(planted: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    root, _ = planted
    assert cli.main([str(root)]) == cli.main([str(root)]) == 0
    assert "left out" not in capsys.readouterr().err and (root / "report" / "report.html").is_file()


def test_what_the_reader_gives(planted: tuple[Path, Path]) -> None:
    _, folder = planted
    path = folder / "steps.jsonl"
    lines = list(whole_steps(path))
    records, length = [record for record, _ in lines], lines[-1][1]
    assert [record["step"] for record in records] == [1, 2, 3] and length == path.stat().st_size
    with path.open("ab") as file:
        file.write('{"step": 4, "task": "é'.encode()[:-1])
    assert list(whole_steps(path)) == lines
    assert list(whole_steps(folder / "none.jsonl")) == [] and read_summary(folder / "none.json") is None
    assert last_step(path, 0) == (records[2], length) and last_step(path, length) == (None, length)
    assert last_step(folder / "none.jsonl", 5) == (None, 5)
    for number, record in enumerate(records, 1):
        check_record(record, number)
    with pytest.raises(ValueError, match="step 2 where 1 should be"):
        check_record(records[1], 1)
    assert read_config(folder / "config.yaml")["identity"]["seed"] == 1
    shutil.rmtree(folder)
    assert read_run(folder) is None


def test_runs_as_data_frames(planted: tuple[Path, Path]) -> None:
    root, folder = planted
    runs, steps = load_runs(root)
    assert runs["seed"].tolist() == [0, 1] and runs["success_rate"].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert runs["finished"].all() and runs["sha256"].nunique() == 2
    mine = steps[steps["folder"] == str(folder)]
    assert mine["reward"].tolist() == [1, 0, 1] and mine["prompt_tokens"].sum() == 300
    assert mine.groupby("folder")["reward"].mean().tolist() == pytest.approx([2 / 3])
    (folder / "summary.json").write_text("[]", encoding="utf-8")
    with pytest.warns(UserWarning, match="left out: .*summary.json: damaged"):
        runs, _ = load_runs(root)
    assert len(runs) == 1
