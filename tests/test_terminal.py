"""What a person sees in the terminal: help, hints, progress with and without a terminal, the table over the seeds."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

import main
from command_line import config_of, typed_options
from errors import UsageError, nearest
from helpers.fake_server import FakeServer, serving
from helpers.runs import argv, lfd_stream, run_folders, steps
from registry import AGENTS, POLICIES
from report.runs import group, read_runs
from report.statistics import baseline_of, difference, last_quarter, success_rate
from runs import progress
from runs.progress import Progress

SIZE = 12


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        yield server


# -- help and hints ----------------------------------------------------------------------------------------------------


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        typed_options([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [50, 80, 120])
def test_help_is_in_groups_with_examples_and_a_line_on_each_agent_and_policy(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = help_of(capsys)
    assert text.splitlines()[0].startswith("usage: python main.py") and "\n\nDeployment-time" in text[:200]
    headings = re.findall(r"^(\S.*):$", text, re.M)
    assert headings[headings.index("the run") + 1 :][:2] == ["agents, --agent", "policies, --bandit"]
    assert {"the stream", "the agent and its policy", "the LLM"} <= set(headings)
    words = " ".join(text.split())
    for name, row in (AGENTS | POLICIES).items():
        assert row.help and re.search(rf"^  {name}  +{row.help.split()[0]}", text, re.M), name
        assert f"{name} {row.help}" in words
    assert max(map(len, text.splitlines()[1:])) <= columns
    examples = re.sub(r"\n {6,}", " ", text.partition("\nexamples")[2])
    commands = re.findall(r"python main.py (.*)", examples)
    assert len(commands) == 5
    for command in commands[:-1]:  # the last has a file of the reader's own
        assert config_of(command.split()).env


@pytest.mark.parametrize("words, meant", [
    ("--Env lfd", "Did you mean --env? "), ("--ENV lfd", "Did you mean --env? "), ("-env lfd", "Did you mean --env? "),
    ("--recall-size 3", "Did you mean --recall_size? "), ("--recall-size=3", "Did you mean --recall_size? "),
    ("--RecallSize 3", "Did you mean --recall_size? "), ("--agnet cbr --seeed 1", "Did you mean --agent, --seed? "),
    ("cbr", "Did you mean --agent cbr? "), ("--xyzzy 1", "--xyzzy 1 (`python main.py --help`"),
    ("--env LFD", "Did you mean 'lfd'? "), ("--agent ZERO_SHOT", "Did you mean 'zero-shot'? "),
    ("--bandit linlogucb", "Did you mean 'LinLogUCB'? "), ("--control Emtpy", "Did you mean 'empty'? "),
    ("--serving_mode OpenAI --llm m", "Did you mean 'openai'? "), ("--track WandB", "Did you mean 'wandb'? "),
])  # fmt: skip
def test_what_was_meant(words: str, meant: str) -> None:
    with pytest.raises(UsageError) as error:
        config_of(words.split())
    assert meant in str(error.value)


def test_of_two_names_the_nearer() -> None:
    assert nearest("neural-lin-logucb", POLICIES) == "NeuralLinLogUCB" and nearest("zzz", POLICIES) is None


# -- progress ----------------------------------------------------------------------------------------------------------


def test_without_a_terminal_there_is_a_line_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress, "clock", lambda: now[0])
    with Progress() as shown:
        shown.expect(3000, done=100)
        for _ in range(20):
            shown.advance(0, 0.25, replayed=True)
        for number in range(300):
            now[0] += 0.5
            shown.advance(0, 0.5 + number / 1000, "USD 0.12")
    lines = capsys.readouterr().err.splitlines()
    said = [line.partition("  ") for line in lines]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", time) for time, _, _ in said)
    assert [text for _, _, text in said] == [
        "220 of 3,000 steps, 2.0 a second, success rate 0.619, USD 0.12, 23 min to go",
        "340 of 3,000 steps, 2.0 a second, success rate 0.739, USD 0.12, 22 min to go",
        "400 of 3,000 steps, 2.0 a second, success rate 0.799, USD 0.12, 22 min to go",
    ]


def test_a_log_file_has_no_carriage_returns(
    server: FakeServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main.main(argv(server, tmp_path / "out", "--agent", "icrl")) == 0
    said = capfd.readouterr().err
    assert "\r" not in said
    (line,) = [line for line in said.splitlines() if "steps, " in line]
    rate = steps(run_folders(tmp_path / "out")[0])[-1]["success_rate"]
    assert line[10:].startswith(f"{SIZE} of {SIZE} steps, ") and line.endswith(f"a second, success rate {rate:.3f}")
    assert main.main(argv(server, tmp_path / "out", "--agent", "icrl")) == 0  # nothing is played, nothing is said
    assert "steps, " not in capfd.readouterr().err


@pytest.mark.parametrize("columns", [40, 50, 60, 100])
def test_a_narrow_terminal_keeps_the_rate(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        patched.setattr(progress, "BAR_SECONDS", 0.0)
        with Progress() as shown:
            shown.expect(3080, done=1000)
            shown.advance(0, 0.5, "USD 12.34", replayed=True)
            for _ in range(3):
                shown.advance(0, 0.618, "USD 12.34")
    written = read_all(ours)
    lines = [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[\w", "", written)) if line.strip()]
    assert all(len(line) <= columns for line in lines)
    assert lines[-1].startswith("success rate 0.618:  33%|")
    assert columns < 60 or "1000/3080" in lines[0]  # it starts where the run is
    assert any("learning from logged step 1" in line for line in lines) == (columns == 100)
    assert columns < 60 or "1003/3080" in lines[-1]


def read_all(terminal: int) -> str:
    """What was written to a terminal that is closed at its other end."""
    found = b""
    with contextlib.suppress(OSError):  # the end
        while piece := os.read(terminal, 100_000):
            found += piece
    os.close(terminal)
    return found.decode()


# -- several seeds -----------------------------------------------------------------------------------------------------


def over_seeds(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The table at the end, by the name of its lines."""
    text = capsys.readouterr().out.partition("over 5 seeds")[2]
    return {line[2:28].strip(): line[29:].strip() for line in text.splitlines()[1:] if line}


