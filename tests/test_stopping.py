"""What stops a run leaves a checkpoint where nothing is half learned, and no traceback: Ctrl-C, SIGTERM, an outage."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import main
from helpers.fake_server import FakeServer, choose_option, serving
from helpers.runs import argv, lfd_stream, run_folder, steps
from runs.checkpoint import Checkpoint
from stopping import HOLD, Terminated, signals_as_exceptions

SIZE = 12
STOP = 7  # the step, from 0, at which a run is stopped
DISCOVER = ("--agent", "cbrdiscover", "--bandit", "LinLogUCB", "--skip_steps", 1, "--budget_ratio", 0.5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        yield server


def words_of(server: FakeServer | None, output: Path, *more: object) -> list[str]:
    return argv(server, output, "--checkpoint_seconds", 600, *more)


def saved(output: Path) -> int:
    """The steps that the run's checkpoint has seen; 0 where there is none."""
    checkpoint = Checkpoint.open(run_folder(output) / "checkpoint")
    return checkpoint.step if checkpoint else 0


def written(output: Path) -> int:
    """The steps in the log of the run below `output`, whole lines."""
    return sum(log.read_bytes().count(b"\n") for log in output.rglob("steps.jsonl"))


def forked(words: list[str], errors: Path) -> int:
    """main.py in a process of its own, whose standard error goes to a file; its id."""
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with errors.open("wb") as file:
            os.dup2(file.fileno(), 2)
            sys.stderr = open(2, "w", buffering=1, closefd=False)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = 99
            try:
                code = main.main(words)
            finally:
                os._exit(code)
    return pid


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign, code, word, more", [
    (signal.SIGINT, 130, "interrupted", ("--agent", "icrl")),
    (signal.SIGTERM, 143, "terminated", ("--agent", "zero-shot", "--concurrency", 3)),
])  # fmt: skip
def test_a_signal_leaves_a_checkpoint(
    sign: int, code: int, word: str, more: tuple[Any, ...], server: FakeServer, tmp_path: Path, capfd: Any
) -> None:
    assert main.main(words_of(server, tmp_path / "whole", *more)) == 0
    server.chats.clear()
    pids: list[int] = []

    def stop(number: int) -> str | None:
        asked = int(re.findall(r"Line (\d+)", server.chats[number]["messages"][-1]["content"])[-1])
        if asked != STOP:
            return None if asked < STOP else "hang"
        while not pids or written(tmp_path / "run") < STOP:  # those before are on their way
            time.sleep(0.01)
        os.kill(pids[0], sign)
        return "hang"

    server.fault = stop
    pids.append(forked(words_of(server, tmp_path / "run", *more), tmp_path / "errors"))
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == code
    said = (tmp_path / "errors").read_text()
    assert said.splitlines()[-1] == f"{word}: the same command continues the run" and "Traceback" not in said
    assert saved(tmp_path / "run") == len(steps(run_folder(tmp_path / "run"))) == STOP
    server.fault = lambda number: None
    capfd.readouterr()
    assert main.main(words_of(server, tmp_path / "run", *more)) == 0
    assert steps(run_folder(tmp_path / "run")) == steps(run_folder(tmp_path / "whole"))
    said = capfd.readouterr().err
    assert f"continuing at step {STOP + 1} of {SIZE}" in said and f"{SIZE} of {SIZE} steps, " in said


def test_ctrl_c_while_python_loads_and_later_shows_no_traceback(tmp_path: Path) -> None:
    lfd_stream(tmp_path, SIZE)
    words = [sys.executable, str(ROOT / "main.py"), *words_of(None, tmp_path / "run", "--agent", "cbr")]
    for library in ("numpy", "libtorch_cpu"):  # what it has begun to load by then
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
        loaded = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and library not in loaded.read_text():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=200)
        assert "Traceback" not in said and "Exception ignored" not in said, (library, said)
        assert process.returncode == 130, (library, said)


def heed() -> None:
    """Undo what a test run in the background passes on: a shell lets its background jobs ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C is heeded, also where the tests run in the background, where a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_waits_for_what_is_being_learned_and_a_second_one_does_not(heeded: None) -> None:
    done = []
    with signals_as_exceptions():
        with pytest.raises(Terminated), HOLD.held():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("learned")
        with pytest.raises(KeyboardInterrupt), HOLD.held():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("never")
        with HOLD.held(), HOLD.held():
            done.append("nothing came")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            done.append("never")
    assert done == ["learned", "nothing came"]


def test_a_job_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals_as_exceptions():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


# -- an outage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more, expected", [
    (DISCOVER, STOP),
    (("--agent", "cbr", "--bandit", "LinLogUCB"), STOP),
    ((*DISCOVER, "--concurrency", 7), STOP),  # the end of a round
    ((*DISCOVER, "--concurrency", 2), 0),  # in the middle of one
])  # fmt: skip
def test_an_outage_leaves_a_checkpoint_at_a_rounds_end(
    more: tuple[Any, ...], expected: int, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (*more, "--max_retries", 0)
    assert main.main(words_of(server, tmp_path / "whole", *more)) == 0
    failing = f"Line {STOP}:"
    server.answer = lambda prompt: choose_option(prompt)
    down = True

    def fault(number: int) -> str | None:
        asked = server.chats[number]["messages"][-1]["content"].rpartition("Line ")[2]
        return "503" if down and f"Line {asked}".startswith(failing) else None

    server.fault = fault
    assert main.main(words_of(server, tmp_path / "run", *more)) == 1
    assert f"goes on from step {STOP + 1}" in capsys.readouterr().err
    assert len(steps(run_folder(tmp_path / "run"))) == STOP and saved(tmp_path / "run") == expected
    down = False
    assert main.main(words_of(server, tmp_path / "run", *more)) == 0
    assert steps(run_folder(tmp_path / "run")) == steps(run_folder(tmp_path / "whole"))


def test_what_is_stopped_while_it_learns_is_not_saved(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent import Agent

    retain, more = Agent.retain, ("--agent", "cbr", "--bandit", "LinLogUCB")
    assert main.main(words_of(server, tmp_path / "whole", *more)) == 0

    def interrupted(agent: Agent, step: Any) -> None:
        if step.number == STOP:
            raise KeyboardInterrupt  # as a second Ctrl-C
        retain(agent, step)

    monkeypatch.setattr(Agent, "retain", interrupted)
    assert main.main(words_of(server, tmp_path / "run", *more)) == 130
    assert len(steps(run_folder(tmp_path / "run"))) == STOP - 1 and saved(tmp_path / "run") == 0
    monkeypatch.setattr(Agent, "retain", retain)
    assert main.main(words_of(server, tmp_path / "run", *more)) == 0
    assert steps(run_folder(tmp_path / "run")) == steps(run_folder(tmp_path / "whole"))
