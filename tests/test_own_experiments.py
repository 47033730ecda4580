"""Experiments of one's own: a description that has only what it uses, all its errors at once, a plan without a file."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import yaml

import main
from errors import UsageError, UserError
from experiments import cli
from experiments.description import EXPERIMENTS, KEPT, complete, described_by, keep, read_description
from experiments.plan import load_experiments, make_plan, with_controls
from helpers.fake_server import serving
from helpers.runs import argv, lfd_stream
from report import experiments as known
from report.cli import main as report
from report.runs import group, read_runs, select

OWN = """
figures:
  mine: {tasks: [lfd, {env: 2wiki, web_search: true}], methods: [zero-shot, cbr, cbr-LinLogUCB, close]}
  both:
    title: Two parts
    seeds: [7]
    parts:
      - {tasks: [rca], methods: [close, icrl random], llms: [local, gpt-4o]}
      - {tasks: [lfd], methods: [icrl], options: {limit: 5}}
methods:
  close: {agent: cbr, bandit: LinLogUCB, nu: 1e-2}
llms:
  local: {serving_mode: vllm, port: 8001}
"""
WRONG = """
figures:
  mine: {tasks: [ldf], methods: [cbr-LinLogUBC, close], llms: [lokal], option: {limit: 5}}
  other: {methods: [icrl], options: {limt: 5, comk: 0}}
  third: [zero-shot]
methods:
  close: {agent: cbr, nu: much, bandit: linlogucb}
  far: cbr
llms:
  local: {serving_mode: vlm}
