"""Hostile requests to the endpoint: each gets the right status, nothing leaks, and the next request is answered."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

import serve.app
from helpers.endpoint import KEY, Running, StandIn, endpoint, stand_in
from memory.encoders import TextEncoder
from serve.app import Limits, Pace

LIMITS = Limits(api_key="right", tenant_header="X-Tenant", body=200_000, prompt=20_000)
HEADERS = {"Authorization": "Bearer right", "X-Tenant": "mine", "Content-Type": "application/json"}
HTML = "<script>alert(1)</script><img src=x onerror=alert(2)>"
ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\x00"
CHAT, FEEDBACK = "/v1/chat/completions", "/v1/feedback"


def chat(content: Any, **more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": content}], **more}).encode()


def messages(value: Any) -> bytes:
    return json.dumps({"messages": value}).encode()


DEEP = b"[" * 100_000
REFUSED: list[tuple[str, str, bytes, int]] = [  # (name, path, body, status)
    ("no body", CHAT, b"", 400),
    ("no JSON", CHAT, b"{", 400),
    ("not UTF-8", CHAT, b'{"messages": "\xff\xfe"}', 400),
    ("deep", CHAT, DEEP, 400),
    ("deep object", CHAT, b'{"a":' * 30_000, 400),
    ("deep content", CHAT, b'{"messages":[{"role":"user","content":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}", 400),
    ("NaN", CHAT, b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}', 400),
    ("infinite", CHAT, b'{"messages": [{"role": "user", "content": "x"}], "top_p": -Infinity}', 400),
    ("a long number", CHAT, b'{"seed": ' + b"9" * 10_000 + b', "messages": []}', 400),
    ("a list", CHAT, b"[]", 400),
    ("a text", CHAT, b'"messages"', 400),
    ("null", CHAT, b"null", 400),
    ("no messages", CHAT, b"{}", 400),
    ("messages empty", CHAT, messages([]), 400),
    ("messages a text", CHAT, messages("hello"), 400),
    ("messages an object", CHAT, messages({"role": "user", "content": "x"}), 400),
    ("message a text", CHAT, messages(["hello"]), 400),
    ("message null", CHAT, messages([None]), 400),
    ("no role", CHAT, messages([{"content": "x"}]), 400),
    ("role a list", CHAT, messages([{"role": ["user"], "content": "x"}]), 400),
    ("no user", CHAT, messages([{"role": "system", "content": "x"}]), 400),
    ("content a number", CHAT, chat(7), 400),
    ("content an object", CHAT, chat({"text": "x"}), 400),
    ("content empty", CHAT, chat(""), 400),
    ("content blank", CHAT, chat(" \n\t"), 400),
    ("content null", CHAT, chat(None), 400),
    ("parts of nothing", CHAT, chat([None, 3, {"type": "text"}, {"text": "x"}]), 400),
    ("prompt too long", CHAT, chat("x" * 20_001), 413),
    ("parts too long", CHAT, chat([{"type": "text", "text": "x" * 15_000}] * 2), 413),
    ("body too large", CHAT, b'{"messages": [], "pad": "' + b"x" * 200_000 + b'"}', 413),
    ("feedback no JSON", FEEDBACK, b"reward=1", 400),
    ("feedback a list", FEEDBACK, b"[1]", 400),
    ("feedback without id", FEEDBACK, b'{"reward": 1}', 400),
    ("id a number", FEEDBACK, b'{"id": 1, "reward": 1}', 400),
    ("id a list", FEEDBACK, b'{"id": ["chatcmpl-1"], "reward": 1}', 400),
    ("id empty", FEEDBACK, b'{"id": "", "reward": 1}', 400),
    ("id long", FEEDBACK, json.dumps({"id": "x" * 101, "reward": 1}).encode(), 400),
    ("id unknown", FEEDBACK, b'{"id": "chatcmpl-00000000000000000000000000000000", "reward": 1}', 404),
    ("id of SQL", FEEDBACK, json.dumps({"id": "' OR 1=1; DROP TABLE requests; --", "reward": 1}).encode(), 404),
    ("id of a path", FEEDBACK, b'{"id": "../../etc/passwd", "reward": 1}', 404),
    ("id with escapes", FEEDBACK, json.dumps({"id": ESCAPES, "reward": 1}).encode(), 404),
    ("id half a character", FEEDBACK, b'{"id": "\\ud800", "reward": 1}', 404),
    ("no reward", FEEDBACK, b'{"id": "x"}', 400),
    ("reward 2", FEEDBACK, b'{"id": "x", "reward": 2}', 400),
    ("reward 0.5", FEEDBACK, b'{"id": "x", "reward": 0.5}', 400),
    ("reward -1", FEEDBACK, b'{"id": "x", "reward": -1}', 400),
    ("reward a word", FEEDBACK, b'{"id": "x", "reward": "yes"}', 400),
    ("reward a list", FEEDBACK, b'{"id": "x", "reward": [1]}', 400),
    ("answer a number", FEEDBACK, b'{"id": "x", "reward": 1, "answer": 3}', 400),
    ("answer long", FEEDBACK, json.dumps({"id": "x", "reward": 1, "answer": "x" * 20_001}).encode(), 413),
]


@pytest.fixture(scope="module")
def behind() -> Iterator[StandIn]:
    with stand_in(answer=lambda text: f"\\boxed{{card linking}} {HTML}{ESCAPES}") as server:
        yield server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, text_encoder: TextEncoder, behind: StandIn) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_API_KEY", KEY)
        with endpoint(tmp_path_factory.mktemp("hostile"), text_encoder, behind, LIMITS) as running:
            yield running


@pytest.fixture(autouse=True)
def still_alive(served: Running) -> Iterator[None]:
    yield
    answer = httpx2.post(served.address + CHAT, content=chat("is it alive?"), headers=HEADERS)
    assert answer.status_code == 200 and answer.json()["id"].startswith("chatcmpl-")


@pytest.mark.parametrize(("name", "path", "body", "status"), REFUSED, ids=[each[0] for each in REFUSED])
def test_refused(served: Running, name: str, path: str, body: bytes, status: int) -> None:
    answer = httpx2.post(served.address + path, content=body, headers=HEADERS)
    assert answer.status_code == status, answer.text
    message = answer.json()["error"]["message"]
    assert "Traceback" not in message and KEY not in answer.text and "/" not in message.replace("application/json", "")
    assert message.isprintable()


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Authorization", "Bearer wrong", 401),
        ("Authorization", "Basic cmlnaHQ=", 401),
        ("Authorization", "Bearer right\u00e9", 401),
        ("Content-Type", "text/plain", 415),
        ("Content-Type", "application/x-www-form-urlencoded", 415),
        ("X-Tenant", "", 400),
        ("X-Feedback-Id", "chatcmpl-of-nobody", 400),
        ("X-Big", "x" * 2_000_000, 400),
    ],
)
def test_refused_headers(served: Running, name: str, value: str, status: int) -> None:
    headers = {**HEADERS, name: value.encode("latin-1")}  # type: ignore[dict-item]
    try:
        answer = httpx2.post(served.address + CHAT, content=chat("hello"), headers=headers)
    except httpx2.HTTPError:
        assert name == "X-Big"  # the server hangs up
        return
    assert answer.status_code in (status, 431), answer.text


def test_no_request_reaches_another_upstream(served: Running, behind: StandIn) -> None:
    more = {"base_url": "http://127.0.0.1:9", "api_base": "http://127.0.0.1:9", "url": "file:///etc/passwd"}
    headers = HEADERS | {"Host": "elsewhere.example", "X-Forwarded-Host": "elsewhere.example", "Forwarded": "host=e"}
    before = len(behind.bodies)
    answer = httpx2.post(served.address + CHAT, content=chat("hello", **more), headers=headers)
    assert answer.status_code == 200 and len(behind.bodies) == before + 1
    assert "x-forwarded-host" not in behind.headers[-1]


def test_feedback_for_an_answer_of_another_tenant(served: Running) -> None:
    other = HEADERS | {"X-Tenant": "theirs"}
    id = httpx2.post(served.address + CHAT, content=chat("a secret"), headers=other).json()["id"]
    body = json.dumps({"id": id, "reward": 1}).encode()
    assert httpx2.post(served.address + FEEDBACK, content=body, headers=HEADERS).status_code == 404
    assert httpx2.post(served.address + FEEDBACK, content=body, headers=other).status_code == 200


def test_markup_and_escapes_come_back_as_json_alone(served: Running) -> None:
    id = httpx2.post(served.address + CHAT, content=chat(HTML + ESCAPES), headers=HEADERS).json()["id"]
    httpx2.post(served.address + FEEDBACK, content=json.dumps({"id": id, "reward": 1}).encode(), headers=HEADERS)
    for path in ("/v1/cases", "/v1/requests", "/v1/stats", "/metrics"):
        answer = httpx2.get(served.address + path, headers=HEADERS)
        assert answer.headers["content-type"].partition(";")[0] in ("application/json", "text/plain")
        assert "\x1b" not in answer.text
    page = httpx2.get(served.address + "/")
    assert HTML not in page.text and "script-src 'sha256-" in page.headers["content-security-policy"]


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "offset=1e9", "limit=99999999999", f"q={'x' * 20_001}"])
def test_refused_queries(served: Running, query: str) -> None:
    assert httpx2.get(f"{served.address}/v1/cases?{query}", headers=HEADERS).status_code in (400, 413, 414)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("PUT", FEEDBACK, 405),
        ("DELETE", "/v1/cases", 405),
        ("DELETE", "/v1/cases/none", 404),
        ("DELETE", "/v1/cases/..%2f..%2fetc", 404),
        ("GET", "/v1/../../etc/passwd", 404),
        ("GET", "/web/page.js", 404),
        ("TRACE", "/", 405),
    ],
)
def test_other_methods_and_paths(served: Running, method: str, path: str, status: int) -> None:
    assert httpx2.request(method, served.address + path, headers=HEADERS).status_code == status


def test_slow_body_is_hung_up_on(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve.app, "BODY_SECONDS", 0.2)
    host, _, port = served.address.removeprefix("http://").partition(":")
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: 1000\r\n\r\n{{".encode())
        assert b" 408 " in connection.recv(200)


def test_torn_requests(served: Running) -> None:
    host, _, port = served.address.removeprefix("http://").partition(":")
    for said in (b"\x16\x03\x01\x02\x00", b"POST / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            assert b"200 OK" not in connection.recv(200)


def test_rate_is_one_clients_own() -> None:
    pace = Pace(2)
    assert [pace.allows("a") for _ in range(3)] == [True, True, False]
    assert pace.allows("b")


def test_as_many_tenants_as_may_be(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.tenants, "_most", 0)
    headers = HEADERS | {"X-Tenant": "one more"}
    assert httpx2.post(served.address + CHAT, content=chat("hello"), headers=headers).status_code == 400


def test_only_names_of_this_machine_where_there_is_no_key() -> None:
    from serve.cli import limits_of, own_parser

    limits = limits_of(own_parser().parse_args([]))
    assert "elsewhere.example" not in limits.hosts and "127.0.0.1" in limits.hosts and "*" not in limits.hosts
