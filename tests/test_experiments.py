"""The paper's experiments: which runs they are, and the runner that makes them."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from command_line import config_of
from config import Config
from errors import UsageError
from experiments import cli
from experiments.grid import contests
from experiments.plan import EXPERIMENTS, Plan, load_experiments, make_plan
from experiments.state import error_line
from helpers.fake_server import serving
from helpers.figures import (
    SIZE,
    all_steps,
    figure_argv,
    logged,
    processes,
    run_figure,
    slowly,
    start_runner,
    wait_until,
)
from helpers.runs import lfd_stream, run_folders

LAPTOP = {"serving_mode": "embedded", "data": "sample", "limit": 40}
COUNTS = {"3": 360, "4a": 720, "4b": 135, "5": 60, "6": 45, "supplement": 840}
SCRIPTS = {
    "single_turn": "3",
    "white_box": "4a",
    "black_box": "4b",
    "multi_turn": "5",
    "real_world": "6",
    "supplement": "supplement",
}
# The paper's learning rate and nu, by task, on qwen3-4b, -8b, -14b, -32b and gemini-2.0-flash.
TUNED = """
ddxplus      2e-5 0.1  2e-5 0.2  2e-5 0.1  1e-5 0.1  1e-5 0.2
mimic-iv-mr  -         2e-5 0.1  2e-5 0.3  1e-5 0.5  -
mimic-iv-msr 2e-5 0.4  2e-5 0.5  1e-5 0.4  1e-5 0.4  -
mimic-iv-tlp 5e-6 0.5  5e-6 0.1  5e-6 0.1  2e-5 0.1  -
mud          1e-5 0.1  1e-6 0.9  1e-6 0.4  2e-5 0.8  5e-6 0.2
cmdl         1e-5 0.2  2e-5 0.8  1e-5 0.7  1e-5 0.2  5e-6 0.1
banking77    2e-5 0.2  2e-5 0.1  2e-5 0.1  2e-5 0.3  1e-5 0.1
sentifin     5e-6 0.6  2e-5 0.1  2e-5 0.4  2e-5 0.1  1e-5 0.4
rca          2e-5 0.6  1e-5 1.0  2e-5 0.3  2e-5 0.3  2e-5 1.0
lfd          1e-5 0.3  2e-5 0.5  5e-6 0.1  1e-5 0.4  2e-5 0.4
spider       2e-5 0.4  2e-5 1.0  5e-6 0.3  5e-6 0.8  1e-5 0.8
bird         2e-5 1.0  1e-6 0.5  1e-6 0.9  5e-6 0.3  5e-6 0.1
"""
TUNED_ELSEWHERE = {  # figures 5 and 6
    ("alfworld", "qwen3-32b"): (5e-6, 0.7),
    ("alfworld-react", "qwen3-32b"): (5e-6, 0.6),
    ("scienceworld", "qwen3-32b"): (2e-5, 0.2),
    ("scienceworld-react", "qwen3-32b"): (2e-5, 0.4),
    ("ehr", "qwen3-32b"): (1e-5, 0.7),
    ("2wiki", "qwen3-30b-a3b"): (2e-5, 0.2),
    ("2wiki web_search", "qwen3-30b-a3b"): (2e-5, 0.1),
}


def plan(*figures: str, **options: Any) -> Plan:
    return make_plan(load_experiments(), list(figures), **options)


def tuned_table() -> dict[tuple[str, str], tuple[float, float]]:
    llms = ("qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-32b", "gemini-2.0-flash")
    table = dict(TUNED_ELSEWHERE)
    for line in TUNED.strip().splitlines():
        task, *words = line.replace("-  ", "- - ").replace(" -", " - -").replace("- - - -", "- -").split()
        pairs = list(zip(words[::2], words[1::2]))
        assert len(pairs) == len(llms), line
        table |= {(task, llm): (float(rate), float(nu)) for llm, (rate, nu) in zip(llms, pairs) if rate != "-"}
    return table


# -- which runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("figure", COUNTS)
def test_a_figure_is_its_tasks_methods_llms_and_seeds(figure: str) -> None:
    planned = plan(figure)
    assert len(planned.runs) == planned.counts[figure] == COUNTS[figure] and not planned.left_out
    assert len({run.folder for run in planned.runs}) == COUNTS[figure]
    assert Counter(run.config.seed for run in planned.runs) == {seed: COUNTS[figure] // 5 for seed in range(5)}
    for run in planned.runs[::7]:
        words = shlex.split(run.command)
        assert words[:2] == ["python", "main.py"] and config_of(words[2:]).identity() == run.config.identity()


def test_figures_share_the_runs_that_are_equal() -> None:
    planned = plan("3", "supplement", "3")
    assert planned.counts == {"3": 360, "supplement": 840}
    assert len(planned.runs) == 360 + 840 - 12 * 2 * 5  # NP-CBR and CASCADE are in both


def test_the_papers_settings_reach_the_command_lines() -> None:
    table, seen = tuned_table(), set()
    for run in plan(*COUNTS).runs:
        tuned = table.get((run.task, run.llm))
        words, config = shlex.split(run.command), run.config
        if run.method.startswith(("CASCADE", "Discover")):
            assert (config.learning_rate, config.exploration) == (tuned or (2e-5, 0.1)), run.command
            assert ("--nu" in words) == ("--learning_rate" in words) == (tuned is not None)
            seen.add((run.task, run.llm))
        elif run.method == "NeuralLinUCB":
            assert (config.learning_rate, config.exploration) == tuned
        elif run.method in ("LinLogUCB", "NeuralLogUCB"):
            assert config.exploration == tuned[1] and "--learning_rate" not in words
        elif run.method == "REINFORCE+LoRA":
            assert config.learning_rate == (1e-5 if run.task == "mimic-iv-mr" else 1e-4)
            assert config.serving_mode == "hf" and config.model_path.startswith("Qwen/Qwen3-")
        else:
            assert not {"--nu", "--learning_rate"} & set(words)
        if config.agent.startswith("cbr"):
            assert config.embedding_model_path == "Alibaba-NLP/gte-modernbert-base"
        assert (config.judge_llm == "qwen3-30b-a3b") == run.task.startswith("2wiki")
    assert seen == {*table, ("mimic-iv-mr", "qwen3-4b")} and len(table) == 12 * 5 - 4 + 7


def test_only_and_seeds_choose_runs() -> None:
    chosen = plan("4a", only={"env": {"ddxplus", "lfd"}, "agent": {"cbr"}, "llm": {"qwen3-8b"}}, seeds=[3]).runs
    assert {(run.task, run.method) for run in chosen} == {
        (task, method) for task in ("ddxplus", "lfd") for method in ("NP-CBR", "CASCADE")
    }
    assert len(chosen) == 4 and {run.llm for run in chosen} == {"qwen3-8b"}
    assert len(plan("6", only={"web_search": {"true"}}).runs) == 15
    assert len(plan("supplement", only={"comk": {"4"}}).runs) == 60
    assert len(plan("3", only={"bandit": {"NeuralLinLogUCB"}}).runs) == 60


def test_a_laptop_needs_no_llm_judge_or_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    planned = plan("3", typed=LAPTOP)
    assert planned.counts == {"3": 300} and {cell.method for cell in planned.left_out} == {"REINFORCE+LoRA"}
    assert "trains the LLM itself" in planned.left_out[0].reason
    words = {word for run in planned.runs for word in run.argv}
    assert not words & {"--llm", "--embedding_model_path", "--reranker_model_path", "--model_path", "--nu"}
    white_box = plan("4a", typed=LAPTOP)
    assert len(white_box.runs) == 180, "the three LLMs are one reader"
    real_world = plan("6", typed=LAPTOP)
    assert len(real_world.runs) == 30 and not any("--judge_llm" in run.argv for run in real_world.runs)
    assert {(cell.task, "SERPER_API_KEY" in cell.reason) for cell in real_world.left_out} == {
        ("2wiki web_search", True)
    }
    monkeypatch.setenv("SERPER_API_KEY", "key")
    assert len(plan("6", typed=LAPTOP).runs) == 45
    said = plan("3", typed=LAPTOP | {"embedding_model_path": "/models/gte"}, only={"method": {"CASCADE"}}).runs[0]
    assert said.config.embedding_model_path == "/models/gte" and said.config.reranker_model_path == "embedded"


def test_other_llms_and_ways_to_serve_them() -> None:
    def first(method: str, **typed: Any) -> Config:
        return plan("3", typed=typed, only={"method": {method}}).runs[0].config

    assert first("CASCADE", llm="qwen3-8b").exploration == 0.2, "its own settings"
    assert first("CASCADE", llm="mine").serving_mode == "vllm" and first("CASCADE", llm="mine").exploration == 0.1
    assert first("CASCADE", llm="gemini-2.0-flash").serving_mode == "openai"
    assert plan("4b", typed={"llm": "mine"}).runs[0].config.serving_mode == "openai", "as the figure's LLM"
    assert {run.config.judge_llm for run in plan("6", typed={"llm": "mine"}).runs} == {"mine", None}
    assert {run.config.judge_llm for run in plan("6", typed={"llm": "mine", "judge_llm": "j"}).runs} == {"j"}
    local = first("icrl", serving_mode="hf")
    assert (local.llm, local.model_path) == ("qwen3-32b", "Qwen/Qwen3-32B")
    trained = first("REINFORCE+LoRA", llm="/models/mine")
    assert (trained.llm, trained.model_path, trained.serving_mode) == ("/models/mine", None, "hf")
    closed = plan("3", typed={"llm": "gemini-2.0-flash"})
    assert {cell.method for cell in closed.left_out} == {"REINFORCE+LoRA"}
    assert first("CASCADE", exploration=0.7, comk=2).run_name() != first("CASCADE").run_name()


def test_the_grid_sweeps_only_what_a_method_uses() -> None:
    grid = {"exploration": [0.1, 0.2, 0.4], "learning_rate": [1e-5, 2e-5]}
    runs = plan("supplement", typed=LAPTOP, only={"env": {"lfd"}, "part": {"Policies"}}, seeds=[0], grid=grid).runs
    assert Counter(run.method for run in runs) == {
        "CASCADE": 6,
        "NeuralLinUCB": 6,
        "LinLogUCB": 3,
        "NeuralLogUCB": 3,
        "NP-CBR": 1,
        "Random": 1,
    }
    cascade = {(run.config.exploration, run.config.learning_rate) for run in runs if run.method == "CASCADE"}
    assert len(cascade) == 6 and (0.4, 1e-5) in cascade


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("7", "unknown figure '7'"),
        ("3 --only env=lfdd", "Did you mean 'lfd'"),
        ("3 --only env", "write NAME=VALUE"),
        ("3 --only colour=red", "unknown --only 'colour'"),
        ("3 --only env=lfd,bandit=Random", "unknown --only bandit 'Random'"),
        ("3 --colour red", "unrecognized arguments: --colour red"),
        ("3 --nu low", "--nu"),
        ("3 --nu -1", "--nu must be at least 0"),
        ("3 --env moon", "unknown --env 'moon'"),
        ("3 --seeds 4-1", "--seeds 4-1"),
        ("3 --seed 1", "--seeds"),
        ("3 --grid nu", "write OPTION=VALUE,VALUE"),
        ("3 --grid env=lfd,rca", "write OPTION=VALUE,VALUE"),
        ("3 --grid nu=0.1 --nu 0.2", "contradict"),
        ("3 --grid nu=-1,0.1", "--nu must be at least 0"),
        ("4b --grid kl_coef=0.1,0.2", "--grid kl_coef: it changes none of these runs"),
        ("3 --only agent=zero-shot,bandit=NeuralLinLogUCB", "leaves no run"),
        ("3 --workers 0", "--workers must be at least 1"),
        ("3 --gpus_per_run 0.5", "--gpus_per_run needs --engine ray"),
        ("3 --serving_mode embedded --llm m", "is not an LLM"),
        ("3 --serving_mode embedded --only method=REINFORCE+LoRA", "trains the LLM itself"),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(
    argv: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main([*argv.split(), "--output_dir", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: [", "seeds: ]", "cannot be read"),
        ("tuned:", "tunes:", "there is no entry tunes (did you mean tuned?)"),
        ("methods: [zero-shot, icrl,", "methods: [zeroshot, icrl,", "no method zeroshot (did you mean zero-shot?)"),
        ("llms: [gemini-2.0-flash]", "llms: [gemini]", "figure 4b: there is no llm gemini"),
        ("comk: 2", "komk: 2", "method CASCADE k=2: there is no option komk (did you mean comk?)"),
    ],
)
def test_another_description_with_a_mistake_is_one_clear_line(
    old: str, new: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = EXPERIMENTS.read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    argv = [*COUNTS, "--dry-run", "--experiments", str(tmp_path / "mine.yaml")]
    assert old in text and cli.main(argv) in (1, 2)
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert cli.main([*argv[:-1], str(tmp_path / "none.yaml")]) == 1
    assert "cannot be read (No such file" in capsys.readouterr().err


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_figures_script_passes_its_options_through(script: str, tmp_path: Path) -> None:
    """In a checkout whose environment is there already."""
    (tmp_path / "scripts").mkdir()
    for file in (*ROOT.glob("scripts/*.sh"), ROOT / "scripts" / "run_experiments.py"):
        (tmp_path / "scripts" / file.name).symlink_to(file)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / ".venv" / ".installed-requirements.txt").touch()
    command = [
        "bash",
        str(tmp_path / "scripts" / f"{script}_experiments.sh"),
        "--dry-run",
        "--seeds",
        "2",
        "--limit",
        "9",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and done.stderr == f"figure {SCRIPTS[script]}: {len(lines)} runs\n", done.stderr
    assert len(lines) == COUNTS[SCRIPTS[script]] // 5
    assert all(" --seed 2 " in line and " --limit 9 " in line for line in lines)


def test_a_dry_run_prints_the_command_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    output = tmp_path / "my results"
    argv = ["3", "--only", "env=lfd", "--dry-run", "--output_dir", str(output), "--serving_mode", "embedded"]
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    lines = [shlex.split(line) for line in printed.out.splitlines()]
    assert len(lines) == 25 and all(config_of(line[2:]).output_dir == str(output) for line in lines)
    assert "figure 3: 25 runs\n" in printed.err and "left out: REINFORCE+LoRA (5): --agent reinforce" in printed.err
    assert not output.exists()


# -- running -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The steps of the small figure, never interrupted."""
    folder = tmp_path_factory.mktemp("unharmed")
    lfd_stream(folder, SIZE)
    with serving() as server:
        finished = run_figure(*figure_argv(server, folder / "results", "--workers", 3))
    assert finished.returncode == 0, finished.stderr
    assert "6 finished" in finished.stdout and finished.stderr.count("\nfinished ") == 6
    return all_steps(folder / "results")


