"""What lies in a run's place and is a link, or cannot be read, is not followed and is told of in one line."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import main
from helpers.fake_server import FakeServer, serving
from helpers.runs import argv, lfd_stream, run_folder, steps
from runs.reader import read_requests

PRECIOUS = "not to be touched"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    lfd_stream(tmp_path, 4)
    with serving() as server:
        yield server


@pytest.fixture
def stopped(server: FakeServer, tmp_path: Path) -> Path:
    """The folder of a run that stopped after two steps."""
    server.fault = lambda number: "503" if number == 2 else None
    assert main.main(command(server, tmp_path)) == 1
    server.fault = lambda number: None
    return run_folder(tmp_path / "out")


def command(server: FakeServer, tmp_path: Path, *more: object) -> list[str]:
    return argv(server, tmp_path / "out", "--agent", "icrl", "--max_retries", 0, "--log_requests", *more)


@pytest.mark.parametrize("new", ["{}.new", ".{}.new"])
@pytest.mark.parametrize("name", ["config.yaml", "summary.json"])
def test_a_link_beside_a_file_is_not_followed(
    new: str, name: str, server: FakeServer, stopped: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text(PRECIOUS)
    (stopped / new.format(name)).symlink_to(precious)
    assert main.main(command(server, tmp_path)) == 0
    assert precious.read_text() == PRECIOUS
    assert not (stopped / name).is_symlink() and len(steps(stopped)) == 4


@pytest.mark.parametrize("name", ["steps.jsonl", "requests.jsonl", ".lock"])
def test_a_link_in_the_place_of_a_file_that_is_written_in_place_is_refused(
    name: str, server: FakeServer, stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "precious"
    precious.write_text(PRECIOUS)  # without an end of line: a log's torn line, which would be cut off
    (stopped / name).unlink(missing_ok=True)
    (stopped / name).symlink_to(precious)
    capsys.readouterr()
    assert main.main(command(server, tmp_path)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {stopped / name} is a link")
    assert precious.read_text() == PRECIOUS
    if name != ".lock":
        assert main.main(command(server, tmp_path, "--overwrite")) == 0
        assert precious.read_text() == PRECIOUS and len(steps(stopped)) == 4


def test_files_have_the_permissions_that_the_user_asks_for(server: FakeServer, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert main.main(command(server, tmp_path)) == 0
    finally:
        os.umask(before)
    files = [path for path in run_folder(tmp_path / "out").iterdir() if path.is_file()]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}
    assert modes.pop(".lock", 0o600) & 0o600 == 0o600
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("torn", ["", '{"step": 3, "request": {"mess'])
def test_exchanges_of_a_step_that_was_not_logged_are_dropped(
    torn: str, server: FakeServer, stopped: Path, tmp_path: Path
) -> None:
    """A kill between a step's exchanges and its own line, or in the middle of one."""
    path = stopped / "requests.jsonl"
    lost = json.loads(path.read_text().splitlines()[-1]) | {"step": 3}
    path.write_text(path.read_text() + json.dumps(lost) + "\n" + torn)
    assert main.main(command(server, tmp_path)) == 0
    asked = read_requests(path)
    assert {step: len(requests) for step, requests in asked.items()} == {1: 1, 2: 1, 3: 1, 4: 1}
    assert "Line 2" in asked[3][0]["messages"][-1]["content"]  # the row of step 3, not what was lost


def test_data_that_cannot_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stream.jsonl").mkdir()
    unreadable = [tmp_path / "stream.jsonl" / "x.jsonl"]
    if sys.platform == "linux":
        unreadable.append(Path("/proc/self/mem"))
    for path in unreadable:
        assert main.main(["--env", "lfd", "--data", str(path), "--output_dir", str(tmp_path / "out")]) in (1, 2)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and str(path) in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["config.yaml", "steps.jsonl", "summary.json"])
def test_a_file_that_cannot_be_read_is_one_line(
    name: str, server: FakeServer, stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stopped / name).unlink(missing_ok=True)
    (stopped / name).mkdir()  # which root, too, cannot read as a file
    capsys.readouterr()
    assert main.main(command(server, tmp_path)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {stopped / name}: cannot be read (Is a directory)")
