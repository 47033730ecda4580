"""A folder holds one run: it is continued, kept or replaced as asked, never mixed, and damage is named."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import run_cli

import main
from command_line import config_of
from helpers.fake_server import FakeServer, serving
from helpers.runs import argv, lfd_stream, run_folder, run_folders, steps
from runs.folder import RunLog


def test_a_second_process_on_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lfd_stream(tmp_path, 4)
    with serving() as server:
        config = config_of(argv(server, tmp_path / "run", "--agent", "zero-shot"))
        held = RunLog(tmp_path / "run" / config.run_name(), {}, overwrite=False, checkpoint_seconds=0)
        for more in ((), ("--overwrite",)):
            second = run_cli(*argv(server, tmp_path / "run", "--agent", "zero-shot", *more))
            assert second.returncode == 1
            assert second.stderr.splitlines()[-1].endswith("another process is writing this run")
        held.close()
        assert server.chats == []
        assert main.main(argv(server, tmp_path / "run", "--agent", "zero-shot")) == 0


class TestFolder:
    """What main.py does with a run folder that is there already."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Any:
        lfd_stream(tmp_path, 6)
        with serving() as server:
            yield server

    def run(self, server: FakeServer, tmp_path: Path, *more: object) -> int:
        return main.main(argv(server, tmp_path / "run", "--agent", "icrl", *more))

    def unfinish(self, tmp_path: Path, lines: int) -> Path:
        """Make the finished run one that was killed after `lines` steps; returns steps.jsonl."""
        folder = run_folder(tmp_path / "run")
        (folder / "summary.json").unlink()
        path = folder / "steps.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))
        return path

    def test_finished_run_is_kept(self, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(server, tmp_path) == 0
        path = run_folder(tmp_path / "run") / "steps.jsonl"
        before, printed = path.read_bytes(), capsys.readouterr().out
        assert self.run(server, tmp_path) == 0
        again = capsys.readouterr()
        assert "finished; --overwrite starts it over" in again.err
        assert again.out == printed
        assert path.read_bytes() == before
        assert len(server.chats) == 6

    def test_overwrite_starts_over(self, server: FakeServer, tmp_path: Path) -> None:
        assert self.run(server, tmp_path) == 0
        folder = run_folder(tmp_path / "run")
        before = steps(folder)
        server.answer = lambda prompt: "no idea"
        assert self.run(server, tmp_path, "--overwrite") == 0
        assert len(server.chats) == 12
        after = steps(folder)
        assert [step["task"] for step in after] == [step["task"] for step in before]
        assert {step["output"] for step in after} == {"no idea"}
        assert json.loads((folder / "summary.json").read_text())["success_rate"] == 0.0

    @pytest.mark.parametrize("torn", [b"{", b'{"step": 4, "task": "Line 3', b'{"step": 4}', "é".encode()[:1]])
    def test_torn_last_line_is_done_again(self, server: FakeServer, tmp_path: Path, torn: bytes) -> None:
        assert self.run(server, tmp_path) == 0
        before = steps(run_folder(tmp_path / "run"))
        path = self.unfinish(tmp_path, 3)
        path.write_bytes(path.read_bytes() + torn)
        assert self.run(server, tmp_path) == 0
        assert steps(path.parent) == before
        assert len(server.chats) == 6 + 3

    @pytest.mark.parametrize("damage", ["{not json", '{"step": 9}', "[]", '{"step": 2}', "\xff"])
    def test_damaged_line_is_named(
        self, server: FakeServer, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(server, tmp_path) == 0
        path = self.unfinish(tmp_path, 4)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(lines[0] + damage.encode("latin-1") + b"\n" + lines[2])
        before = path.read_bytes()
        capsys.readouterr()
        assert self.run(server, tmp_path) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {path}:2: damaged") and "--overwrite" in line
        assert path.read_bytes() == before
        assert self.run(server, tmp_path, "--overwrite") == 0

    @pytest.mark.parametrize("name, text", [("config.yaml", "identity: ["), ("config.yaml", ""), ("summary.json", "{")])
    def test_damaged_file_is_named(
        self, server: FakeServer, tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(server, tmp_path) == 0
        (run_folder(tmp_path / "run") / name).write_text(text)
        capsys.readouterr()
        assert self.run(server, tmp_path) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{name}: damaged" in line and "--overwrite" in line

    def test_steps_of_unknown_origin_are_refused(
        self, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(server, tmp_path) == 0
        path = self.unfinish(tmp_path, 2)
        (path.parent / "config.yaml").unlink()
        capsys.readouterr()
        assert self.run(server, tmp_path) == 1
        assert "no config.yaml beside it" in capsys.readouterr().err

    def test_other_data_is_another_run(
        self, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(server, tmp_path) == 0
        self.unfinish(tmp_path, 2)
        lfd_stream(tmp_path, 7)
        capsys.readouterr()
        assert self.run(server, tmp_path) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "holds another run (data_sha256: " in line and "--overwrite" in line and "--output_dir" in line
        assert self.run(server, tmp_path, "--overwrite") == 0
        assert len(steps(run_folder(tmp_path / "run"))) == 7

    def test_config_records_the_run(self, server: FakeServer, tmp_path: Path) -> None:
        assert self.run(server, tmp_path, "--limit", 5) == 0
        recorded = yaml.safe_load((run_folder(tmp_path / "run") / "config.yaml").read_text())
        assert recorded["options"]["limit"] == 5 and recorded["options"]["regularization"] == 0.1
        assert recorded["data"]["rows"] == 5 and recorded["data"]["origin"] == "user"
        assert len(recorded["data"]["sha256"]) == 64
        assert {"torch", "numpy", "openai"} <= set(recorded["starts"][0]["versions"])


class TestStarts:
    """config.yaml tells of every start that logged a step; what logged none leaves nothing behind."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Any:
        lfd_stream(tmp_path, 4)
        with serving() as server:
            yield server

    def test_every_start_is_recorded(self, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        command = argv(server, tmp_path / "run", "--agent", "icrl", "--max_retries", 0)
        server.fault = lambda number: "500" if number in (2, 3) else None
        assert main.main(command) == 1
        assert main.main(command) == 1  # this one logs no step
        monkeypatch.setattr("runs.folder.code_version", lambda: {"commit": "another", "dirty": False})
        with serving() as other:
            assert main.main([str(other.port) if word == str(server.port) else word for word in command]) == 0
        recorded = yaml.safe_load((run_folder(tmp_path / "run") / "config.yaml").read_text())
        first, second = recorded["starts"]
        assert (first["from_step"], second["from_step"]) == (1, 3)
        assert str(server.port) in first["llm"]["address"] and str(other.port) in second["llm"]["address"]
        assert first["code"] != second["code"] == {"commit": "another", "dirty": False}
        for start in (first, second):
            assert {"time", "versions", "llm", "task", "device"} <= start.keys()
        assert "code" not in recorded and "versions" not in recorded

    def test_a_run_without_a_step_leaves_nothing(self, server: FakeServer, tmp_path: Path) -> None:
        output = tmp_path / "run"
        command = argv(server, output, "--agent", "icrl", "--max_retries", 0)
        server.fault = lambda number: "500"
        tracked = [("--track", "tensorboard")] if importlib.util.find_spec("tensorboard") else []
        for more in ((), ("--log_requests",), *tracked):
            assert main.main([*command, *more]) == 1
            assert not output.exists()

    def test_a_run_started_over_without_a_step_leaves_nothing_either(self, server: FakeServer, tmp_path: Path) -> None:
        output = tmp_path / "run"
        command = argv(server, output, "--agent", "icrl", "--max_retries", 0)
        assert main.main([*command, "--log_requests"]) == 0
        folder = run_folder(output)
        server.fault = lambda number: "500"
        assert main.main([*command, "--overwrite"]) == 1
        assert not folder.exists()

    def test_a_first_line_that_was_torn_is_no_step(self, server: FakeServer, tmp_path: Path) -> None:
        output = tmp_path / "run"
        command = argv(server, output, "--agent", "icrl", "--max_retries", 0)
        assert main.main(command) == 0
        folder = run_folder(output)
        (folder / "summary.json").unlink()
        (folder / "steps.jsonl").write_text('{"step": 1')
        server.fault = lambda number: "500"
        assert main.main(command) == 1
        assert not folder.exists()


def test_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lfd_stream(tmp_path, 8)

    def tasks(output: Path) -> list[list[str]]:
        return [[step["task"] for step in steps(folder)] for folder in run_folders(output)]

    with serving() as server:
        for output in ("one", "two"):
            assert main.main(argv(server, tmp_path / output, "--agent", "icrl", "--seed", 3, "--shuffle")) == 0
        assert main.main(argv(server, tmp_path / "five", "--agent", "icrl", "--seed", -1, "--shuffle")) == 0
        assert main.main(argv(server, tmp_path / "plain", "--agent", "icrl", "--seed", 3)) == 0
    assert steps(run_folder(tmp_path / "one")) == steps(run_folder(tmp_path / "two"))
    assert [folder.name for folder in run_folders(tmp_path / "five")] == [f"seed{seed}" for seed in range(5)]
    orders = tasks(tmp_path / "five")
    assert len({tuple(order) for order in orders}) == 5
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert [orders[3]] == tasks(tmp_path / "one")
    (plain,) = tasks(tmp_path / "plain")
    assert plain == [json.loads(line)["task"] for line in (tmp_path / "stream.jsonl").read_text().splitlines()]
    assert {chat["seed"] for chat in server.chats} == set(range(5))
    assert "over 5 seeds" in capsys.readouterr().out