@pytest.mark.parametrize("more", [(), ("--concurrency", 2)], ids=["one by one", "beside each other"])
def test_several_seeds_end_with_a_table_that_says_what_the_report_says(
    more: tuple[object, ...], server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    words = ("--shuffle", "--seed", -1, *more)
    assert main.main(argv(server, output, *words, "--agent", "icrl")) == 0
    table = over_seeds(capsys)
    assert table["against zero-shot"] == "not run yet: the same command with --env lfd --agent zero-shot"
    assert main.main(argv(server, output, *words, "--agent", "zero-shot")) == 0
    assert "against zero-shot" not in over_seeds(capsys)
    assert main.main(argv(server, output, *words, "--agent", "icrl")) == 0
    table = over_seeds(capsys)

    (stream,) = group(read_runs(output))
    (setting,) = [setting for setting in stream.settings if setting.identity["agent"] == "icrl"]
    rate, last = success_rate(setting), last_quarter(setting)
    gain = difference(setting, baseline_of(stream, setting))
    rates = " ".join(f"{run.figure('success_rate'):.3f}" for run in setting.finished)
    assert table["success rate"].split("   ")[0] == f"{rate.mean:.3f} ± {rate.half_width:.3f}"
    assert table["success rate"].endswith(f" {rates}") and len(setting.finished) == 5
    assert table["last quarter success rate"].startswith(f"{last.mean:.3f} ± {last.half_width:.3f}")
    interval = gain.interval.scaled(100)
    assert gain.seeds == 5 and table["against zero-shot"].startswith(
        f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}] points"
    )
    (run_folders(output)[-1] / "summary.json").unlink()  # of zero-shot, seed 4
    assert main.main(argv(server, output, *words, "--agent", "icrl")) == 0
    line = over_seeds(capsys)["against zero-shot"]
    assert "points, of the 4 seeds that it has, too" in line and line.endswith(" -")


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["main.py", "scripts/report.py", "scripts/run_experiments.py"])
def test_ctrl_c_in_the_middle_of_imports_ends_without_a_word(script: str, tmp_path: Path) -> None:
    """The module that each imports late stands still there, so the signal comes neither sooner nor later."""
    still = tmp_path / "yaml.py"
    still.write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    words = ["memory", "--env", "lfd"] if "run" in script else [str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(ROOT / script), *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heed
    )
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")


def heed() -> None:
    """Undo what a test run in the background passes on: a shell lets its background jobs ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
