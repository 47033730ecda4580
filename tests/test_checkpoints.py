"""A checkpoint saves time and nothing else: it costs what is new, and a damaged one costs a replay, never an error."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import main
from agent import make_agent
from clients.scripted import ScriptedClient
from config import Config
from env import make_env
from errors import UserError
from helpers.fake_server import choose_option, serving
from helpers.runs import argv, lfd_stream, run_folder, steps
from helpers.tiny_models import save_bert_of_letters
from llm import LLM
from memory import encoders
from runs import reader, screen
from runs.checkpoint import MANIFEST, Checkpoint
from runs.folder import RunLog
from runs.reader import find_folders
from runs.track import Tracker
from step import Step

SIZE = 10
SOURCES = ("checkpoint", "checkpoint.old")


# -- what is written ---------------------------------------------------------------------------------------------------


def put(checkpoint: Checkpoint, cases: int, version: int, texts: int) -> None:
    """A bank, and an encoder whose weights are large and whose texts begin anew with each version."""
    bank = {"cases": [[f"task {i}", "answer", 1, i] for i in range(cases)], "embeddings": torch.arange(cases * 4.0)}
    checkpoint.put("bank", bank, grows=("cases", "embeddings"))
    encoder = {"version": version, "weights": torch.full((10_000,), float(version)), "texts": ["t"] * texts}
    checkpoint.put("encoder", encoder, grows=("texts",), version=version)


def write(folder: Path, before: Checkpoint | None, *state: int) -> Checkpoint:
    checkpoint = Checkpoint.begin(folder, state[0], before)
    put(checkpoint, *state)
    checkpoint.finish()
    return checkpoint


def content(folder: Path) -> tuple[int, int, int] | None:
    """(cases, version, texts) of a checkpoint; None where it cannot be used."""
    checkpoint = Checkpoint.open(folder)
    if checkpoint is None:
        return None
    bank, encoder = checkpoint.get("bank"), checkpoint.get("encoder")
    assert bank["cases"] == [[f"task {i}", "answer", 1, i] for i in range(checkpoint.step)]
    assert torch.equal(bank["embeddings"], torch.arange(checkpoint.step * 4.0))
    assert torch.equal(encoder["weights"], torch.full((10_000,), float(encoder["version"])))
    return checkpoint.step, encoder["version"], len(encoder["texts"])


def test_a_checkpoint_writes_what_is_new(tmp_path: Path) -> None:
    first = write(tmp_path / "1", None, 1000, 1, 5)
    second = write(tmp_path / "2", first, 1001, 1, 6)
    written = [path for path in (tmp_path / "2").iterdir() if path.stat().st_nlink == 1]
    assert [path.name for path in written] == [MANIFEST]
    assert written[0].stat().st_size < 2000
    third = write(tmp_path / "3", second, 1001, 2, 1)  # a training step
    assert {path.name for path in (tmp_path / "3").iterdir() if path.stat().st_nlink == 1} == {
        *(MANIFEST, "encoder.pt", "encoder-texts.jsonl")
    }
    write(tmp_path / "4", third, 1002, 2, 2)
    found = [content(tmp_path / str(number)) for number in range(1, 5)]
    assert found == [(1000, 1, 5), (1001, 1, 6), (1001, 2, 1), (1002, 2, 2)]  # each reads no further than it wrote


def test_checkpoints_that_share_a_file_do_not_mix(tmp_path: Path) -> None:
    """After going on from the older one, the newer one's bytes are gone; its hash tells, and the older one stands."""
    old = write(tmp_path / "old", None, 3, 1, 2)
    write(tmp_path / "new", old, 6, 1, 4)
    reopened = Checkpoint.open(tmp_path / "old")
    write(tmp_path / "other", reopened, 4, 1, 3)
    assert content(tmp_path / "new") is None
    assert content(tmp_path / "old") == (3, 1, 2)
    assert content(tmp_path / "other") == (4, 1, 3)


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first = write(tmp_path / "1", None, 3, 1, 2)
    write(tmp_path / "2", first, 5, 1, 3)
    assert (content(tmp_path / "1"), content(tmp_path / "2")) == ((3, 1, 2), (5, 1, 3))
    assert all(path.stat().st_nlink == 1 for path in tmp_path.rglob("*.jsonl"))


