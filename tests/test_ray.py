"""The Ray engine: the same runs as the local engine's, also when a worker is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from fake_server import serving
from figures import (
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
    wait_until,
)
from runs import lfd_stream

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


def test_ctrl_c_ends_ray_and_its_runs(tmp_path: Path) -> None:
    output = tmp_path / "results"
    lfd_stream(tmp_path, SIZE)
    with serving(slowly) as server:
        runner = start_runner(*figure_argv(server, output, *RAY))
        wait_until(lambda: in_the_middle(output))
        workers = {parent(run) for run in processes(output)}
        runner.send_signal(signal.SIGINT)
        stdout, stderr = runner.communicate(timeout=60)
        wait_until(lambda: not processes(output) and not any(map(alive, workers)), seconds=20)
    assert runner.returncode == 130 and " left" in stdout and "the same command goes on" in stderr
    logs = [path.read_text(encoding="utf-8") for path in (output / "logs").rglob("*.log")]
    assert any("interrupted: the same command continues the run" in log for log in logs)
