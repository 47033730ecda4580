"""A run with a larger --limit goes on where one with a smaller one ended, and pays for no step twice."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import main
from helpers.fake_server import FakeServer, serving
from helpers.runs import argv, lfd_stream, run_folders, steps
from memory.encoders import TextEncoder
from runs.checkpoint import Checkpoint

SIZE = 14
LINEAR = ("--agent", "cbr", "--bandit", "LinLogUCB")
TRAINED = ("--agent", "cbr", "--batch_size", 3, "--learning_rate", 1e-3)
LATEST = ("--agent", "icrl", "--comk", 3)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text_encoder: TextEncoder) -> Iterator[FakeServer]:
    monkeypatch.setattr(main, "make_load_encoder", lambda config: functools.cache(lambda: text_encoder))
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        yield server


def play(server: FakeServer, output: Path, limit: int | None, *more: object) -> Path:
    """Play the first `limit` steps (None: all); the run's folder."""
    own = ("--limit", limit) if limit else ()
    assert main.main(argv(server, output, "--shuffle", *own, *more)) == 0
    return next(f for f in run_folders(output) if read(f)["identity"]["limit"] == limit)


def read(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "config.yaml").read_text())


@pytest.mark.parametrize("more, small, seen", [
    (LINEAR, 5, 5),
    (TRAINED, 7, 0),  # its encoder's weights are kept by --final all only: the log is replayed
    ((*TRAINED, "--final", "all"), 7, 7),
    (("--agent", "zero-shot", "--concurrency", 3), 5, 0),
    ((*LATEST, "--concurrency", 3), 6, 6),
    ((*LATEST, "--concurrency", 3), 5, 0),  # ends in the middle of a round, to which two more steps will belong
    (("--agent", "mam-cbr", "--bandit", "LinLogUCB", "--llms", "a,b"), 5, 5),
], ids=str)  # fmt: skip
def test_the_steps_are_those_of_a_run_with_the_larger_limit_from_the_start(
    more: tuple[object, ...],
    small: int,
    seen: int,
    server: FakeServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "--llms" in more:  # no --llm, and the server's models are theirs
        server.models = {"object": "list", "data": [{"id": name, "object": "model"} for name in "abm"]}
        more = (*more, "--llm", "a,b")
    whole = play(server, tmp_path / "whole", None, *more)
    asked = len(server.chats)
    first = play(server, tmp_path / "grown", small, *more)
    kept = Checkpoint.open(first / "checkpoint")
    assert (kept.step if kept else 0) == seen
    before = steps(first)
    capsys.readouterr()
    grown = play(server, tmp_path / "grown", None, *more)

    said = capsys.readouterr().err
    assert f"takes {small} steps from {first}; no LLM is asked for them again" in said
    assert f"continuing at step {small + 1} of {SIZE}" in said
    assert len(server.chats) == 2 * asked  # those of the small one and the rest make one whole
    assert steps(grown) == steps(whole) and len(steps(whole)) == SIZE
    assert steps(first) == before
    assert read(grown)["taken_from"] == {"run": "/".join(first.parts[-4:]), "steps": small}
    assert [start["from_step"] for start in read(grown)["starts"]] == [1, small + 1]
    small_summary, summary = (json.loads((f / "summary.json").read_text()) for f in (first, grown))
    assert (small_summary["steps"], summary["steps"]) == (small, SIZE)


def test_a_stopped_run_grows_too_and_a_kill_in_between_harms_nothing(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = play(server, tmp_path / "whole", None, *LINEAR, "--log_requests")
    asked, output = len(server.chats), tmp_path / "grown"
    server.fault = lambda number: "503" if number == asked + 6 else None
    words = [*LINEAR, "--log_requests", "--max_retries", 0]
    assert main.main(argv(server, output, "--shuffle", "--limit", 9, *words)) == 1
    (stopped,) = run_folders(output)
    assert len(steps(stopped)) == 6 and Checkpoint.open(stopped / "checkpoint").step == 6

    class Killed(BaseException):
        pass

    def killed(folder: Path) -> None:
        raise Killed

    with monkeypatch.context() as patched:  # all is copied, and the steps have no name yet
        patched.setattr("runs.folder.place_steps", killed)
        with pytest.raises(Killed):
            main.main(argv(server, output, "--shuffle", *words))
    server.fault = lambda number: "503" if number == asked + 6 + 1 + 4 else None  # and an outage four steps later
    assert main.main(argv(server, output, "--shuffle", *words)) == 1
    grown = play(server, output, None, *words)
    assert steps(grown) == steps(whole)
    assert (grown / "requests.jsonl").read_text().count("\n") == SIZE
    assert len(server.chats) == 2 * asked + 2  # the two that failed
    assert len(steps(stopped)) == 6 and Checkpoint.open(stopped / "checkpoint").step == 6  # it can go on, too


def test_a_smaller_limit_takes_its_steps_from_the_larger_run(server: FakeServer, tmp_path: Path) -> None:
    expected = steps(play(server, tmp_path / "alone", 4, *LINEAR))
    play(server, tmp_path / "both", 9, *LINEAR)
    asked = len(server.chats)
    small = play(server, tmp_path / "both", 4, *LINEAR)
    assert steps(small) == expected and len(server.chats) == asked
    assert json.loads((small / "summary.json").read_text())["steps"] == 4
    assert Checkpoint.open(small / "final").step == 4


def test_what_is_taken_is_what_is_the_same(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "runs"
    discover = ("--agent", "cbrdiscover", "--bandit", "LinLogUCB")
    play(server, output, 3, *discover)
    play(server, output, 6, *discover)  # spreads its questions over the stream
    assert "note: --agent cbrdiscover plans with the stream's length" in capsys.readouterr().err
    asked = len(server.chats)
    assert asked == 9
    play(server, output, 3, "--agent", "icrl")
    for more in (("--agent", "icrl", "--comk", 2), ("--agent", "icrl", "--seed", 1), ("--agent", "icrl-plus")):
        play(server, tmp_path / "runs", 4, *more)
        assert "takes" not in capsys.readouterr().err
    play(server, output, 4, "--agent", "icrl", "--overwrite")
    assert "takes" not in capsys.readouterr().err
    folder = play(server, output, 5, "--agent", "icrl")
    assert "takes 4 steps from" in capsys.readouterr().err  # of two the longer
    config = read(folder)
    config["identity"]["task_code"] = {name: "0" * 64 for name in config["identity"]["task_code"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    play(server, output, 6, "--agent", "icrl")
    said = capsys.readouterr().err
    assert "code has changed since: not used" in said and "takes 4 steps from" in said
    assert len(server.chats) == asked + 3 + 3 * 4 + 4 + 1 + 2
