"""The memory methods' experiments: their papers' figures as plans, controls as methods, and all methods on one task."""

from __future__ import annotations

import functools
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import ROOT

from command_line import config_of
from config import Config
from env import ENV_DICT
from errors import UsageError
from experiments import cli
from experiments.plan import CONTROLS, Plan, Run, load_experiments, make_plan, reasons, with_controls
from helpers.fake_server import serving
from helpers.figures import run_figure
from helpers.own_task import Parity, use
from helpers.planted_runs import plant_run
from helpers.runs import lfd_stream, run_folders
from main import run_seed
from registry import AGENTS, AgentRow
from report import cli as report_cli
from report import references, tables
from report.experiments import experiments, find_figure
from report.runs import Stream, group, read_runs, select

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

TASKS = ["spider", "cosql", "bird", "ds1000", "toolbench", "ddxplus", "hotpotqa"]
HERE = [task for task in TASKS if task in ENV_DICT]  # ds1000 is planned as soon as it is a task
ABOVE_ONE_BIT = {"cbrgt", "cbrdiscover", "ground-truth", "reinforce"}  # no memory that learns from one bit


def plan(*figures: str, **options: Any) -> Plan:
    return make_plan(load_experiments(), list(figures), **options)


@functools.cache
def whole(figure: str) -> Plan:
    """A figure as it is described."""
    return plan(figure)


def first(figure: str, method: str, **options: Any) -> Run:
    return plan(figure, only={"method": {method}}, **options).runs[0]


# -- the papers' figures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "count"),
    [
        ("streambench", len(HERE) * (5 * (3 + 3 * 3) + 3)),  # zero-shot, cot, self-refine; three with their controls
        ("streambench-ablations", len(HERE) * 3 * 8 + 2 + 3 + 3),  # an LLM more on ddxplus, and two encoders more
        ("streambench-seeds", len(HERE) * 5 * 5),
        ("evo-memory", 5 * 2 * (2 * (1 + 3 * 3) + 3)),
        ("memento", 5 * 2 * 10),
    ],
)
def test_the_papers_figures_are_runs_of_main(figure: str, count: int) -> None:
    planned = whole(figure)
    left_out = {cell.method.partition(" ")[0] for cell in planned.left_out if cell.task in ENV_DICT}
    assert left_out == ({"few-shot"} if figure == "streambench" else set())
    runs = planned.runs
    assert len({run.folder for run in runs}) == len(runs) == planned.counts[figure]
    assert len(runs) == count
    for run in runs[::5]:
        words = shlex.split(run.command)
        assert config_of(words[2:]).identity() == run.config.identity(), run.command


def test_streambenchs_settings_reach_the_command_lines() -> None:
    runs = whole("streambench").runs
    assert {run.config.env for run in runs} == set(HERE)
    for run in runs:
        config = run.config
        assert (config.seed, config.temperature, config.top_p) == (42, 0, 1)
        assert config.stream == "streambench" and (config.shuffle or config.env == "ds1000")
        shows = AGENTS[config.agent].retrieve
        if shows == "nearest":
            assert config.embedding_model_path == "BAAI/bge-base-en-v1.5" and config.order == "similar_last"
        if shows in ("nearest", "latest"):
            assert config.comk == (4 if config.env in ("hotpotqa", "ds1000") else 16)
    assert {run.config.seed for run in whole("streambench-seeds").runs} == {2, 3, 7, 21, 42}
    assert {run.config.seed for run in plan("streambench-seeds", seeds=[1]).runs} == {1}
    assert {run.config.feedback for run in whole("streambench-ablations").runs} == {None, "correct", "incorrect"}
    encoders = {run.config.embedding_model_path for run in whole("streambench-ablations").runs}
    assert encoders >= {"BAAI/bge-base-en-v1.5", "BAAI/bge-small-en-v1.5", "embedded"}