def test_a_figure_on_a_laptop(tmp_path: Path) -> None:
    """Finished runs are not started again; the grid names its winner."""
    argv = ["3", "--only", "env=lfd,method=zero-shot,method=CASCADE", "--limit", 6, "--serving_mode", "embedded"]
    argv += ["--data", "sample", "--seeds", "0", "--workers", 2, "--output_dir", tmp_path]
    first = run_figure(*argv)
    assert first.returncode == 0 and "2 finished" in first.stdout, first.stderr
    alone = run_figure(*argv, "--grid", "nu=0.1")
    assert alone.returncode == 0 and "no winner yet" in alone.stdout and "chosen on" not in alone.stdout
    swept = run_figure(*argv, "--grid", "nu=0.1,0.8")
    assert swept.returncode == 0 and "1 finished, 2 already finished" in swept.stdout, swept.stderr
    assert "zero-shot" not in swept.stderr, "nothing is started for a finished run"
    assert "nu=0.1: " in swept.stdout and "nu=0.8: " in swept.stdout and "chosen on the very stream" in swept.stdout
    assert len(run_folders(tmp_path)) == 3


def test_a_figure_that_is_stopped_again_and_again_goes_on(unharmed: dict[str, Any], tmp_path: Path) -> None:
    output = tmp_path / "results"
    lfd_stream(tmp_path, SIZE)
    with serving(slowly) as server:
        argv = figure_argv(server, output, "--workers", 2)
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            before = logged(output)
            runner = start_runner(*argv)
            wait_until(lambda before=before: logged(output) >= before + 5)
            runner.send_signal(how)
            stdout, stderr = runner.communicate(timeout=60)
            wait_until(lambda: not processes(output), seconds=10)
            if how != signal.SIGKILL:
                assert runner.returncode == 130 and " left" in stdout and "the same command goes on" in stderr
        assert logged(output) < 6 * SIZE
        rest = run_figure(*argv)
    assert rest.returncode == 0 and "continues after step" in rest.stderr, rest.stderr
    assert all_steps(output) == unharmed