# -- killed in the middle ----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the project catches it."""


class Reaper:
    """Kills this process, so to speak, before its n-th operation on files below a folder."""

    OPERATIONS = ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")

    def __init__(self) -> None:
        self.left, self.folder = -1, ""
        sys.addaudithook(self.see)  # there is no taking it away again: it is idle while nothing is left to count

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.left < 0 or event not in self.OPERATIONS or self.folder not in f"{arguments[0]}{arguments[1:2]}":
            return
        self.left -= 1
        if self.left < 0:
            raise Killed

    def survives(self, after: int, folder: Path, action: Callable[[], None]) -> bool:
        self.left, self.folder = after, folder.name
        try:
            action()
        except Killed:
            return False
        finally:
            self.left = -1
        return True


@pytest.fixture(scope="module")
def reaper() -> Reaper:
    return Reaper()


def open_log(folder: Path, n_steps: int) -> RunLog:
    log = RunLog(folder, {}, overwrite=False, checkpoint_seconds=0)
    log.steps_logged = n_steps
    (folder / "steps.jsonl").touch()
    return log


@pytest.mark.parametrize("left", [("checkpoint",), ("checkpoint.old",), SOURCES])
def test_a_kill_between_any_two_operations_leaves_a_whole_checkpoint(
    left: tuple[str, ...], tmp_path: Path, reaper: Reaper
) -> None:
    """Whatever an earlier kill has left: there is always the last checkpoint or the new one."""
    for after in range(200):
        survived = kill_a_checkpoint(tmp_path / f"run-{after}-", left, after, reaper)
        if survived:
            break
    assert after > 15


