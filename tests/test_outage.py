"""An outage is not a wrong answer: whatever the server does, only what it answered is scored and learned."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import run_cli

import main
from clients.server import Server
from helpers.fake_server import FAULTS, FakeServer, choose_option, serving
from helpers.runs import lfd_stream, run_folder, steps

SIZE = 12
N_FAULTS = 8
KEY = "sk-a-secret-that-nobody-writes-down"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "VLLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def quick_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "UNREADABLE_PAUSE", 0.001)


def argv(tmp_path: Path, server: FakeServer, *more: object, mode: str = "vllm", folder: str = "run") -> list[str]:
    words = ("--env", "lfd", "--data", tmp_path / "stream.jsonl", "--output_dir", tmp_path / folder)
    where = ("--llm", "m", "--serving_mode", mode, "--port", server.port)
    return [str(word) for word in (*words, *where, "--agent", "icrl", "--timeout", 0.5, *more)]


def use_openai(monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.port}/v1")


def last_line(text: str) -> str:
    return text.splitlines()[-1]


# -- faults that pass --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["vllm", "openai"])
def test_random_faults_change_nothing(
    mode: str, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_openai(monkeypatch, server)
    healthy = run_cli(*argv(tmp_path, server, mode=mode, folder="healthy"))
    assert healthy.returncode == 0, healthy.stderr
    server.chats.clear()
    server.answered = 0
    order = random.Random(mode).sample(FAULTS, N_FAULTS)
    server.fault = lambda number: order[number // 2] if number % 2 == 0 and number < 2 * N_FAULTS else None
    faulty = run_cli(*argv(tmp_path, server, "--max_retries", 4, mode=mode, folder="faulty"))
    assert faulty.returncode == 0, faulty.stderr
    assert server.answered == SIZE
    assert len(server.chats) == SIZE + N_FAULTS
    assert len(steps(run_folder(tmp_path / "faulty"))) == SIZE
    assert steps(run_folder(tmp_path / "faulty")) == steps(run_folder(tmp_path / "healthy"))


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_tried_again(fault: str, server: FakeServer, tmp_path: Path, quick_pause: None) -> None:
    server.fault = lambda number: fault if number == 1 else None
    assert main.main(argv(tmp_path, server, "--limit", 2, "--max_retries", 1, "--timeout", 0.2)) == 0
    first, second = steps(run_folder(tmp_path / "run"))
    assert len(server.chats) == 3
    assert server.chats[1] == server.chats[2]
    assert first["output"] and second["output"] == choose_option(server.chats[2]["messages"][0]["content"])


def test_empty_answer_that_is_finished_is_an_answer(server: FakeServer, tmp_path: Path) -> None:
    server.answer = lambda prompt: ""
    assert main.main(argv(tmp_path, server, "--limit", 2)) == 0
    assert [(step["output"], step["answer"], step["reward"]) for step in steps(run_folder(tmp_path / "run"))] == [
        ("", None, 0)
    ] * 2


def test_half_a_character_does_not_stop_the_run(server: FakeServer, tmp_path: Path) -> None:
    server.answer = lambda prompt: choose_option(prompt) + " \ud83d"
    assert main.main(argv(tmp_path, server, "--limit", 3, "--comk", 2)) == 0
    assert len(steps(run_folder(tmp_path / "run"))) == 3


# -- outages that last -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_lasting_fault_stops_the_run_with_nothing_scored(
    fault: str, server: FakeServer, tmp_path: Path, quick_pause: None, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fault = lambda number: fault if number >= 2 else None
    assert main.main(argv(tmp_path, server, "--limit", 3, "--max_retries", 0, "--timeout", 0.2)) == 1
    error = last_line(capsys.readouterr().err)
    assert error.startswith("error: no answer from http://127.0.0.1:") and "--server and --port" in error
    folder = run_folder(tmp_path / "run")
    assert len(steps(folder)) == 2
    assert not (folder / "summary.json").exists()


def test_outage_then_continued_is_the_same_run(server: FakeServer, tmp_path: Path) -> None:
    more = ("--max_retries", 1, "--checkpoint_seconds", 0)
    for first_failure in (5, 9):
        server.fault = lambda number, n=first_failure: "503" if number >= n else None
        stopped = run_cli(*argv(tmp_path, server, *more))
        assert stopped.returncode == 1
        assert "Traceback" not in stopped.stderr
        assert last_line(stopped.stderr).startswith("error: no answer from")
        assert last_line(stopped.stderr).endswith(
            f"Then the same command goes on from step {len(steps(run_folder(tmp_path / 'run'))) + 1}"
        )
        assert server.answered == len(steps(run_folder(tmp_path / "run")))
    server.fault = lambda number: None
    assert main.main(argv(tmp_path, server, *more)) == 0
    assert main.main(argv(tmp_path, server, folder="unharmed")) == 0
    assert steps(run_folder(tmp_path / "run")) == steps(run_folder(tmp_path / "unharmed"))


# -- clear lines -------------------------------------------------------------------------------------------------------


def refused_port() -> int:
    with serving() as gone:
        return gone.port


@pytest.mark.parametrize(
    "fault, mode, expected",
    [
        ((401, "bad key"), "vllm", "rejected the API key: check VLLM_API_KEY"),
        ((401, "bad key"), "openai", "rejected the API key: check OPENAI_API_KEY"),
        ((404, "no such model"), "openai", "does not know the model 'm'"),
        ((400, "the prompt is too long"), "vllm", "refused the request: Error code: 400"),
        ((400, "maximum context length is 9 tokens"), "vllm", ": where the prompt is too long, serve"),
        ((403, "not in your country"), "openai", "refused the request: Error code: 403"),
        ("429", "openai", "check the network, OPENAI_BASE_URL and your quota"),
    ],
)
def test_refusals_are_one_clear_line(
    fault: Any,
    mode: str,
    expected: str,
    server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use_openai(monkeypatch, server)
    server.fault = lambda number: fault
    for debug in ((), ("--debug",)):
        assert main.main(argv(tmp_path, server, "--max_retries", 0, *debug, mode=mode)) == 1
        error = capsys.readouterr().err
        assert ("Traceback" in error) == bool(debug)
        assert expected in last_line(error)
        assert KEY not in error
    assert len(server.chats) == 2
    assert steps_or_none(tmp_path) == []


def steps_or_none(tmp_path: Path) -> list[dict[str, Any]]:
    return [step for path in (tmp_path / "run").rglob("steps.jsonl") for step in steps(path.parent)]


def test_keys_as_they_come_out_of_files(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_openai(monkeypatch, server)
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    assert main.main(argv(tmp_path, server, "--limit", 1, mode="openai")) == 0
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    monkeypatch.setenv("OPENAI_API_KEY", "“sk-quoted”")
    assert main.main(argv(tmp_path, server, "--limit", 1, "--overwrite", mode="openai")) == 1
    error = last_line(capsys.readouterr().err)
    assert "OPENAI_API_KEY holds characters that a key cannot have" in error and "quoted" not in error


def test_unknown_model_and_unreachable_server_leave_nothing(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(argv(tmp_path, server, "--llm", "n")) == 1
    assert last_line(capsys.readouterr().err).endswith(f"--llm n: http://127.0.0.1:{server.port}/v1/ serves m")
    assert main.main(argv(tmp_path, server, "--port", refused_port(), "--max_retries", 0)) == 1
    assert "is it running? scripts/serve_qwen_8b.sh" in last_line(capsys.readouterr().err)
    assert main.main(argv(tmp_path, server, "--server", f"http://127.0.0.1:{server.port}", "--max_retries", 0)) == 1
    assert "mostly ends in /v1" in last_line(capsys.readouterr().err)
    assert main.main(argv(tmp_path, server, mode="openai")) == 1
    assert "set OPENAI_API_KEY" in last_line(capsys.readouterr().err)
    assert server.chats == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("models", [{}, [], None, {"data": None}, {"data": [{}]}, {"data": []}])
def test_odd_list_of_models(
    models: Any, server: FakeServer, tmp_path: Path, quick_pause: None, capsys: pytest.CaptureFixture[str]
) -> None:
    server.models = models
    assert main.main(argv(tmp_path, server, "--max_retries", 0)) == 1
    assert last_line(capsys.readouterr().err).startswith("error: ")


@pytest.mark.parametrize("address", ["localhost:8000", "http://", "::1", "http://localhost:port"])
def test_bad_address(address: str, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(argv(tmp_path, server, "--server", address)) == 2
    assert "is not a server's address: check --server" in last_line(capsys.readouterr().err)


# -- the request -------------------------------------------------------------------------------------------------------


def test_vllm_request_is_the_papers(server: FakeServer, tmp_path: Path) -> None:
    assert main.main(argv(tmp_path, server, "--limit", 1, "--seed", 7)) == 0
    (chat,) = server.chats
    (message,) = chat.pop("messages")
    assert message["role"] == "user" and "Line 0" in message["content"]
    assert chat == {
        "model": "m",
        "temperature": 0.1,
        "top_p": 0.8,
        "top_k": 20,
        "presence_penalty": 1.5,
        "chat_template_kwargs": {"enable_thinking": False},
        "max_completion_tokens": 2048,
        "seed": 7,
    }
    (step,) = steps(run_folder(tmp_path / "run"))
    assert step["usage"] == {"prompt_tokens": 11, "completion_tokens": 3}
    served = yaml.safe_load((run_folder(tmp_path / "run") / "config.yaml").read_text())["starts"][0]["llm"]
    assert served.pop("address") == f"http://127.0.0.1:{server.port}/v1/"
    thinking = {"enable_thinking": served.pop("enable_thinking")}
    recorded = {"max_completion_tokens": served.pop("max_new_tokens"), "chat_template_kwargs": thinking, "model": "m"}
    assert served | recorded == chat  # the record says what was sent


def test_a_password_in_an_address_is_not_written_down(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_openai(monkeypatch, server)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://me:{KEY}@127.0.0.1:{server.port}/v1")
    more = ("--limit", 1, "--cache", tmp_path / "answers.sqlite")
    assert main.main(argv(tmp_path, server, *more, mode="openai")) == 0
    served = yaml.safe_load((run_folder(tmp_path / "run") / "config.yaml").read_text())["starts"][0]["llm"]
    assert served["address"].startswith(f"http://127.0.0.1:{server.port}/v1")
    assert served["temperature"] == 0.05 and served["top_p"] == 0.8 and served["max_new_tokens"] == 2048
    assert served["top_k"] is served["presence_penalty"] is served["seed"] is None  # the provider's own choice
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_openai_request_and_its_key(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_openai(monkeypatch, server)
    more = ("--limit", 2, "--max_new_tokens", 99, "--cache", tmp_path / "answers.sqlite", "--debug")
    assert main.main(argv(tmp_path, server, *more, mode="openai")) == 0
    first = server.chats[0]
    del first["messages"]
    assert first == {"model": "m", "temperature": 0.05, "top_p": 0.8, "max_completion_tokens": 99}
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 4
    assert not any(KEY.encode() in path.read_bytes() for path in written)


def test_sampling_options_and_vllm_key(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    assert main.main(argv(tmp_path, server, "--limit", 1, "--temperature", 0, "--top_p", 1)) == 0
    assert server.chats[0]["temperature"] == 0 and server.chats[0]["top_p"] == 1
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_second_run_asks_nothing(server: FakeServer, tmp_path: Path) -> None:
    more = ("--cache", tmp_path / "folder" / "answers.sqlite")
    assert main.main(argv(tmp_path, server, *more)) == 0
    assert main.main(argv(tmp_path, server, *more, folder="again")) == 0
    assert len(server.chats) == SIZE
    first, again = steps(run_folder(tmp_path / "run")), steps(run_folder(tmp_path / "again"))
    assert {step.pop("cached") for step in first} == {False}
    assert {step.pop("cached") for step in again} == {True}
    for step in again:
        assert step["usage"].pop("cached_prompt_tokens") == step["usage"]["prompt_tokens"]
        assert step["usage"].pop("cached_completion_tokens") == step["usage"]["completion_tokens"]
    assert first == again


def test_cache_key_covers_what_changes_the_answer(server: FakeServer, tmp_path: Path) -> None:
    server.models["data"].append({"id": "n"})
    variants: list[tuple[object, ...]] = [
        (), ("--llm", "n"), ("--seed", 1), ("--temperature", 0.7), ("--top_p", 0.5), ("--max_new_tokens", 10),
    ]  # fmt: skip
    common = ("--agent", "zero-shot", "--cache", tmp_path / "answers.sqlite", "--limit", 3)
    for n_variants, variant in enumerate(variants, 1):
        assert main.main(argv(tmp_path, server, *common, *variant)) == 0
        assert len(server.chats) == 3 * n_variants
    assert main.main(argv(tmp_path, server, *common, "--limit", 4)) == 0
    assert len(server.chats) == 3 * len(variants) + 1


def test_failures_are_never_cached(server: FakeServer, tmp_path: Path, quick_pause: None) -> None:
    more = ("--cache", tmp_path / "answers.sqlite", "--max_retries", 0, "--timeout", 0.2)
    for fault in ("500", "null choices", "hang", (400, "no")):
        server.fault = lambda number, fault=fault: fault
        assert main.main(argv(tmp_path, server, *more)) == 1
    server.fault = lambda number: None
    assert main.main(argv(tmp_path, server, *more)) == 0
    assert server.answered == SIZE
    assert not any(step["cached"] for step in steps(run_folder(tmp_path / "run")))


def test_a_repeat_in_a_step_is_a_new_sample(server: FakeServer, tmp_path: Path) -> None:
    from command_line import config_of
    from llm import make_llm

    answers = iter("abcdef")
    server.answer = lambda prompt: next(answers)
    config = config_of(argv(tmp_path, server, "--cache", tmp_path / "answers.sqlite"))
    heard = []
    for _ in range(2):
        llm = make_llm(config, lambda: pytest.fail("no encoder is needed"))
        for _ in range(2):
            ask = llm.session()
            heard.append((ask("same"), ask("same"), ask("other"), ask.spent.cached, ask.spent.calls))
    assert heard == [("a", "b", "c", False, 3)] + [("a", "b", "c", True, 3)] * 3


@pytest.mark.parametrize("kind", ["not a database", "a folder", "below a file", "another table"])
def test_unusable_cache(kind: str, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cache"
    if kind == "a folder":
        path.mkdir()
    elif kind == "another table":
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE answers (question TEXT)")
    else:
        path.write_text(json.dumps(["not a database"] * 200))
    path = path / "x.sqlite" if kind == "below a file" else path
    assert main.main(argv(tmp_path, server, "--cache", path)) == 2
    assert f"--cache {path}: not a usable SQLite file" in last_line(capsys.readouterr().err)
    assert server.chats == []


def test_cache_that_breaks_during_a_run_is_one_clear_line(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answers.sqlite"
    assert main.main(argv(tmp_path, server, "--limit", 2, "--cache", path)) == 0
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM answers")
        database.execute("CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    assert main.main(argv(tmp_path, server, "--limit", 2, "--overwrite", "--cache", path)) == 2
    assert "(disk is full)" in last_line(capsys.readouterr().err)
    assert steps_or_none(tmp_path) == []