def test_several_llms_in_turn_are_one_run() -> None:
    run = first("streambench", "mam-stream-icl")
    words = shlex.split(run.command)
    assert words[words.index("--llms") + 1] == "gpt-3.5-turbo-0125,gemini-1.0-pro,claude-3-haiku"
    assert "--llm" not in words and run.config.llm == words[words.index("--llms") + 1]
    laptop = first("streambench", "mam-stream-icl", typed={"serving_mode": "embedded", "data": "sample"})
    assert laptop.config.llm == "embedded-reader", "one reader is as good as three"
    named = first("streambench", "mam-stream-icl", typed={"llms": "a,b"})
    assert named.config.llm == "a,b"


def test_the_curve_of_memento_and_what_evo_memory_keeps() -> None:
    curve = {run.config.comk for run in whole("memento").runs if run.config.agent == "memento-np"}
    assert curve == {1, 2, 4, 8, 16, 32}
    kept = {(run.config.agent, run.config.keep) for run in whole("evo-memory").runs if run.config.keep}
    assert kept == {
        (agent, keep) for agent in ("exp-recent", "exp-rag", "remem") for keep in ("successes", "everything")
    }


def test_a_task_of_a_figure_that_is_not_here_says_so() -> None:
    described = load_experiments()
    (part, *_) = described["figures"]["memento"]["parts"]
    described["figures"]["memento"]["parts"] = [part | {"tasks": ["hotpotqa", "nowhere"]}]
    planned = make_plan(described, ["memento"], seeds=[0])
    assert {cell.reason for cell in planned.left_out} == {"this version has no task nowhere"}
    (line,) = reasons(planned.left_out)
    assert line.startswith("left out: zero-shot, memento-np k=1, ") and "(8): this version has no task" in line


# -- controls ----------------------------------------------------------------------------------------------------------


def test_every_method_with_cases_has_its_controls() -> None:
    methods = load_experiments()["methods"]
    for name, options in methods.items():
        shows = AGENTS[options["agent"]].retrieve != "nothing"
        for control in CONTROLS:
            if "control" not in options:
                assert (f"{name} {control}" in methods) == shows, name
    assert methods["exp-rag random"] == {"agent": "exp-rag", "control": "random"}
    names = list(methods)
    assert names[names.index("exp-rag") :][:3] == ["exp-rag", "exp-rag empty", "exp-rag random"]
    assert with_controls(load_experiments())["methods"] == methods, "controls have none of their own"


def test_a_control_has_its_own_name_folder_and_command() -> None:
    own, random, empty = (first("evo-memory", f"exp-rag{control}") for control in ("", " random", " empty"))
    assert len({run.folder for run in (own, random, empty)}) == 3
    assert "--control random" in random.command and "--control" not in own.command
    from report.naming import method_name

    assert [method_name(run.config.identity()) for run in (own, random, empty)] == [
        *("exp-rag", "exp-rag random", "exp-rag empty")
    ]


# -- all methods on one task -------------------------------------------------------------------------------------------


def test_memory_is_every_method_on_the_task() -> None:
    planned = plan("memory", typed={"env": "lfd", "data": "sample"}, seeds=[0])
    agents = {run.config.agent for run in planned.runs} | {cell.options["agent"] for cell in planned.left_out}
    assert agents == set(AGENTS) - ABOVE_ONE_BIT
    assert {run.config.control for run in planned.runs} == {None, "random", "empty"}
    assert {run.config.env for run in planned.runs} == {"lfd"} and all(run.config.shuffle for run in planned.runs)
    assert all(run.config.llm == "embedded-reader" for run in planned.runs)
    said = "\n".join(reasons(planned.left_out))
    assert "left out: few-shot, few-shot empty, few-shot random (3): --agent few-shot needs --examples FILE" in said
    assert re.search(r"left out: mam-stream-icl, .*: --agent mam-stream-icl needs --llms NAME,NAME,...", said)
    more = {"env": "lfd", "examples": "rows.jsonl", "llms": "a,b", "llm": "m"}
    left_out = plan("memory", typed=more, seeds=[0]).left_out
    assert not [cell for cell in left_out if cell.options["agent"] in ("few-shot", "mam-stream-icl")]
    served = first("memory", "CASCADE", typed={"env": "lfd", "llm": "m", "port": 8001}).config
    assert (served.serving_mode, served.llm, served.embedding_model_path) == ("vllm", "m", "embedded")
    known = first("memory", "CASCADE", typed={"env": "ddxplus", "llm": "gpt-4o"}).config
    assert known.serving_mode == "openai"
    with pytest.raises(UsageError, match="figure memory is of any task: --env NAME says which"):
        plan("memory")


