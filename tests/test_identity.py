"""What a run is: settings, data and task code. The same command never mixes two runs, and equal runs are one."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import env.data
import main
from clients.sampling import sampling_of
from config import Config
from env import ENV_DICT, make_env, task_code
from experiments.plan import load_experiments, make_plan
from experiments.state import finished_summary
from helpers.fake_server import FakeServer, serving
from helpers.own_task import PROMPTS, TASK, play, right, write_task
from helpers.runs import argv, lfd_stream, run_folder, run_folders, steps
from registry import CLIENTS


def same_run(one: Config, other: Config) -> bool:
    same = one.identity() == other.identity()
    assert same == (one.run_name() == other.run_name())
    return same


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode, temperature", [("vllm", 0.1), ("hf", 0.1), ("openai", 0.05)])
def test_a_default_that_was_typed_is_the_default(mode: str, temperature: float) -> None:
    served: dict[str, Any] = {"llm": "m", "serving_mode": mode}
    default = Config(**served)
    assert same_run(default, Config(**served, temperature=temperature, top_p=0.8, learning_rate=2e-5))
    assert not same_run(default, Config(**served, temperature=0.3))
    assert default.identity()["temperature"] == sampling_of(default).temperature == temperature
    assert default.identity()["top_p"] == sampling_of(default).top_p == 0.8


def test_a_default_that_changed_continues_no_old_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lfd_stream(tmp_path, 4)
    with serving() as server:
        command = argv(server, tmp_path / "run", "--agent", "icrl")
        assert main.main(command) == 0
        (start,) = yaml.safe_load((run_folder(tmp_path / "run") / "config.yaml").read_text())["starts"]
        assert (start["llm"]["temperature"], start["llm"]["top_p"]) == (0.1, 0.8)
        row = CLIENTS["vllm"]
        monkeypatch.setitem(CLIENTS, "vllm", dataclasses.replace(row, defaults={"temperature": 0.6, "top_p": 0.8}))
        capsys.readouterr()
        assert main.main(command) == 2
    assert "holds another run (temperature: 0.1 then, 0.6 now)" in capsys.readouterr().err


def test_how_many_answers_are_generated_at_once_makes_no_other_method() -> None:
    for agent in ("zero-shot", "reinforce"):
        local: dict[str, Any] = {"agent": agent, "llm": "m", "serving_mode": "hf"}
        assert same_run(Config(**local), Config(**local, generate_batch=2))


# -- the task's code ---------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(right) as server:
        yield server


@pytest.mark.parametrize("old, new, changed", [
    ("even or odd?", "odd or even?", "my_prompts.py, prompts"), ("CBR =", "NOTE = 'unused'\nCBR =", "my_prompts.py"),
])  # fmt: skip
def test_a_finished_run_of_a_task_that_was_edited_says_so(
    old: str, new: str, changed: str, server: FakeServer, tmp_path: Path
) -> None:
    folder = write_task(tmp_path / "task")
    first = play(folder, server, "--agent", "icrl", "--limit", 4)
    assert first.returncode == 0, first.stderr
    write_task(folder, prompts=PROMPTS.replace(old, new))
    again = play(folder, server, "--agent", "icrl", "--limit", 4)
    assert again.returncode == 0 and again.stdout == first.stdout and len(server.chats) == 4
    said = f"the task has changed since ({changed}): --overwrite plays it as it is now"
    assert said in again.stderr and "starts it over" not in again.stderr


def test_an_unfinished_run_of_a_task_that_was_edited_is_not_continued(server: FakeServer, tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    server.fault = lambda number: "500" if number == 3 else None
    command = ("--agent", "icrl", "--limit", 6, "--max_retries", 0)
    assert play(folder, server, *command).returncode == 1
    write_task(folder, TASK + "\n    def reward_function(self, answer):\n        return 0\n")
    refused = play(folder, server, *command)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "the task has changed since this run was begun (my_task.py): going on would mix two tasks" in line
    assert "undo the change, or --overwrite" in line and len(server.chats) == 4
    write_task(folder)
    continued = play(folder, server, *command)
    assert continued.returncode == 0 and "continuing at step 4 of 6" in continued.stderr
    assert [step["reward"] for step in steps(run_folder(folder / "results"))] == [1] * 6


def test_a_task_that_is_edited_between_the_seeds_is_what_was_loaded(server: FakeServer, tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")

    def edit(prompt: str) -> str:
        if len(server.chats) == 3:
            write_task(folder, TASK + "\n# edited\n")
        return right(prompt)

    server.answer = edit
    assert play(folder, server, "--agent", "icrl", "--limit", 2, "--seed", -1).returncode == 0
    runs = run_folders(folder / "results")
    codes = [yaml.safe_load((run / "config.yaml").read_text())["identity"]["task_code"] for run in runs]
    assert len(codes) == 5 and codes == codes[:1] * 5
    again = play(folder, server, "--agent", "icrl", "--limit", 2, "--seed", 4)
    assert "the task has changed since (my_task.py)" in again.stderr


@pytest.mark.parametrize("task", ENV_DICT)
def test_the_code_of_every_task_has_its_modules_and_prompts(task: str) -> None:
    pytest.importorskip("alfworld") if task.startswith("alfworld") else None
    code = task_code(make_env(task, "sample", limit=1))
    module = str(ENV_DICT[task]).partition(":")[0]
    assert f"{module.replace('.', '/')}.py" in code and "prompts" in code
    assert any(name.startswith("env/prompts/") for name in code)
    assert not {"env/base.py", "env/data.py", "env/parsing.py", "env/prompts/layout.py"} & code.keys()


# -- data --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def lfd_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that holds the sample of lfd alone; returns where the real rows would be."""
    folder = tmp_path / "data" / "lfd"
    (folder / "sample").mkdir(parents=True)
    shutil.copy(lfd_stream(tmp_path, 5), folder / "sample" / "lfd.jsonl")
    monkeypatch.setattr(env.data, "DATA_ROOT", tmp_path / "data")
    return folder / "lfd.jsonl"