seeds: 5
"""
MISTAKES = (
    "there is no task ldf (did you mean lfd?)",
    "figure mine: there is no method cbr-LinLogUBC (did you mean cbr-LinLogUCB?)",
    "figure mine: there is no llm lokal (did you mean local?)",
    "figure mine: there is no entry option (did you mean options?)",
    "figure other: it names no tasks; write tasks: [...]",
    "figure other: there is no option limt (did you mean limit?)",
    "figure other: --comk must be at least 1, not 0",
    "figure third: ['zero-shot'] is no figure",
    "method close: nu cannot be 'much'",
    "method close: unknown --bandit 'linlogucb'. Did you mean 'LinLogUCB'?",
    "method far: 'cbr' are no options",
    "llm local: unknown --serving_mode 'vlm'. Did you mean 'vllm'?",
    "seeds: 5 is no list of whole numbers",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    return path


def commands(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    """The command lines of a plan."""
    assert cli.main([*map(str, words), "--dry-run"]) == 0
    return [line.removeprefix("python main.py ") for line in capsys.readouterr().out.splitlines()]


def test_a_description_has_only_what_it_uses(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned = commands(capsys, "mine", "both", "--experiments", file, "--only", "task=lfd", "--seeds", "0")
    embedded = "--serving_mode embedded"
    assert planned == [
        f"--env lfd --seed 0 --agent zero-shot {embedded}",
        f"--env lfd --seed 0 --agent cbr --bandit NeuralLinLogUCB {embedded}",
        f"--env lfd --seed 0 --agent cbr --bandit LinLogUCB {embedded}",
        f"--env lfd --seed 0 --agent cbr --bandit LinLogUCB --nu 0.01 {embedded}",
        f"--env lfd --seed 0 --limit 5 --agent icrl {embedded}",
    ]
    planned = commands(capsys, "both", "--experiments", file, "--only", "task=rca")
    assert planned == [
        "--env rca --seed 7 --agent cbr --bandit LinLogUCB --nu 0.01 --llm local --serving_mode vllm --port 8001",
        "--env rca --seed 7 --agent icrl --control random --llm local --serving_mode vllm --port 8001",
        "--env rca --seed 7 --agent cbr --bandit LinLogUCB --nu 0.01 --llm gpt-4o --serving_mode openai",
        "--env rca --seed 7 --agent icrl --control random --llm gpt-4o --serving_mode openai",
    ]
    named = make_plan(load_experiments(file), ["mine"], only={"task": {"lfd"}}, seeds=[0])
    assert [run.method for run in named.runs] == ["zero-shot", "CASCADE", "LinLogUCB", "close"]


def test_every_error_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    assert cli.main(["mine", "--experiments", str(path), "--dry-run"]) == 1
    first, *others = capsys.readouterr().err.splitlines()
    assert first == f"error: --experiments {path}: {len(MISTAKES)} things are wrong"
    for mistake in MISTAKES:
        assert sum(mistake in line for line in others) == 1, mistake
    assert len(others) == len(MISTAKES)


@pytest.mark.parametrize("text, message", [
    ("methods: {}", "it has no figures"), ("[1]", "it has no figures"), ("figures: {a: {", "cannot be read"),
    ("{figures: {a: {parts: 3}}}", "figure a: its parts are no list"), ("{figures: {}, metods: {}}", "mean methods?"),
    ("{figures: {}, methods: [cbr]}", "methods is not a mapping of names"),
])  # fmt: skip
def test_a_description_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        load_experiments(tmp_path / "a.yaml")


def test_what_ships_is_right_by_the_same_rules() -> None:
    shipped = yaml.safe_load(EXPERIMENTS.read_text(encoding="utf-8"))
    completed = complete(shipped, "experiments.yaml")
    assert completed["figures"].keys() == shipped["figures"].keys()
    ours, theirs = with_controls(completed), load_experiments()
    for figure in ("3", "5", "memento"):
        planned = [make_plan(each, [figure], seeds=[0]) for each in (ours, theirs)]
        assert [run.command for run in planned[0].runs] == [run.command for run in planned[1].runs]


def test_a_plan_without_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan = ("--methods", "zero-shot,cbr-LinLogUCB,mam-cbr", "--tasks", "lfd,banking77", "--seeds", "0")
    planned = commands(capsys, *plan, "--llms", "a port=8001, o3 serving_mode=openai temperature=none", "--limit", 9)
    assert len(planned) == 2 * (2 * 2 + 1)  # several LLMs are one run of mam-cbr
    assert "--env lfd --seed 0 --limit 9 --agent zero-shot --llm a --serving_mode vllm --port 8001" in planned
    assert any("--llm o3 --serving_mode openai --temperature none" in line for line in planned)
    (both,) = [line for line in planned if "mam-cbr" in line and "lfd" in line]
    assert "--llms 'a port=8001, o3 serving_mode=openai temperature=none'" in both
    assert commands(capsys, "--methods", "cot", "--tasks", "lfd", "--seeds", 0, "--llm", "o3", "--port", 9) == [
        "--env lfd --seed 0 --agent cot --llm o3 --serving_mode vllm --port 9"
    ]
    mine = tmp_path / "mine.py"
    mine.write_text("from env.base import LabelEnv\nclass Mine(LabelEnv):\n    instruction = 'Which?'\n")
    (line,) = commands(capsys, "--methods", "icrl", "--tasks", f"{mine}:Mine", "--seeds", 0)
    assert line == f"--env {mine}:Mine --seed 0 --agent icrl --serving_mode embedded"
    for words, message in (
        (["--methods", "icrl"], "make a plan together"),
        (["3", "--methods", "icrl", "--tasks", "lfd"], "name a figure, or"),
        ([], "name a figure, or"), (["--methods", "icrll", "--tasks", "lfd"], "no method icrll (did you mean icrl?)"),
    ):  # fmt: skip
        assert cli.main([*words, "--dry-run"]) in (1, 2)
        assert message in capsys.readouterr().err


def test_a_report_knows_the_figures_of_ones_own(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(known, "_own", [])
    monkeypatch.setattr(known, "experiments", functools.cache(known.experiments.__wrapped__))
    lfd_stream(tmp_path, 4)
    output = tmp_path / "out"
    with serving() as server:
        for method in (["zero-shot"], ["icrl"], ["icrl", "--comk", "2"]):
            assert main.main(argv(server, output, "--agent", *method)) == 0
    own = described_by("zero-shot,icrl", "lfd", None)
    own["methods"] = {"pairs": {"agent": "icrl", "comk": 2}}
    own["figures"]["pairs"] = {"title": "Two at once", "tasks": ["lfd"], "methods": ["pairs", "zero-shot"]}
    keep(own, ["plan"], output)
    keep(own, ["pairs"], output)
    assert list(read_description(output / KEPT)["figures"]) == ["plan", "pairs"]

    with pytest.raises(UsageError, match="unknown --figure 'pairs'"):
        known.find_figure("pairs")
    known.know_plans_in(output)
    (stream,) = select(group(read_runs(output)), known.find_figure("pairs"))
    assert [setting.method for setting in stream.settings] == ["pairs", "zero-shot"]
    (stream,) = select(group(read_runs(output)), known.find_figure("plan"))
    assert [setting.method for setting in stream.settings] == ["zero-shot", "icrl"]
    assert known.find_figure("3").title == "Figure 3: Single-turn tasks"
    capsys.readouterr()
    assert report([str(output), "--figure", "pears"]) == 2
    assert "Did you mean 'pairs'?" in capsys.readouterr().err