def test_a_new_agent_is_compared_without_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AGENTS, "mine", AgentRow(retrieve="latest", retain="successes"))
    field = Config.__dataclass_fields__["agent"]
    choices = {**field.metadata, "choices": (*field.metadata["choices"], "mine")}
    monkeypatch.setattr(field, "metadata", choices)
    runs = plan("memory", typed={"env": "lfd"}, seeds=[0]).runs
    assert {run.method for run in runs if run.config.agent == "mine"} == {"mine", "mine random", "mine empty"}
    assert not {run.method for run in runs} & ABOVE_ONE_BIT


def test_what_cannot_play_the_task_is_left_out() -> None:
    described = load_experiments()
    part = described["figures"]["memory"]["parts"][0]
    described["methods"]["asks"] = {"agent": "cbrdiscover"}
    described["figures"]["memory"]["parts"] = [part | {"methods": ["zero-shot", "asks"]}]
    planned = make_plan(described, ["memory"], {"env": "alfworld"}, seeds=[0])
    assert [run.method for run in planned.runs] == ["zero-shot"]
    (cell,) = planned.left_out
    assert cell.reason.endswith("it does not apply to the task alfworld")


def test_memory_from_the_command_line_to_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = lfd_stream(tmp_path, 6)
    prices = tmp_path / "prices.yaml"
    prices.write_text("currency: EUR\nm: {input: 100, output: 100}\n", encoding="utf-8")
    with serving() as server:
        methods = "method=zero-shot,method=icrl-plus random,method=few-shot"
        argv = ["memory", "--env", "lfd", "--only", methods, "--seeds", "0", "--data", data, "--llm", "m"]
        argv += ["--port", server.port, "--prices", prices, "--output_dir", tmp_path / "out", "--workers", 2]
        done = run_figure(*argv)
        assert done.returncode == 0, done.stderr
        assert len(server.chats) == 2 * 6 and len(run_folders(tmp_path / "out")) == 2
        assert re.search(r"2 finished, 1 left out\n", done.stdout)
        assert "left out: few-shot (1): --agent few-shot needs --examples FILE" in done.stdout
        assert f"cost: {12 * 14 * 100 / 1e6:.4f} EUR" in done.stdout
        assert f"python scripts/report.py {tmp_path / 'out'} --figure memory makes tables and plots" in done.stdout
        again = run_figure(*argv)
        assert again.returncode == 0 and "2 already finished" in again.stdout and len(server.chats) == 12
    assert report_cli.main([str(tmp_path / "out"), "--figure", "memory", "--steps", "none"]) == 0
    text = (tmp_path / "out" / "report" / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# The memory methods\n") and "Cost in EUR" in text
    (line,) = re.findall(r"^\| icrl-plus random .*$", text.partition("What the methods gain and cost")[2], re.M)
    assert line.split(" | ")[1:3] == ["m", "1"]
    assert "Gain against cost" in text
    capsys.readouterr()


def test_memory_on_a_task_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text_encoder: TextEncoder
) -> None:
    """A class in ENV_DICT that is no part of the project."""
    use(monkeypatch, Parity)
    planned = plan("memory", typed={"env": "lfd", "output_dir": str(tmp_path), "comk": 2}, seeds=[0])
    assert len(planned.runs) >= 45
    encoder = functools.cache(lambda: text_encoder)
    played = {
        run.method: run_seed(run.config, encoder)
        for run in planned.runs
        if run.method in ("zero-shot", "self-stream-icl", "memento-np random", "reasoning-bank empty")
    }
    assert len(played) == 4 and all(summary["steps"] == 12 for summary in played.values())