def test_a_failure_does_not_stop_the_rest(unharmed: dict[str, Any], tmp_path: Path) -> None:
    output = tmp_path / "results"
    stream = lfd_stream(tmp_path, SIZE)
    damaged = Config(env="lfd", agent="icrl", llm="m", data=str(stream), seed=1).run_name()
    with serving() as server:
        argv = figure_argv(server, output, "--workers", 2)
        (output / damaged).mkdir(parents=True)
        (output / damaged / "steps.jsonl").write_text("{}\n", encoding="ascii")
        finished = run_figure(*argv)
    assert finished.returncode == 1 and "5 finished, 1 failed" in finished.stdout
    _, _, after = finished.stdout.partition("failed: lfd icrl m seed 1\n  error: ")
    error, log = after.splitlines()[:2]
    assert "has no config.yaml" in error and error in finished.stderr
    assert error in Path(log.partition("log: ")[2]).read_text(encoding="utf-8")
    assert all_steps(output) == {name: rows for name, rows in unharmed.items() if not damaged.endswith(name)}


def test_a_log_that_is_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    assert error_line(tmp_path / "gone.log", 1) == "exit code 1, and its log cannot be read (No such file or directory)"


def test_other_data_is_not_taken_for_finished(tmp_path: Path) -> None:
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        argv = figure_argv(server, tmp_path / "results", "--workers", 3)
        argv[argv.index("0-1")] = "0"
        assert run_figure(*argv).returncode == 0
        lfd_stream(tmp_path, SIZE + 1)
        finished = run_figure(*argv)
    assert finished.returncode == 1 and "holds another run (data_sha256" in finished.stdout


