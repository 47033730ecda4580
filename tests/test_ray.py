"""The Ray engine: the same runs as the local engine's, also when a worker is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from helpers.fake_server import serving
from helpers.figures import (
    SIZE,
    alive,
    all_steps,
    figure_argv,
    in_the_middle,
    parent,
    processes,
    run_figure,
    slowly,
    start_runner,
    very_slowly,
    wait_until,
)
from helpers.runs import lfd_stream

pytest.importorskip("ray")
RAY = ("--engine", "ray", "--workers", "2")


def test_a_killed_worker_changes_nothing(tmp_path: Path) -> None:
    """One of two Ray workers is killed in the middle of a run; another continues it."""
    local, output = tmp_path / "local", tmp_path / "ray"
    lfd_stream(tmp_path, SIZE)
    with serving(slowly) as server:
        assert run_figure(*figure_argv(server, local, "--workers", "3")).returncode == 0
        asked = len(server.chats)
        runner = start_runner(*figure_argv(server, output, *RAY))
        run = wait_until(lambda: in_the_middle(output))
        worker = parent(run)
        assert worker != runner.pid
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not alive(run), seconds=10)
        stdout, stderr = runner.communicate(timeout=150)
        again = len(server.chats) - 2 * asked
    assert runner.returncode == 0 and "6 finished" in stdout, stdout + stderr
    assert all_steps(output) == all_steps(local) and len(all_steps(local)) == 6
    assert 0 <= again <= 2, "the killed run was continued, not started over"
    logs = [path.read_text(encoding="utf-8") for path in (output / "logs").rglob("*.log")]
    assert sum(log.count("$ python main.py") for log in logs) == 7 and any("continuing at step" in log for log in logs)


def ignore_interrupts() -> None:
    """What a shell does to the jobs in its background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_ctrl_c_ends_ray_and_its_runs(tmp_path: Path) -> None:
    output = tmp_path / "results"
    lfd_stream(tmp_path, SIZE)
    with serving(very_slowly) as server:
        runner = start_runner(*figure_argv(server, output, *RAY), preexec_fn=ignore_interrupts)
        wait_until(lambda: in_the_middle(output))
        workers = {parent(run) for run in processes(output)}
        runner.send_signal(signal.SIGINT)
        stdout, stderr = runner.communicate(timeout=60)
        wait_until(lambda: not processes(output) and not any(map(alive, workers)), seconds=20)
    assert runner.returncode == 130 and " left" in stdout and "the same command goes on" in stderr
    logs = [path.read_text(encoding="utf-8") for path in (output / "logs").rglob("*.log")]
    assert any("interrupted: the same command continues the run" in log for log in logs)


@pytest.mark.parametrize(
    ("request_", "message"),
    [(("--gpus_per_run", "1.5"), "Ray gives whole ones"), (("--gpus_per_run", "1000"), "ask for less")],
)
def test_what_no_machine_has_is_one_clear_line(request_: tuple[str, ...], message: str, tmp_path: Path) -> None:
    """Ray itself would wait for such a machine for ever."""
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        finished = run_figure(*figure_argv(server, tmp_path / "results", *RAY, *request_))
    assert finished.returncode in (1, 2) and message in finished.stderr and "Traceback" not in finished.stderr
    assert not server.chats


def test_our_own_ray_is_not_the_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """RAY_ADDRESS names a cluster that does not answer; parts of a core add up to whole ones."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        argv = figure_argv(server, tmp_path / "results", "--engine", "ray", "--workers", "1", "--cpus_per_run", "1.3")
        finished = run_figure(*argv)
    assert finished.returncode == 0 and "6 finished" in finished.stdout, finished.stderr
