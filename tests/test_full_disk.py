"""A full disk is one line: what was logged stays, nothing is half-written, and with room the same command goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

import main
from helpers.fake_server import FakeServer, serving
from helpers.runs import lfd_stream, run_folder, steps

SIZE = 12
ADVICE = "no room left on the disk; what was logged is kept, and once there is room the same command goes on"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB that is not ours to keep."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    if (
        sys.platform != "linux"
        or shutil.which("mount") is None
        or subprocess.run(command, capture_output=True).returncode
    ):
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        yield server


def fill(folder: Path, left: int) -> Path:
    """Fill the file system but for `left` bytes, rounded to its pages."""
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - left)))
    return ballast


def argv(tmp_path: Path, server: FakeServer, output: Path, *more: object) -> list[str]:
    words = ("--env", "lfd", "--data", tmp_path / "stream.jsonl", "--output_dir", output)
    return [str(word) for word in (*words, "--llm", "m", "--port", server.port, "--agent", "icrl", *more)]


@pytest.mark.parametrize("left", [0, 4096, 8192, 20480])
def test_a_run_goes_on_once_there_is_room(
    left: int, small: Path, tmp_path: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Full before the first file, at config.yaml, in a step's line, in a request's."""
    arguments = argv(tmp_path, server, small / "out", "--checkpoint_seconds", 600, "--log_requests")
    ballast = fill(small, left)
    assert main.main(arguments) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"error: {small}/out/") and ("No space left on device" in line or line.endswith(ADVICE))
    done = sum(len(steps(path.parent)) for path in small.rglob("steps.jsonl"))
    assert done < SIZE
    ballast.unlink()
    assert main.main(arguments) == 0
    assert main.main(argv(tmp_path, server, tmp_path / "unharmed", "--log_requests")) == 0
    folder, unharmed = run_folder(small / "out"), run_folder(tmp_path / "unharmed")
    assert steps(folder) == steps(unharmed)
    assert [line["request"] for line in requests(folder)] == [line["request"] for line in requests(unharmed)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in unharmed.iterdir())


def requests(folder: Path) -> list[dict]:
    from runs.reader import read_requests

    asked = read_requests(folder / "requests.jsonl")
    assert list(asked) == list(range(1, SIZE + 1)) and all(len(of_step) == 1 for of_step in asked.values())
    return [{"step": step, "request": of_step[0]["messages"]} for step, of_step in asked.items()]


def test_a_checkpoint_without_room_is_done_without(
    small: Path, tmp_path: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here the log has room and a checkpoint has not: it is a policy's matrix of 768 x 768 numbers."""
    more = ("--agent", "cbr", "--bandit", "LinLogUCB", "--checkpoint_seconds", 0, "--limit", 4)
    assert main.main(argv(tmp_path, server, small / "out", *more)) == 0
    assert "no checkpoint at step 1: No space left on device; the run goes on" in capsys.readouterr().err
    assert main.main(argv(tmp_path, server, tmp_path / "unharmed", *more)) == 0
    assert steps(run_folder(small / "out")) == steps(run_folder(tmp_path / "unharmed"))
    assert not list(small.rglob("checkpoint*"))


def test_a_cache_on_a_full_disk(
    small: Path, tmp_path: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = argv(tmp_path, server, tmp_path / "out", "--cache", small / "answers.sqlite")
    assert main.main([*arguments, "--limit", "1"]) == 0
    ballast = fill(small, 0)
    assert main.main(arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {small}/answers.sqlite: {ADVICE}"
    ballast.unlink()
    assert main.main(arguments) == 0
    assert server.answered == SIZE + 1  # the answer that there was no room for is asked for again


def test_a_report_on_a_full_disk(
    small: Path, tmp_path: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(argv(tmp_path, server, tmp_path / "out")) == 0
    fill(small, 4096)
    command = [
        sys.executable,
        str(ROOT / "scripts" / "report.py"),
        str(tmp_path / "out"),
        "--out",
        str(small / "report"),
    ]
    stopped = subprocess.run(command, capture_output=True, text=True)
    assert (stopped.returncode, "Traceback" in stopped.stderr) == (1, False)
    assert "cannot write here (No space left on device)" in stopped.stderr.splitlines()[-1]
