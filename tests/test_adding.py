"""The recipes of docs/adding.md, as printed: files in a folder outside the checkout, commands from there."""

from __future__ import annotations

import functools
import json
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT
from test_resume import kill_after

import check_resume
import main
import report.cli
from config import Config
from helpers.fake_server import choose_option, serving
from helpers.runs import run_folder, run_folders, steps
from report.prompts import rebuild
from report.trust import trusting
from runs.reader import open_folder

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
TEXTS = re.findall(r"^`(mine/\S+)`[^\n]*:\n\n```\n(.*?)^```$", PAGE, re.S | re.M)
SOURCES = re.findall(r"^```(?:python)?\n(# (mine/\S+)\n.*?)^```$", PAGE, re.S | re.M)
COMMANDS = re.findall(r"^python (\S+) (.*)$", PAGE, re.M)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text_encoder: TextEncoder) -> Path:
    """A folder with all files of the page, which is where we are; runs share the session's encoder."""
    (tmp_path / "mine").mkdir()
    for path, text in [*TEXTS, *((path, source) for source, path in SOURCES)]:
        (tmp_path / path).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for module in (main, check_resume):
        monkeypatch.setattr(module, "make_load_encoder", lambda config: functools.cache(lambda: text_encoder))
    return tmp_path


def commands(words: str) -> Iterator[list[str]]:
    """The printed commands that have `words` in them."""
    found = [shlex.split(line) for script, line in COMMANDS if words in line and script == "main.py"]
    assert found
    return iter(found)


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_the_page_has_every_file_that_its_commands_name() -> None:
    there = {path for path, _ in TEXTS} | {path for _, path in SOURCES}
    named = {word for _, line in COMMANDS for word in re.findall(r"mine/\w+\.(?:py|yaml)", line)}
    assert named <= there and len(named) == 7
    lines = [
        line for path, text in [*TEXTS, *((p, s) for s, p in SOURCES)] if "tickets" in path for line in text.split("\n")
    ]
    assert len([line for line in lines if line and not line.startswith("#")]) == 9


def test_a_task_of_labels(folder: Path) -> None:
    for command in commands("tickets.py"):
        assert main.main(command) == 0
    runs = {run.relative_to(folder).parts[1:3]: run for run in run_folders(folder / "results")}
    assert runs.keys() == {("tickets.Tickets", "ground-truth"), ("tickets.Tickets", "cbr-NeuralLinLogUCB")}
    truth, cbr = runs["tickets.Tickets", "ground-truth"], runs["tickets.Tickets", "cbr-NeuralLinLogUCB"]
    assert summary(truth)["success_rate"] == 1.0
    assert {step["answer"] for step in steps(cbr)} <= {"network", "hardware"}


def test_a_number_with_a_tolerance_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    helped, played = commands("heights.py")
    with pytest.raises(SystemExit):
        main.main(helped)
    assert "--tolerance FLOAT" in capsys.readouterr().out
    assert main.main(played) == 0
    assert "heights.Heights,tolerance=0.01" in str(run_folder(folder / "results"))
    with serving(lambda prompt: f"\\boxed{{{340 if 'Eiffel' in prompt else 4806}}}") as server:
        where = ["--env", "mine/heights.py:Heights", "--agent", "zero-shot", "--llm", "m", "--port", str(server.port)]
        for more in ([], ["--tolerance", "0.05"], ["--tolerance", "0.001"]):  # the second is the first
            assert main.main([*where, "--output_dir", "answered", *more]) == 0
    rewards = {run.parts[-4]: [step["reward"] for step in steps(run)] for run in run_folders(folder / "answered")}
    assert rewards == {"heights.Heights": [1, 1], "heights.Heights,tolerance=0.001": [0, 1]}
    assert len(server.chats) == 4


def test_a_dialogue(folder: Path) -> None:
    with serving(lambda told: "GUESS 37" if told == "Yes." else "BELOW 50") as server:
        (command,) = commands("twenty.py")
        server.models["data"] = [{"id": "qwen3-8b", "object": "model"}]
        command[command.index("--port") + 1] = str(server.port)
        assert main.main(command) == 0
    first, second = steps(run_folder(folder / "results"))
    assert [turn["told"] for turn in first["turns"]] == ["Yes.", "Reply BELOW n or GUESS n."] and first["reward"] == 1
    assert len(second["turns"]) == 20 and second["reward"] == 0 and second["answer"] is None
    assert "Played before:\nThe first game.\nGUESS 37" in server.chats[2]["messages"][0]["content"]


