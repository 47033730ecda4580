"""HTTP as uvicorn speaks it by its fast parser, and what that parser lets pass: heads of any size, several hosts."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 2**10  # bytes of a request's first line and headers


class BoundedProtocol(HttpToolsProtocol):
    """One connection; it is answered 400 and closed where a head is too large or names two hosts."""

    _in_head = False
    _head = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head = self._head + len(data) if self._in_head else 0
        if self._head > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("the head of the request is too large")

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise ValueError("a request is for one host")
        super().on_headers_complete()
