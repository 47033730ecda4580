"""The retrieval service: searching a corpus over HTTP, so that runs share one index.

    POST /retrieve  {"queries": ["..."], "topk": 3, "return_scores": true}
                    -> {"result": [[{"document": {"id", "contents"}, "score"}, ...], ...]}, best first;
                       without return_scores the documents alone
    GET /health     -> which corpus and method it serves

A request that cannot be answered gets a status of 400 and {"error": "..."}. One whose Host header is neither localhost
nor the address that the service listens on gets 403: it comes from a web page that has its own name lead here, so that
the browser lets it read the answer.
"""

from __future__ import annotations

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .corpus import Corpus
from .index import Index

MAX_BODY = 1 << 22  # bytes
MAX_QUERIES, MAX_QUERY, MAX_TOPK = 1000, 10_000, 100
SECONDS = 30  # for a request to arrive
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class RetrievalService(ThreadingHTTPServer):
    """Serves `corpus` through `index` at `address`; port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128  # runs may ask all at once; a connection that finds no place tries again a second later

    def __init__(self, address: tuple[str, int], corpus: Corpus, index: Index, info: dict[str, Any]) -> None:
        super().__init__(address, _Handler)
        self.info = info
        self.host = address[0]
        self._corpus = corpus
        self._index = index
        self._lock = threading.Lock()  # encoders and their tokenizers are not made for several threads

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]}:{self.server_address[1]}"

    def retrieve(self, request: Any) -> dict[str, Any]:
        """Answer the body of a POST /retrieve. Raises ValueError where it is not as it should be."""
        queries, topk, return_scores = _read(request)
        with self._lock:
            found = self._index.search(queries, topk) if queries else []
        return {"result": [[self._entry(*hit, return_scores) for hit in hits] for hits in found]}

    def _entry(self, number: int, score: float, return_score: bool) -> dict[str, Any]:
        document = self._corpus[number]
        return {"document": document, "score": score} if return_score else document


def _read(request: Any) -> tuple[list[str], int, bool]:
    if not isinstance(request, dict):
        raise ValueError("the body must be a JSON object")
    queries, topk = request.get("queries"), request.get("topk", 3)
    return_scores = request.get("return_scores", False)
    if not isinstance(queries, list) or not all(isinstance(query, str) for query in queries):
        raise ValueError("queries must be a list of texts")
    if len(queries) > MAX_QUERIES or any(len(query) > MAX_QUERY for query in queries):
        raise ValueError(f"at most {MAX_QUERIES} queries of {MAX_QUERY} characters")
    if type(topk) is not int or not 1 <= topk <= MAX_TOPK:
        raise ValueError(f"topk must be a number from 1 to {MAX_TOPK}")
    if not isinstance(return_scores, bool):
        raise ValueError("return_scores must be true or false")
    return queries, topk, return_scores


class _Handler(BaseHTTPRequestHandler):
    server: RetrievalService
    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def log_message(self, *arguments: Any) -> None:
        """Says nothing: a request a line would bury what matters."""

    def do_GET(self) -> None:
        if not self._asked_by_address():
            return self._refuse()
        if self.path == "/health":
            return self._send(200, self.server.info)
        self._send(404, {"error": "there is only GET /health and POST /retrieve"})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True  # the body is still on its way
            return self._send(400, {"error": f"Content-Length must say how long the body is, at most {MAX_BODY} bytes"})
        body = self.rfile.read(int(length))
        if not self._asked_by_address():
            return self._refuse()
        if self.path != "/retrieve":
            return self._send(404, {"error": "there is only GET /health and POST /retrieve"})
        try:
            self._send(200, self.server.retrieve(json.loads(body)))
        except (ValueError, RecursionError) as error:
            self._send(400, {"error": str(error)})

    def _asked_by_address(self) -> bool:
        """Whether the Host header names this machine, or the address that was listened on or connected to."""
        try:
            (host,) = self.headers.get_all("Host", ())
            name = urllib.parse.urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name in LOCAL or name in (self.server.host.lower(), self.connection.getsockname()[0])

    def _refuse(self) -> None:
        self._send(403, {"error": "the Host header is neither localhost nor the address that this service listens on"})

    def _send(self, status: int, reply: dict[str, Any]) -> None:
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
