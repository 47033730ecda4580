"""Sessions, replies and the cache: whatever a server or a cache file holds, an answer is whole or there is none."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import main
from clients.scripted import ScriptedClient
from clients.server import Server, read_completion
from config import Config
from env.tools.judge import JudgeClient, judge
from errors import LLMError, RefusedError, UsageError, UserError
from helpers.fake_server import DEEP, FakeServer, choose_option, completion, redirect, serving, trickle
from helpers.runs import argv, lfd_stream, run_folder, steps
from llm import LLM, AnswerCache, Reply, hash_prompt, make_llm
from registry import CLIENTS, Row


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    lfd_stream(tmp_path, 6)
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def quick_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "UNREADABLE_PAUSE", 0.001)


def llm_at(server: FakeServer, **options: Any) -> LLM:
    settings = {"llm": "m", "port": server.port, "max_retries": 0, "timeout": 5.0} | options
    return make_llm(Config(**settings), lambda: pytest.fail("no encoder is needed"))


def run(tmp_path: Path, server: FakeServer | None, *more: object, folder: str = "run") -> int:
    words = ("--agent", "icrl", *(("--max_retries", 0) if server else ()))
    return main.main(argv(server, tmp_path / folder, *words, *more))


def is_whole(reply: Reply) -> None:
    """Every field is of its type, and can be written and read again."""
    assert isinstance(reply.text, str) and isinstance(reply.finish_reason, str | None)
    for count in (reply.prompt_tokens, reply.completion_tokens):
        assert type(count) is int and 0 <= count <= 2**53
    for call in reply.tool_calls:
        assert set(call) == {"id", "type", "function"} and set(call["function"]) == {"name", "arguments"}
        assert all(isinstance(text, str) for text in (call["id"], *call["function"].values()))
    written = json.dumps(asdict(reply), ensure_ascii=False, allow_nan=False).encode()
    assert Reply.read(json.loads(written)) == reply


# -- odd replies -------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
COUNTS = JSON | st.sampled_from([10**400, -1, True, 3, 3.0, "12", [1], float("nan")])
FUNCTIONS = JSON | st.fixed_dictionaries({}, optional={"name": JSON, "arguments": JSON})
CALLS = JSON | st.lists(JSON | st.fixed_dictionaries({}, optional={"id": JSON, "type": JSON, "function": FUNCTIONS}))
MESSAGES = JSON | st.fixed_dictionaries({}, optional={"content": JSON, "tool_calls": CALLS})
CHOICES = JSON | st.lists(st.fixed_dictionaries({}, optional={"message": MESSAGES, "finish_reason": JSON}), max_size=2)
USAGES = JSON | st.fixed_dictionaries({}, optional={"prompt_tokens": COUNTS, "completion_tokens": COUNTS})
BODIES = JSON | st.fixed_dictionaries({}, optional={"choices": CHOICES, "usage": USAGES})
REPLIES = JSON | st.fixed_dictionaries(
    {"text": st.text(st.characters(codec=None))},
    optional={
        "prompt_tokens": COUNTS,
        "completion_tokens": COUNTS,
        "tool_calls": CALLS,
        "tokens": JSON,
        "finish_reason": JSON,
        "x": JSON,
    },
)
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)


@settings(deadline=None)
@given(BODIES)
def test_any_body_is_a_whole_reply_or_unreadable(body: Any) -> None:
    try:
        reply = read_completion(json.loads(json.dumps(body)))
    except UNREADABLE:
        return
    is_whole(reply)


@settings(deadline=None)
@given(REPLIES)
def test_any_kept_reply_is_whole_or_unreadable(kept: Any) -> None:
    try:
        reply = Reply.read(json.loads(json.dumps(kept)))
    except ValueError:
        return
    is_whole(reply)


@pytest.fixture(scope="module")
def busy_server() -> Iterator[FakeServer]:
    with serving() as server:
        yield server


@settings(max_examples=30, deadline=None)
@given(BODIES)
def test_any_body_that_is_served_is_an_answer_or_an_outage(busy_server: FakeServer, body: Any) -> None:
    busy_server.fault = lambda number: json.dumps(body).encode()
    llm = LLM(llm_at(busy_server).client, AnswerCache(":memory:"))
    busy_server.chats.clear()
    question = [{"role": "user", "content": "ask"}]
    try:
        live = llm.chat(question)
    except LLMError:
        with pytest.raises(LLMError):
            llm.chat(question)
        assert len(busy_server.chats) == 2  # no failure was kept
        return
    is_whole(live)
    assert llm.chat(question) == live and len(busy_server.chats) == 1


ODD_USAGE = [
    *({"prompt_tokens": odd, "completion_tokens": 3} for odd in ("12", [1], 1.5, -1, True, 10**400, {"a": 1}, None)),
    *("text", [1], 7, None, {}),
]


@pytest.mark.parametrize("usage", ODD_USAGE, ids=lambda usage: json.dumps(usage)[:40])
def test_odd_token_counts_are_zero(usage: Any, server: FakeServer, tmp_path: Path) -> None:
    server.fault = lambda number: (200, completion(usage=usage))
    cache = ("--limit", 2, "--cache", tmp_path / "answers.sqlite")
    for folder in ("run", "again"):  # the second from the cache
        assert run(tmp_path, server, *cache, folder=folder) == 0
        for step in steps(run_folder(tmp_path / folder)):
            assert step["usage"]["prompt_tokens"] == 0
            assert type(step["usage"]["completion_tokens"]) is int
    assert len(server.chats) == 2


def test_not_a_number_reaches_no_log(server: FakeServer, tmp_path: Path) -> None:
    body = json.dumps(completion(usage={"prompt_tokens": float("nan"), "completion_tokens": float("inf")}))
    server.fault = lambda number: body.encode()
    assert run(tmp_path, server, "--limit", 1) == 0
    assert steps(run_folder(tmp_path / "run"))[0]["usage"] == {"prompt_tokens": 0, "completion_tokens": 0}


@pytest.mark.parametrize("body", [DEEP, f'{{"choices": {DEEP}}}', f'{{"usage": {DEEP}}}'], ids=["all", "in", "usage"])
def test_deep_json_is_an_outage(
    body: str, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fault = lambda number: body.encode()
    assert run(tmp_path, server) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: no answer from http://127.0.0.1:")


def test_half_a_character_in_a_tool_call_is_kept_as_one_that_can_be_written(server: FakeServer, tmp_path: Path) -> None:
    call = {"id": "\ud800", "type": "function", "function": {"name": "f\udc00", "arguments": '{"q": "\ud83d"}'}}
    server.fault = lambda number: (200, completion(message={"content": None, "tool_calls": [call]}))
    told = []
    for _ in range(2):
        session = llm_at(server, cache=str(tmp_path / "answers.sqlite")).session()
        told.append((session.chat([{"role": "user", "content": "ask"}], [{"type": "function"}]), session.spent.cached))
    (live, _), (cached, from_cache) = told
    assert live == cached and from_cache and len(server.chats) == 1
    assert live.tool_calls[0] == {
        "id": "?", "type": "function", "function": {"name": "f?", "arguments": '{"q": "?"}'}
    }  # fmt: skip


def test_half_a_character_in_a_prompt_can_be_asked(server: FakeServer) -> None:
    server.answer = lambda prompt: prompt.upper()
    assert llm_at(server)("so \ud83d what") == "SO ? WHAT"


# -- the cache ---------------------------------------------------------------------------------------------------------

HOSTILE_ROWS: list[Any] = [
    "{", "", DEEP, "null", "[]", "3", '"text"', "{}", '{"text": 5}', '{"text": null}', '{"text": "a", "tool_calls": 1}',
    '{"text": "a", "tool_calls": [5]}', '{"text": "a", "tokens": ["x"]}', '{"text": "a", "tokens": {"a": 1}}',
    7, 1.5, None, b"\xff\xfe\xff", f'{{"text": {DEEP}}}',
]  # fmt: skip


@pytest.mark.parametrize("row", HOSTILE_ROWS, ids=lambda row: repr(row)[:40])
def test_an_unreadable_row_is_a_miss_and_is_replaced(row: Any, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    asked = []
    client = ScriptedClient(lambda prompt: asked.append(prompt) or f"answer {len(asked)}")
    llm = LLM(client, AnswerCache(str(path)))
    assert llm("a") == "answer 1"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE answers SET reply = ?", (row,))
    assert llm("a") == llm("a") == "answer 2"


def test_a_row_that_is_not_utf_8_is_a_miss(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    llm = LLM(ScriptedClient(["first", "second"]), AnswerCache(str(path)))
    assert llm("a") == "first"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE answers SET reply = CAST(x'7B22FF' AS TEXT)")
    assert llm("a") == "second"


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec=None)), st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=2))
def test_what_is_put_can_be_read(text: str, calls: list[dict[str, Any]]) -> None:
    cache = AnswerCache(":memory:")
    llm = LLM(ScriptedClient([Reply(text, -1, 2, calls)]), cache)
    live = llm.chat([{"role": "user", "content": text}])
    assert llm.chat([{"role": "user", "content": text}]) == live
    is_whole(live)


def test_older_rows_are_still_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    llm = LLM(ScriptedClient(["new"]), AnswerCache(str(path)))
    assert llm("a") == "new"
    old = {"text": "old", "prompt_tokens": 5, "completion_tokens": 1, "tool_calls": [], "tokens": []}
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE answers SET reply = ?", (json.dumps(old),))
    assert llm.chat([{"role": "user", "content": "a"}]) == Reply("old", 5, 1)


# -- bounds ------------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ENDLESS = {
    "a byte now and then": lambda handler: trickle(handler, HEAD + b"Content-Length: 999\r\n\r\n", b" ", 0.05),
    "chunks now and then": lambda handler: trickle(
        handler, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.05
    ),
    "a head without end": lambda handler: trickle(handler, HEAD, b"X-More: 1\r\n", 0.05),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_the_timeout_is_a_deadline_over_the_whole_reply(kind: str, server: FakeServer) -> None:
    server.fault = lambda number: ENDLESS[kind]
    with pytest.raises(LLMError, match=r"after 1 retries \(Request timed out.: no whole reply within 0.4 s\)"):
        llm_at(server, timeout=0.4, max_retries=1)("ask")
    assert len(server.chats) == 2
    server.fault = lambda number: None
    server.answer = lambda prompt: "here"
    assert llm_at(server, timeout=20.0)("ask") == "here"


def test_a_reply_without_end_is_not_taken(server: FakeServer) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    piece = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    server.fault = lambda number: lambda handler: trickle(handler, head, piece, 0)
    with pytest.raises(LLMError, match="the reply is larger than 32 MB"):
        llm_at(server, timeout=60.0)("ask")


def test_a_compressed_reply_is_neither_asked_for_nor_taken(server: FakeServer) -> None:
    server.fault = lambda number: lambda handler: trickle(handler, HEAD + b"Content-Encoding: gzip\r\n\r\n", b" ", 0.05)
    with pytest.raises(LLMError, match="compressed, though that was not asked for"):
        llm_at(server)("ask")
    assert server.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int, server: FakeServer) -> None:
    with serving() as other:
        address = f"http://127.0.0.1:{other.port}/v1/chat/completions"
        server.fault = lambda number: redirect(status, address)
        with pytest.raises(LLMError, match=f"answers from elsewhere, {address}: name that address itself"):
            llm_at(server)("a secret prompt")
        assert other.chats == [] and other.headers == []


# -- refusals ----------------------------------------------------------------------------------------------------------

REFUSED = {
    "vllm": (400, {"object": "error", "message": "This model's maximum context length is 9 tokens. However, ..."}),
    "vllm, newer": (400, "The decoder prompt (length 99) is longer than the maximum model length of 9."),
    "openai": (400, {"error": {"message": "Too much.", "code": "context_length_exceeded", "param": "messages"}}),
    "openai, newer": (400, "Input tokens exceed the configured limit of 272000 tokens."),
    "gemini": (400, [{"error": {"message": "The input token count (12) exceeds the maximum number of tokens (9)."}}]),
    "anthropic": (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    "llama.cpp": (400, "the request exceeds the available context size"),
    "too large": (413, "Payload Too Large"),
    "azure filter": (400, {"error": {"message": "Filtered.", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
    "azure filter, by code": (400, {"error": {"message": "Filtered.", "code": "content_filter"}}),
    "openai filter": (400, "Invalid prompt: your prompt was flagged as potentially violating our usage policy."),
    "gemini filter": (400, {"error": {"message": "The prompt was blocked", "status": "PROHIBITED_CONTENT"}}),
    "openrouter filter": (403, "This model requires moderation. Your input was flagged."),
    "answer filter": (200, completion(choice={"finish_reason": "content_filter", "message": {"content": None}})),
    "answer filter, empty": (200, completion(choice={"finish_reason": "content_filter", "message": {"content": ""}})),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_prompt_that_will_never_be_answered_is_refused(kind: str, server: FakeServer, tmp_path: Path) -> None:
    server.fault = lambda number: REFUSED[kind]
    llm = llm_at(server, max_retries=2, cache=str(tmp_path / "answers.sqlite"))
    session = llm.session(1)
    with pytest.raises(RefusedError, match=f"^http://127.0.0.1:{server.port}/v1/"):
        session("ask")
    assert len(server.chats) == 1 and session.spent.calls == 0
    server.fault = lambda number: None
    server.answer = lambda prompt: "yes"
    assert session("ask") == "yes"


def test_a_judge_without_a_verdict_refuses_and_keeps_nothing(tmp_path: Path) -> None:
    cache = AnswerCache(str(tmp_path / "answers.sqlite"))
    script = ScriptedClient(["perhaps \x1b[2J", "", Reply("hm", 2, 1), "maybe right", "wrong"])
    session = LLM(JudgeClient(script), cache).session()
    with pytest.raises(RefusedError, match="gave no verdict in 3 tries: it said 'hm'"):
        judge(session, "Which?", ["x"], "z")
    assert session.spent.calls == 0
    assert judge(session, "Which?", ["x"], "z") is True
    assert judge(LLM(JudgeClient(script), cache), "Which?", ["x"], "z") is True  # the kept one
    assert judge(session, "Which?", ["x"], "z") is False  # a repeat in one session is a new sample


@pytest.mark.parametrize("fault, option", [
    ((400, {"error": {"message": "Unsupported value: 'temperature' does not support 0.1.", "param": "temperature"}}),
     "--temperature"),
    ((400, "Unsupported parameter: 'top_p' is not supported with this model."), "--top_p"),
    ((400, "max_completion_tokens is too large: this model supports at most 9"), "--max_new_tokens"),
    ((422, {"detail": "x", "message": "extra fields: top_k"}), "--serving_mode"),
])  # fmt: skip
def test_a_setting_that_a_server_does_not_take_names_the_option(fault: Any, option: str, server: FakeServer) -> None:
    server.fault = lambda number: fault
    with pytest.raises(LLMError, match=f"the option to change is {option}") as raised:
        llm_at(server)("ask")
    assert not isinstance(raised.value, RefusedError)


@pytest.mark.parametrize("fault", [(400, "no"), (403, "not in your country"), (401, "flagged"), (429, "flagged"),
                                   (500, "context length"), (404, "context length")])  # fmt: skip
def test_other_failures_are_not_the_prompts(fault: Any, server: FakeServer) -> None:
    server.fault = lambda number: fault
    with pytest.raises(LLMError) as raised:
        llm_at(server)("ask")
    assert not isinstance(raised.value, RefusedError)


def test_an_answer_that_the_filter_cut_is_an_answer(server: FakeServer) -> None:
    server.fault = lambda number: (200, completion(choice={"finish_reason": "content_filter"}))
    session = llm_at(server).session()
    assert session("ask") == "yes" and session.spent.finish_reason == "content_filter"


def test_what_a_server_wrote_does_not_reach_the_terminal_raw(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    for status in (400, 404, 429, 500, 302):
        server.fault = lambda number, status=status: (status, f"no {evil}" + " context length" * (status == 400))
        assert run(tmp_path, server, "--limit", 1) == 1
        assert run(tmp_path, server, "--limit", 1, "--debug") == 1
    server.models = {"data": [{"id": evil}]}
    assert run(tmp_path, server) == 1
    error = "".join(line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert error.count("error: ") == 6
    assert not set("\x1b\x07\u202e") & set(error)


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_finish_reasons_are_counted_kept_and_cached(server: FakeServer, tmp_path: Path) -> None:
    reasons = ["length", "stop", None, ["length"], "length"]
    server.fault = lambda number: (200, completion(choice={"finish_reason": reasons[number % 5]}))
    for cached in (False, True):
        session = llm_at(server, cache=str(tmp_path / "answers.sqlite")).session(1)
        seen = []
        for word in "abcde":
            session(word)
            seen.append(session.spent.finish_reason)
        assert seen == ["length", "stop", None, None, "length"]
        assert (session.spent.cut, session.spent.calls, session.spent.cached) == (2, 5, cached)


def test_sessions_are_apart_and_may_be_in_flight_together(server: FakeServer, tmp_path: Path) -> None:
    together = threading.Barrier(4)
    server.answer = lambda prompt: together.wait(10) and "" or prompt.upper()
    llm = llm_at(server, cache=str(tmp_path / "answers.sqlite"), timeout=30.0)
    sessions = [llm.session(step) for step in range(1, 5)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda session: session(f"step {session.step}"), sessions))
    assert answers == [f"STEP {step}" for step in range(1, 5)]
    assert [(session.spent.calls, session.spent.prompt_tokens) for session in sessions] == [(1, 11)] * 4
    assert len({session.prompt_sha256 for session in sessions}) == 4


def test_the_prompts_hash_is_the_same_whoever_answers(server: FakeServer) -> None:
    prompt, tools = [{"role": "user", "content": "Who?"}], [{"type": "function", "function": {"name": "f"}}]
    hashes = set()
    for llm in (llm_at(server), llm_at(server, temperature=1.0, seed=4), LLM(ScriptedClient(["a", "b"]))):
        server.answer = lambda prompt: "a"
        session = llm.session(3)
        assert session.prompt_sha256 is None
        session.chat(prompt, tools)
        session("another question")
        hashes.add(session.prompt_sha256)
    assert hashes == {hash_prompt(prompt, tools)}
    assert hash_prompt(prompt) == hash_prompt(prompt, []) != hash_prompt(prompt, tools)


def test_exchanges_are_whole_and_kept_only_when_asked(server: FakeServer, tmp_path: Path) -> None:
    assert llm_at(server).session(1)("<options>\n- a\n</options>") and llm_at(server).session(1).exchanges == []
    session = llm_at(server, log_requests=True, cache=str(tmp_path / "answers.sqlite")).session(5)
    server.answer = lambda prompt: "yes"
    messages = [{"role": "user", "content": "x" * 10_000}]
    session.chat(messages)
    messages.append({"role": "user", "content": "later"})
    session(messages)
    first, second = session.exchanges
    assert first["step"] == 5 and first["cached"] is False and first["request"]["temperature"] == 0.1
    assert first["request"]["messages"] == messages[:1] and second["request"]["messages"] == messages
    assert first["reply"] == asdict(Reply("yes", 11, 3, finish_reason="stop"))


def test_log_requests_writes_them_beside_the_steps(server: FakeServer, tmp_path: Path) -> None:
    assert run(tmp_path, server, "--log_requests", "--limit", 3) == 0
    assert run(tmp_path, server, "--limit", 3, folder="without") == 0
    folder = run_folder(tmp_path / "run")
    kept = [json.loads(line) for line in (folder / "requests.jsonl").read_text().splitlines()]
    assert [exchange["step"] for exchange in kept] == [1, 2, 3]
    for exchange, step in zip(kept, steps(folder)):
        assert exchange["reply"]["text"] == step["output"]
        assert hash_prompt(exchange["request"]["messages"]) == step["prompt_sha256"]
        assert step["finish_reason"] == "stop"
    assert not (run_folder(tmp_path / "without") / "requests.jsonl").exists()
    assert steps(folder) == steps(run_folder(tmp_path / "without"))


# -- the registry ------------------------------------------------------------------------------------------------------


def test_every_client_is_found_and_its_options_are_configs() -> None:
    names = {name for name in Config.__dataclass_fields__}
    for row in CLIENTS.values():
        assert all(hasattr(row.load(), method) for method in ("from_config", "details", "request", "complete"))
        assert set(row.options) | set(row.defaults) <= names and row.help


def test_a_missing_package_and_a_row_that_points_nowhere_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_much.py").write_text("import no_such_package.inside\nclass Much: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="no_such_package is missing: `pip install -r requirements-local.txt`"):
        Row("needs_much:Much", requirements="requirements-local.txt").load()
    with pytest.raises(UsageError, match="there is no module no_such_module"):
        Row("no_such_module:Much").load()
    with pytest.raises(UsageError, match="agent has no Latestt. Did you mean Latest?"):
        Row("agent:Latestt").load()
    assert Row("config:Config").load() is Config


def test_one_mode_loads_no_other(tmp_path: Path) -> None:
    import subprocess

    code = "import sys, llm, main; print([m for m in sys.modules if m.startswith(('clients', 'openai', 'torch'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(main.__file__).parent)
    assert done.stdout.strip() == "[]", done.stderr


def test_every_client_records_its_sampling(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.port}/v1")
    server.answer = choose_option
    wanted = {"temperature", "top_p", "top_k", "presence_penalty", "seed", "max_new_tokens"}
    for mode in ("vllm", "openai"):
        assert run(tmp_path, server, "--limit", 1, "--serving_mode", mode, folder=mode) == 0
        told = yaml.safe_load((run_folder(tmp_path / mode) / "config.yaml").read_text())["starts"][0]["llm"]
        assert wanted <= told.keys() and told["temperature"] == CLIENTS[mode].defaults["temperature"]
