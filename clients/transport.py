"""What stands between the OpenAI SDK and the network: one deadline and a largest size for a whole reply, no redirects,
and a gate before the server, which all requests pass.

The timeouts of HTTP libraries are those of a single read, so a server that sends a byte now and then is waited for
without end. A deadline over the whole request needs something that can be cancelled: the SDK's asynchronous client, in
a thread with an event loop of its own. Callers stay synchronous, and several threads may ask at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpx2
import openai

LARGEST_REPLY = 32 * 2**20  # bytes
LANE = 8  # requests on their way through one pool of connections
TOO_MANY = 429


class Gate:
    """How many requests may be at the server, and when the next ones may go: a rate limit told to one holds for all.

    As in TCP (additive increase, multiplicative decrease: Chiu and Jain, 1989; slow start: Jacobson, 1988): a refusal
    halves how many may be on their way, once for all that were sent before it, and every answer lets a little more
    through. Where several refusals came one after the other, because the server let nobody in for a while, every answer
    lets one more through up to half of what was on its way before the first. Until the first refusal there is no limit.
    Everything here happens in one event loop.
    """

    def __init__(self) -> None:
        self._answered = 0.0  # when a request was last answered,
        self._limit = math.inf
        self._safe = 0.0  # up to which the limit grows fast
        self._inside = 0
        self._opens = 0.0  # when requests may go again,
        self._narrowed = 0.0  # and when the limit was last lowered, by time.monotonic()
        self._left = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def passed(self) -> AsyncIterator[float]:
        """Wait until a request may go; the time at which it goes."""
        while True:
            async with self._left:
                await self._left.wait_for(lambda: self._inside < self._limit)
                closed = self._opens - time.monotonic()
                if closed <= 0:
                    self._inside += 1
                    break
            await asyncio.sleep(closed)
        try:
            yield time.monotonic()
        finally:
            self._inside -= 1
            async with self._left:
                self._left.notify(2)  # one for the place that is free, one for a limit that has grown

    def others(self, sent: float) -> bool:
        """Whether beside a request that went at `sent` others are at the server, or were answered since."""
        return self._inside > 1 or self._answered > sent

    def accept(self) -> None:
        self._answered = time.monotonic()
        self._limit += 1.0 if self._limit + 1 <= self._safe else 1 / self._limit

    def refuse(self, sent: float, pause: float) -> None:
        """A request that went at `sent` was told to wait for `pause` seconds."""
        now = time.monotonic()
        self._opens = max(self._opens, now + pause)
        if sent >= self._narrowed:
            if self._answered >= self._narrowed:  # the first since an answer
                self._safe = self._inside / 2
            self._limit, self._narrowed = max(1.0, self._inside / 2), now


class Lanes:
    """Clients with a pool of connections each, of which none has more than LANE requests on their way.

    A pool goes over all of its connections whenever a request comes or goes; at 64 in flight that was a third of what a
    question cost.
    """

    def __init__(self, make: Callable[[], httpx2.AsyncClient]) -> None:
        self._inside: dict[httpx2.AsyncClient, int] = {}
        self._make = make

    @contextlib.contextmanager
    def one(self) -> Iterator[httpx2.AsyncClient]:
        """The first with room for a request."""
        lane = next((lane for lane, inside in self._inside.items() if inside < LANE), None) or self._make()
        self._inside[lane] = self._inside.get(lane, 0) + 1
        try:
            yield lane
        finally:
            self._inside[lane] -= 1


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """Reads every reply to its end before anyone sees it, within `seconds` and LARGEST_REPLY, from the host asked.

    A request that a rate limit refuses (429) is sent again when the server allows it, which is no failed try as long as
    others are at the server or were answered meanwhile. Where all are refused, the limit soon lets one go at a time,
    whose refusal is passed on, and the SDK counts it.
    """

    def __init__(self, seconds: float) -> None:
        # a compressed reply may be a thousand times larger than what arrives
        options: dict[str, Any] = {"timeout": seconds, "headers": {"Accept-Encoding": "identity"}}
        options |= {"follow_redirects": False, "verify": httpx2.create_ssl_context()}
        super().__init__(**options)
        self._lanes = Lanes(lambda: openai.DefaultAsyncHttpxClient(**options))
        self._seconds = seconds
        self._gate = Gate()

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Raises httpx2.ReadTimeout or httpx2.DecodingError, which the SDK counts as failed tries."""
        while True:
            async with self._gate.passed() as sent:
                response = await self._send_once(request, **options)
                pause = retry_after(response.headers) if response.status_code in (TOO_MANY, 503) else None
                if pause is not None and pause > self._seconds:
                    pause = None  # longer than any answer is waited for: no rate limit but an outage
                others = self._gate.others(sent)
                if response.status_code == TOO_MANY or pause is not None:
                    self._gate.refuse(sent, pause or 0.0)
                elif response.is_success:
                    self._gate.accept()
            if response.status_code != TOO_MANY or pause is None or not others:
                return response

    async def _send_once(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            with anyio.fail_after(self._seconds), self._lanes.one() as lane:
                response = await lane.send(request, stream=True, **options)
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise httpx2.ReadTimeout(f"no whole reply within {self._seconds:g} s", request=request) from error
        whole = httpx2.Response(response.status_code, headers=response.headers, content=body, request=request)
        whole.extensions = response.extensions
        return whole


async def _read(response: httpx2.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("the reply is compressed, though that was not asked for", request=response.request)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_REPLY:
            raise httpx2.DecodingError(f"the reply is larger than {LARGEST_REPLY >> 20} MB", request=response.request)
    return bytes(body)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait, in any of the forms that are in use; None where it says nothing of it."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


class Requests:
    """An event loop in a thread of its own, where requests wait for their replies."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._waiting: set[Future[Any]] = set()
        self._cancelled = False
        threading.Thread(target=self._loop.run_forever, name="requests", daemon=True).start()

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`, which is cancelled where the caller is interrupted.

        Raises CancelledError where all were given up (`cancel`).
        """
        with self._lock:
            if self._cancelled:
                work.close()
                raise CancelledError
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._waiting.add(future)
        try:
            return future.result()
        finally:
            future.cancel()
            with self._lock:
                self._waiting.discard(future)

    def cancel(self) -> None:
        """Give up all that is waited for, and whatever would be from now on."""
        with self._lock:
            self._cancelled = True
            waiting = list(self._waiting)
        for future in waiting:
            future.cancel()