def test_a_place_that_cannot_be_written_is_one_clear_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    argv = ["3", "--only", "env=lfd,method=icrl", "--serving_mode", "embedded", "--output_dir", str(tmp_path / "file")]
    assert cli.main(argv) == 1
    assert "error: " in (error := capsys.readouterr().err) and "--output_dir chooses another place" in error


def test_ray_that_is_missing_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.main(["3", "--engine", "ray", "--output_dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: --engine ray needs Ray: pip install -r requirements-ray.txt\n"


# -- sweeps ------------------------------------------------------------------------------------------------------------


def finished_run(root: Path, rate: float, **identity: Any) -> Path:
    folder = root / "-".join(map(str, identity.values()))
    folder.mkdir(parents=True)
    settings = {"env": "lfd", "agent": "cbr", "bandit": "NeuralLinLogUCB", "llm": "m", "data_sha256": "a"} | identity
    (folder / "config.yaml").write_text(json.dumps({"identity": settings}), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps({"steps": 1, "success_rate": rate}), encoding="utf-8")
    return folder


def test_the_setting_with_the_best_mean_over_all_seeds_wins(tmp_path: Path) -> None:
    folders = [
        finished_run(tmp_path, rate, exploration=nu, seed=seed)
        for nu, rates in {0.1: (0.5, 0.7), 0.2: (0.65, 0.75), 0.4: (0.9,)}.items()
        for seed, rate in enumerate(rates)
    ]
    folders += [finished_run(tmp_path, 0.99, exploration=0.8, seed=0, data_sha256="b")]  # no contest: other data
    folders += [finished_run(tmp_path, 0.99, bandit="Random", seed=0), tmp_path / "unfinished"]
    (contest,) = contests([*folders, *folders], ["exploration", "learning_rate"])
    assert (contest.env, contest.agent, contest.llm) == ("lfd", "cbr-NeuralLinLogUCB", "m")
    assert [dict(setting.values)["exploration"] for setting in contest.settings] == [0.2, 0.1]
    assert contest.settings[0].mean == pytest.approx(0.7)
    assert contest.settings[0].deviation == pytest.approx(0.0707, abs=1e-4)
    assert [setting.rates for setting in contest.incomplete] == [{0: 0.9}]
    with pytest.raises(UsageError):
        plan("3", only={"env": {"lfd"}, "bandit": {"Random"}})