def test_a_judged_task_counts_its_judge_apart_and_two_judges_share_no_folder(folder: Path) -> None:
    with serving(lambda prompt: "4" if prompt.startswith("Grade") else "We are sorry.") as server:
        server.models["data"] = [{"id": name, "object": "model"} for name in ("qwen3-8b", "qwen3-32b", "other")]
        (command,) = commands("letters.py")
        command[command.index("--port") + 1] = str(server.port)
        assert main.main(command) == 0
        assert main.main([*command[:-1], "other"]) == 0
        assert main.main(command[:-2]) == 2  # nobody to judge
    one, other = run_folders(folder / "results")
    assert {"judge_llm=qwen3-32b", "judge_llm=other"} == {run.parts[-4].partition(",")[2] for run in (one, other)}
    for step in steps(one):
        (turn,) = step["turns"]
        assert step["reward"] == 1 and step["metrics"]["grade"] == 4 and step["calls"] == 1
        assert turn["usage"]["prompt_tokens"] > 0 and turn["said"] == "4"
    assert {chat["temperature"] for chat in server.chats if chat["model"] != "qwen3-8b"} == {0.0}


def test_a_policy_and_agents(folder: Path) -> None:
    for words in ("mine/greedy.py", "truth.yaml", "both.yaml"):
        for command in commands(words):
            assert main.main([*command[:-1], "12"]) == 0
    runs = {run.parts[-3]: steps(run) for run in run_folders(folder / "results")}
    assert runs.keys() == {"cbr-greedy.EpsilonGreedy,epsilon=0.1", "truth", "both-LinLogUCB"}
    assert [len(step["cases"]) for step in runs["truth"]] == [min(n, 3) for n in range(12)]
    assert len(runs["both-LinLogUCB"][-1]["cases"]) in (3, 4)


def test_the_check_of_resuming_tells_what_is_kept_from_what_is_forgotten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((_, line),) = [command for command in COMMANDS if command[0] == "scripts/check_resume.py"]
    assert check_resume.main(shlex.split(line)) == 0
    assert capsys.readouterr().out == "killed and continued, it is the same run\n"
    kept = (folder / "mine" / "greedy.py").read_text()
    (folder / "mine" / "forgets.py").write_text(kept.replace('{"generator": self.generator.get_state()}', "{}").replace(
        'self.generator.set_state(state["generator"])', "pass"))  # fmt: skip
    found = check_resume.check(Config(env="lfd", bandit="mine/forgets.py:EpsilonGreedy"))
    assert found is not None and re.search(r"step \d+", found)


def test_a_run_from_outside_is_killed_continued_and_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"task": f"Ticket {n}: {n % 3} cables", "label": ("network", "hardware")[n % 2]} for n in range(14)]
    (folder / "mine" / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving(choose_option) as server:
        parts = ("--env", "mine/tickets.py:Tickets", "--agent", "mine/both.yaml")
        words = [*parts, "--bandit", "mine/greedy.py:EpsilonGreedy", "--llm", "m", "--port", str(server.port)]
        assert main.main([*words, "--output_dir", "whole"]) == 0
        killed = kill_after(5, [*words, "--output_dir", "killed", "--checkpoint_seconds", "0"], signal.SIGKILL)
        assert killed.returncode == -signal.SIGKILL
        shutil.copytree(folder / "mine", folder / "other" / "mine")  # a run knows its files by what they are
        monkeypatch.chdir(folder / "other")
        capsys.readouterr()
        assert main.main([*words, "--output_dir", "../killed"]) == 0
        assert re.search(r"continuing at step \d+ of 14", capsys.readouterr().err)
    assert steps(run_folder(folder / "killed")) == steps(run_folder(folder / "whole"))

    shutil.copytree(folder / "mine", folder / "edited" / "mine")
    monkeypatch.chdir(folder / "edited")
    with (folder / "edited" / "mine" / "greedy.py").open("a") as file:
        file.write("\n# edited\n")
    assert main.main([*words, "--output_dir", "../killed"]) == 0
    assert "has changed since (greedy.py)" in capsys.readouterr().err

    assert report.cli.main(["../killed", "--trust_code"]) == 0
    page = (folder / "killed" / "report" / "report.html").read_text()
    assert "tickets.Tickets" in page and "both-greedy.EpsilonGreedy" in page
    run = open_folder(run_folder(folder / "whole"))
    assert run is not None
    with trusting():
        rebuilt = rebuild(run.config, run.records())  # prompts are built anew, with the task's own file
    assert all(str(step.prompt).startswith("Which team should take this ticket?") for step in rebuilt)