def test_the_figures_are_named_where_one_asks_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    for figure in load_experiments()["figures"]:
        assert re.search(rf"[ ,;]{re.escape(figure)}[,;: ]", said), figure
    docs = (ROOT / "docs" / "reproducing.md").read_text(encoding="utf-8")
    assert all(figure in docs for figure in load_experiments()["figures"] if not figure[0].isdigit())


# -- in the report -----------------------------------------------------------------------------------------------------


def test_a_figure_of_any_task_shows_any_llm(tmp_path: Path) -> None:
    for env, llm in (("lfd", "m"), ("rca", "qwen3-32b")):
        plant_run(tmp_path, [1, 0], "--agent", "zero-shot", "--llm", llm, env=env)
        plant_run(tmp_path, [1, 0], "--agent", "cbrgt", "--llm", llm, env=env)
    streams = select(group(read_runs(tmp_path)), find_figure("memory"))
    assert {(stream.env, setting.llm) for stream in streams for setting in stream.settings} == {
        *(("lfd", "m"), ("rca", "qwen3-32b"))
    }
    assert {setting.method for stream in streams for setting in stream.settings} == {"zero-shot"}


def planted(root: Path, env: str) -> list[Stream]:
    for agent, rewards, tokens in (("zero-shot", [0, 0, 1, 0], 100), ("self-stream-icl", [1, 0, 1, 0], 111)):
        extra = [{"usage": {"prompt_tokens": tokens, "completion_tokens": 5}, "calls": 1}] * 4
        plant_run(root, rewards, "--agent", agent, env=env, extra=extra)
    return group(read_runs(root))


def test_published_differences_stand_beside_ours(tmp_path: Path) -> None:
    table = references.reference_table(planted(tmp_path, "toolbench"))
    assert table is not None
    lines = {line["whose"]: line for line in table.shown.to_dict("records")}
    ours = lines["ours: m, toolbench (4 steps)"]
    assert ours["zero-shot"] == "25.0" and ours["self-stream-icl"].startswith("+25.0 [")
    average = lines["paper: StreamBench, arXiv 2406.08747: average of 3 LLMs"]
    found = [average[name] for name in ("zero-shot", "grow-prompt", "mem-prompt", "self-stream-icl", "cot")]
    assert found == ["61.38", "+3.7", "+2.9", "+9.9", "-2.4"] or found[1:] == ["+3.7", "+2.9", "+9.9", "-2.4"]
    flash = lines["paper: Evo-Memory, arXiv 2511.20857: gemini-2.5-flash"]
    assert (flash["exp-recent"], flash["exp-rag"], flash["remem"]) == ("+5.0", "+12.0", "+10.0")
    assert "Differences to zero-shot in points" in table.markdown()


def test_published_input_tokens_stand_beside_ours(tmp_path: Path) -> None:
    table = references.input_table(planted(tmp_path, "toolbench"))
    assert table is not None
    ours, theirs = table.shown.to_dict("records")
    assert (ours["self-stream-icl"], ours["self-refine"]) == ("1.11", tables.NOTHING)
    assert (theirs["self-stream-icl"], theirs["self-refine"]) == ("1.11", "8.8")
    assert references.input_table(planted(tmp_path / "other", "lfd")) is None


def test_every_reference_is_of_a_task_and_method_that_there_is() -> None:
    for reference in references.references():
        for what in ("tasks", "times_input"):
            for env, figures in reference.get(what, {}).items():
                assert env in {*ENV_DICT, "ds1000"}
                assert set(figures) <= set(experiments()["methods"]), (reference["source"], env)
                assert what == "times_input" or "zero-shot" in figures
    text = json.dumps(references.references())
    assert "StreamBench" in text and "Evo-Memory" in text and "Memento" in text