def test_the_sample_and_real_rows_that_come_later_never_share_a_folder(
    lfd_sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as server:
        where = ("--llm", "m", "--port", server.port, "--output_dir", tmp_path / "out", "--limit", 3)
        command = [str(word) for word in ("--env", "lfd", "--agent", "icrl", *where)]
        assert main.main(command) == 0
        shutil.copy(lfd_stream(tmp_path, 6), lfd_sample)
        assert main.main(command) == 0
        assert "SAMPLE" not in capsys.readouterr().out.rpartition("run ")[2]
        assert main.main([*command, "--data", "sample"]) == 0
    sample, real = sorted(run_folders(tmp_path / "out"), key=lambda folder: "data=sample" not in str(folder))
    assert "data=sample" in str(sample) and "data=" not in str(real)
    assert len(server.chats) == 6  # the sample's run was finished


def test_a_plan_finds_the_runs_on_the_sample(lfd_sample: Path, tmp_path: Path) -> None:
    with serving() as server:
        served = {"serving_mode": "vllm", "llm": "m", "port": server.port}
        typed = {**served, "limit": 3, "output_dir": str(tmp_path / "out")}
        only = {"env": {"lfd"}, "method": {"icrl"}}
        (planned,) = make_plan(load_experiments(), ["3"], typed, only, [0]).runs
        assert finished_summary(planned) is None
        assert main.main(list(planned.argv)) == 0
    assert finished_summary(planned) == json.loads((planned.folder / "summary.json").read_text())


def test_a_refusal_shows_no_whole_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lfd_stream(tmp_path, 4)
    with serving() as server:
        assert main.main(argv(server, tmp_path / "run", "--agent", "icrl")) == 0
        lfd_stream(tmp_path, 5)
        capsys.readouterr()
        assert main.main(argv(server, tmp_path / "run", "--agent", "icrl")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds another run (data_sha256: " in line
    assert all(len(word) < 64 for word in line.replace("/", " ").split() if set(word) <= set("0123456789abcdef"))
