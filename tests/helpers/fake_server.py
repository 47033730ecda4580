"""A chat-completions server on loopback for the tests: it answers from the prompt alone, or fails on demand."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BODIES = {  # replies that arrive with status 200 and are no answer
    "empty body": "",
    "truncated body": '{"id": "1", "object": "chat.completion", "choices": [{"index": 0, "mess',
    "empty object": "{}",
    "no choices": '{"choices": []}',
    "null choices": '{"choices": null}',
    "null message": '{"choices": [{"index": 0, "finish_reason": "stop", "message": null}]}',
    "no content": '{"choices": [{"index": 0, "finish_reason": null, "message": {"content": null}}]}',
    "content not text": '{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": [1]}}]}',
    "error with 200": '{"error": {"message": "overloaded"}}',
    "a list": "[]",
    "null": "null",
}
DEEP = "[" * 100_000 + "]" * 100_000
BODIES |= {
    "deep list": DEEP,
    "deep choices": f'{{"choices": {DEEP}}}',
    "calls not a list": '{"choices": [{"finish_reason": "stop", "message": {"content": "", "tool_calls": {"a": 1}}}]}',
    "calls of numbers": '{"choices": [{"finish_reason": "stop", "message": {"content": "", "tool_calls": [1]}}]}',
}
STATUSES = {"429": 429, "500": 500, "503": 503}
Answer = Callable[[str], str | list[dict[str, Any]]]
TRANSPORT = ("hang", "reset", "cut body", "html")
FAULTS = (*BODIES, *STATUSES, *TRANSPORT)


def choose_option(prompt: str) -> str:
    """One of the prompt's options by a hash of the prompt: right now and then, and the same for the same prompt."""
    listed = re.search(r"<options>(.*?)</options>", prompt, re.S)
    options = [line[2:] for line in listed[1].splitlines() if line.startswith("- ")]
    return f"\\boxed{{{options[hashlib.sha256(prompt.encode()).digest()[0] % len(options)]}}}"


class FakeServer(ThreadingHTTPServer):
    """Attributes: `answer` makes the text of a reply, or its tool calls, from the last message; `chats` are the bodies
    of the chat requests so far, `headers` their headers, `answered` how many of them got an answer; `fault` says what
    happens to the chat request of a number from 0: a name in FAULTS, a status with a message or a whole body, bytes to
    send as the body, a function that is given the handler, or None for an answer."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answer = choose_option) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.fault: Callable[[int], Any] = lambda number: None
        self.models: Any = {"object": "list", "data": [{"id": "m", "object": "model"}]}
        self.chats: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answered = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each reply waits 40 ms for the client's acknowledgement of its head

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200 if self.path == "/v1/models" else 404, json.dumps(self.server.models))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self._send(404, '{"error": {"message": "no such page"}}')
        with self.server.lock:
            number = len(self.server.chats)
            self.server.chats.append(body)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        fault = self.server.fault(number)
        if fault is None:
            self._answer(body)
        elif isinstance(fault, tuple):
            status, said = fault
            self._send(status, json.dumps({"error": {"message": said}} if isinstance(said, str) else said))
        elif isinstance(fault, bytes):
            self._send(200, fault)
        elif callable(fault):
            fault(self)
            self.close_connection = True
        elif fault in BODIES:
            self._send(200, BODIES[fault])
        elif fault in STATUSES:
            self._send(STATUSES[fault], '{"error": {"message": "try later"}}')
        elif fault == "html":
            self._send(200, "<html><body>Sign in to the network</body></html>", "text/html")
        else:
            self._break_off(fault)

    def _answer(self, body: dict[str, Any]) -> None:
        answer = self.server.answer(body["messages"][-1]["content"])
        with self.server.lock:
            self.server.answered += 1
        said = {"content": answer} if isinstance(answer, str) else {"content": None, "tool_calls": answer}
        self._send(200, json.dumps(completion(message=said)))

    def _break_off(self, fault: str) -> None:
        """Fail below HTTP: say nothing until the client gives up, reset the connection, or stop in the middle."""
        if fault == "hang":
            self.server.closing.wait(20)
        elif fault == "cut body":
            self._send(200, '{"choices": [', length=500)
            self.wfile.flush()
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, text: str | bytes, kind: str = "application/json", length: int | None = None) -> None:
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.send_header("Retry-After-Ms", "1")
        self.end_headers()
        self.wfile.write(data)


def trickle(handler: _Handler, head: bytes, piece: bytes, every: float) -> None:
    """Send `head` and then `piece` again and again, until the client goes or the server closes."""
    handler.wfile.write(head)
    while not handler.server.closing.wait(every):
        handler.wfile.write(piece)


def redirect(status: int, address: str) -> Callable[[_Handler], None]:
    """A fault that sends the client to `address`."""

    def answer(handler: _Handler) -> None:
        handler.send_response(status)
        handler.send_header("Location", address)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def completion(**changes: Any) -> dict[str, Any]:
    """A chat completion's body; `changes` to its choice, its message or its usage."""
    message = {"role": "assistant", "content": "yes"} | changes.pop("message", {})
    choice = {"index": 0, "finish_reason": "stop", "message": message} | changes.pop("choice", {})
    usage = {"prompt_tokens": 11, "completion_tokens": 3}
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage} | changes


@contextmanager
def serving(answer: Answer = choose_option) -> Iterator[FakeServer]:
    """A server that runs while the context lasts."""
    with FakeServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