def kill_a_checkpoint(folder: Path, left: tuple[str, ...], after: int, reaper: Reaper) -> bool:
    """Have the process killed while it writes a checkpoint; returns whether it was done before that."""
    log = open_log(folder, 9)
    before = write(folder / left[-1], None, 3, 1, 2)
    if len(left) == 2:
        write(folder / left[0], before, 5, 1, 3)
    found: list[int] = []
    log.restore(lambda checkpoint: found.append(checkpoint.step))
    survived = reaper.survives(after, folder, lambda: log.checkpoint(7, lambda new: put(new, 7, 1, 4)))
    log.close()
    whole = {content(folder / name) for name in SOURCES} - {None}
    assert whole & {(found[0], 1, found[0] // 2 + 1), (7, 1, 4)}, (after, list(folder.iterdir()))
    again = open_log(folder, 9)
    assert again.restore(lambda checkpoint: None) in (found[0], 7)
    again.checkpoint(8, lambda new: put(new, 8, 2, 1))  # and it goes on from there
    again.close()
    assert content(folder / "checkpoint") == (8, 2, 1)
    return survived


def test_a_checkpoint_of_steps_that_the_log_has_lost_is_dropped(tmp_path: Path) -> None:
    """Other answers may come in their place: what it learned from the lost ones would be mixed in later."""
    log = open_log(tmp_path / "run", 4)
    write(tmp_path / "run" / "checkpoint", None, 5, 1, 2)
    assert log.restore(lambda checkpoint: pytest.fail("it is ahead of the log")) == 0
    assert not (tmp_path / "run" / "checkpoint").exists()
    log.close()


def test_a_full_disk_in_the_middle_costs_that_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    log = RunLog(tmp_path / "run", {}, overwrite=False, checkpoint_seconds=0, tell=told.append)
    log.steps_logged = 9
    (tmp_path / "run" / "steps.jsonl").touch()
    log.checkpoint(3, lambda new: put(new, 3, 1, 2))

    def full(checkpoint: Checkpoint) -> None:
        put(checkpoint, 5, 1, 3)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log.checkpoint(5, full)
    assert told == ["no checkpoint at step 5: No space left on device; the run goes on"]
    assert content(tmp_path / "run" / "checkpoint") == (3, 1, 2)
    log.checkpoint(6, lambda new: put(new, 6, 1, 4))
    assert content(tmp_path / "run" / "checkpoint") == (6, 1, 4)
    log.close()


def test_reading_run_folders_while_a_run_renames_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is listed and gone a moment later is no error."""
    lfd_stream(tmp_path, 2)
    with serving() as server:
        assert main.main(argv(server, tmp_path / "out", "--agent", "zero-shot")) == 0
    vanishing = run_folder(tmp_path / "out") / "checkpoint.new"
    vanishing.mkdir()
    scandir = os.scandir

    def scan(path: Any) -> Any:
        if Path(path) == vanishing:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert find_folders(tmp_path / "out") == [vanishing.parent]


# -- damage ------------------------------------------------------------------------------------------------------------


def play(folder: Path, data: Path, encoder: encoders.TextEncoder, until: int | None = None) -> None:
    """cbr with a policy that trains, in `folder`, until the LLM dies at step `until`."""

    def answer(prompt: str) -> str:
        if env.index + 1 == until:
            raise Killed
        return env.format_answer(env.get_ground_truth()) if sum(prompt.encode()) % 2 else choose_option(prompt)

    config = Config(env="lfd", data=str(data), agent="cbr", batch_size=3)
    env = make_env(config.env, config.data, None, None)
    llm = LLM(ScriptedClient(answer))
    log = RunLog(folder, config.identity(), overwrite=False, checkpoint_seconds=0)
    try:
        agent = make_agent(config, env, llm, lambda: encoder)
        log.begin({}, {})
        main.run(env, agent, log, Tracker(config))
        log.finish({"bank_size": len(agent.retrieval.bank)})
    except Killed:
        pass
    finally:
        log.close()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, encoders.TextEncoder]]:
    """A run that stopped at step 9 with both checkpoints there, its stream, and its encoder; `whole` lies beside it."""
    base = tmp_path_factory.mktemp("stopped")
    save_bert_of_letters(base / "model")
    encoder = encoders.TextEncoder(str(base / "model"), torch.device("cpu"))
    data = lfd_stream(base, SIZE)
    play(base / "whole", data, encoder)
    play(base / "run", data, encoder, until=7)
    shutil.copytree(base / "run" / "checkpoint", base / "kept", copy_function=os.link)  # as checkpoint.old is kept
    play(base / "run", data, encoder, until=9)
    (base / "kept").rename(base / "run" / "checkpoint.old")
    assert [Checkpoint.open(base / "run" / name).step for name in SOURCES] == [8, 6]
    assert {path.suffix for path in (base / "run").rglob("*") if path.is_file()} >= {".pt", ".bin", ".jsonl", ".json"}
    yield base / "run", data, encoder


def damage(path: Path, how: str, amount: float, other: Path) -> None:
    raw = path.read_bytes() if path.is_file() else b""
    at = int(amount * len(raw))
    if how == "missing":
        path.unlink(missing_ok=True)
    elif how == "link":
        path.unlink(missing_ok=True)
        path.symlink_to(other)
    elif how == "exchanged":
        theirs = other.read_bytes() if other.is_file() else b""
        path.write_bytes(theirs)
        other.write_bytes(raw)
    else:
        ways = {
            "cut": raw[:at],
            "empty": b"",
            "zeroed": bytes(len(raw)),
            "flipped": raw[:at] + bytes(byte ^ 1 for byte in raw[at : at + 1]) + raw[at + 1 :],
            "garbage": hashlib.sha512(raw).digest(),
            "longer": raw + raw[-at:],
        }
        path.write_bytes(ways[how])


HOWS = ("cut", "empty", "zeroed", "flipped", "garbage", "longer", "missing", "link", "exchanged")


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    wounds=st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from(HOWS), st.floats(0, 1, exclude_max=True), st.integers(0, 99)),
        min_size=1,
        max_size=3,
    )
)
def test_a_damaged_checkpoint_changes_no_step(
    wounds: list[tuple[int, str, float, int]],
    stopped: tuple[Path, Path, encoders.TextEncoder],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    run, data, encoder = stopped
    folder = tmp_path_factory.mktemp("damaged") / "run"
    subprocess.run(["cp", "-a", run, folder], check=True)  # which keeps what is one file in both checkpoints one file
    files = sorted(path for name in SOURCES for path in (folder / name).iterdir())
    for which, how, amount, other in wounds:
        damage(files[which % len(files)], how, amount, files[other % len(files)])
    play(folder, data, encoder)
    assert steps(folder) == steps(run.parent / "whole")
    assert not any((folder / name).exists() for name in SOURCES)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(path=st.lists(st.integers(0, 9), max_size=6), value=json_values)
def test_an_odd_manifest_is_no_checkpoint_and_no_error(
    path: list[int], value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of any type in any place, even with the right hash below it."""
    folder = tmp_path_factory.mktemp("odd") / "checkpoint"
    write(folder, None, 3, 1, 2)
    manifest = {"all": json.loads((folder / MANIFEST).read_bytes().splitlines()[0])}
    holder, key = manifest, "all"
    for turn in path:
        inner = holder[key]
        if not isinstance(inner, dict) or not inner:
            break
        holder, key = inner, sorted(inner)[turn % len(inner)]
    holder[key] = value
    line = json.dumps(manifest["all"]).encode()
    (folder / MANIFEST).write_bytes(line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n")
    checkpoint = Checkpoint.open(folder)
    assert checkpoint is None or isinstance(checkpoint.step, int)


def test_a_checkpoint_of_an_older_format_is_done_without(
    stopped: tuple[Path, Path, encoders.TextEncoder], tmp_path: Path
) -> None:
    run, data, encoder = stopped
    subprocess.run(["cp", "-a", run, tmp_path / "run"], check=True)
    for name in SOURCES:
        shutil.rmtree(tmp_path / "run" / name)
        (tmp_path / "run" / name).mkdir()
        for file in ("cases.jsonl", "embeddings.npy", "policy.pt", "step"):
            (tmp_path / "run" / name / file).write_text("8")
    play(tmp_path / "run", data, encoder)
    assert steps(tmp_path / "run") == steps(run.parent / "whole")


@pytest.mark.parametrize("name", [*SOURCES, "checkpoint.new"])
def test_a_link_in_the_place_of_a_checkpoint_is_not_followed(
    name: str, stopped: tuple[Path, Path, encoders.TextEncoder], tmp_path: Path
) -> None:
    run, data, encoder = stopped
    subprocess.run(["cp", "-a", run, tmp_path / "run"], check=True)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(run / "checkpoint", elsewhere)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    shutil.rmtree(tmp_path / "run" / name, ignore_errors=True)
    (tmp_path / "run" / name).symlink_to(elsewhere)
    play(tmp_path / "run", data, encoder)
    assert steps(tmp_path / "run") == steps(run.parent / "whole")
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_a_text_is_encoded_alike_in_any_company(text_encoder: encoders.TextEncoder) -> None:
    fresh = encoders.TextEncoder.__new__(encoders.TextEncoder)
    texts = [f"{'a rather longer text about nothing ' * (i % 5)}{i}" for i in range(12)]
    fresh.__dict__.update(text_encoder.__dict__, _known=type(text_encoder._known)())
    together = fresh.encode(texts)
    for text, row in zip(texts, together):
        fresh._known.clear()
        assert (fresh.encode([text])[0] == row).all()


def test_a_continued_run_ranks_by_the_same_numbers_where_two_encoders_are_at_work(tmp_path: Path) -> None:
    """Recall by one encoder, ranking by another: what the unbroken run encoded in one batch, the other did in two."""
    lfd_stream(tmp_path, 9)
    save_bert_of_letters(tmp_path / "model")
    more = ("--agent", "cbr", "--bandit", "LinLogUCB", "--embedding_model_path", tmp_path / "model", "--comk", 2)
    with serving(lambda prompt: choose_option(prompt)) as server:
        assert main.main(argv(server, tmp_path / "unbroken", *more)) == 0
        first = len(server.chats)
        server.fault = lambda number: "503" if number == first + 6 else None
        broken = argv(server, tmp_path / "broken", *more, "--max_retries", 0, "--checkpoint_seconds", 0)
        assert main.main(broken) == 1
        assert main.main(broken) == 0
    assert steps(run_folder(tmp_path / "broken")) == steps(run_folder(tmp_path / "unbroken"))


def test_embeddings_in_memory_are_bounded(text_encoder: encoders.TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "KEPT", 5)
    before = dict(text_encoder._known)
    texts = [f"text {i}" for i in range(8)]
    first = text_encoder.encode(texts)
    assert list(text_encoder._known) == texts[-5:]
    assert (text_encoder.encode(texts) == first).all()
    monkeypatch.undo()
    text_encoder.remember(list(before), list(before.values()))


def test_a_log_is_not_held_in_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither while it grows, nor when it is read again, replayed and summed up."""
    config = Config(env="lfd", agent="zero-shot")

    def measured(action: Callable[[RunLog], Any]) -> int:
        tracemalloc.start()
        log = RunLog(tmp_path / "run", config.identity(), overwrite=False, checkpoint_seconds=600)
        log.begin({}, {})
        action(log)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        log.close()
        return peak

    def grow(log: RunLog) -> None:
        for number in range(1, 401):
            log.append(Step(number, "x" * 20_000, output="y" * 20_000, reward=1))

    def replay(log: RunLog) -> None:
        assert sum(1 for _ in log.records()) == 400
        log.finish({})
        screen.print_summary({"rows": 400, "origin": "sample"}, log)

    assert (tmp_path / "run" / "steps.jsonl").exists() is False
    assert measured(grow) < 8_000_000
    assert (tmp_path / "run" / "steps.jsonl").stat().st_size > 16_000_000
    assert measured(replay) < 8_000_000
    assert "(400 of 400)" in capsys.readouterr().out


# -- the log's first part ----------------------------------------------------------------------------------------------


def logged(folder: Path, start: int, end: int, **options: Any) -> RunLog:
    log = RunLog(folder, {"env": "lfd", "agent": "a", "llm": "m", "seed": 0}, overwrite=False, checkpoint_seconds=0)
    log.begin({}, {})
    for number in range(start, end + 1):
        log.append(Step(number, f"task {number}", output="é" * number, reward=number % 2))
    return log


def test_what_a_checkpoint_has_counted_is_not_read_line_by_line_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    check = reader.check_record
    monkeypatch.setattr(reader, "check_record", lambda record, number: (seen.append(number), check(record, number)))
    log = logged(tmp_path / "run", 1, 40)
    log.checkpoint(40, lambda new: put(new, 40, 1, 2))
    for number in (41, 42, 43):
        log.append(Step(number, f"task {number}", reward=0))
    log.close()
    seen.clear()
    log = logged(tmp_path / "run", 44, 44)
    assert (log.steps_logged, log.scored, log.successes) == (44, 44, 20)
    assert log.restore(lambda checkpoint: None) == 40
    assert [record["step"] for record in log.records(after=40)] == [41, 42, 43, 44]
    assert set(seen) == {41, 42, 43, 44}
    assert [record["step"] for record in log.records(after=38)] == list(range(39, 45))
    log.checkpoint(44, lambda new: put(new, 44, 1, 3))  # the hash goes on from where it was taken up
    log.close()
    seen.clear()
    log = logged(tmp_path / "run", 45, 44)
    assert log.steps_logged == 44 and not seen
    log.close()


def test_a_log_that_was_changed_is_read_in_whole(tmp_path: Path) -> None:
    log = logged(tmp_path / "run", 1, 9)
    log.checkpoint(9, lambda new: put(new, 9, 1, 2))
    log.close()
    path = tmp_path / "run" / "steps.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7]))  # steps 8 and 9 are lost
    log = logged(tmp_path / "run", 8, 7)
    assert (log.steps_logged, log.successes) == (7, 4)
    assert log.restore(lambda checkpoint: None) == 0
    log.close()
    path.write_bytes(lines[0] + lines[1].replace(b'"reward": 0', b'"reward": 7') + b"".join(lines[2:]))
    with pytest.raises(UserError, match="steps.jsonl:2: damaged"):
        logged(tmp_path / "run", 10, 9)


def test_a_kill_between_the_two_renames_is_continued_from_the_older(tmp_path: Path) -> None:
    log = logged(tmp_path / "run", 1, 9)
    log.checkpoint(9, lambda new: put(new, 9, 1, 2))
    log.close()
    (tmp_path / "run" / "checkpoint").rename(tmp_path / "run" / "checkpoint.old")
    (tmp_path / "run" / "checkpoint.new").mkdir()
    log = logged(tmp_path / "run", 10, 10)
    assert log.restore(lambda checkpoint: None) == 9
    log.checkpoint(10, lambda new: put(new, 10, 1, 3))
    log.close()
    assert content(tmp_path / "run" / "checkpoint") == (10, 1, 3) and not (tmp_path / "run" / "checkpoint.old").exists()
