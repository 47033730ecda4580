"""What stands between the OpenAI SDK and the network: one deadline and a largest size for a whole reply, no redirects.

The timeouts of HTTP libraries are those of a single read, so a server that sends a byte now and then is waited for
without end. A deadline over the whole request needs something that can be cancelled: the SDK's asynchronous client, in
a thread with an event loop of its own. Callers stay synchronous, and several threads may ask at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import anyio
import httpx2
import openai

LARGEST_REPLY = 32 * 2**20  # bytes


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """Reads every reply to its end before anyone sees it, within `seconds` and LARGEST_REPLY, from the host asked."""

    def __init__(self, seconds: float) -> None:
        # a compressed reply may be a thousand times larger than what arrives
        super().__init__(timeout=seconds, follow_redirects=False, headers={"Accept-Encoding": "identity"})
        self._seconds = seconds

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Raises httpx2.ReadTimeout or httpx2.DecodingError, which the SDK counts as failed tries."""
        try:
            with anyio.fail_after(self._seconds):
                response = await super().send(request, stream=True, **options)
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


class Requests:
    """An event loop in a thread of its own, where requests wait for their replies."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="requests", daemon=True).start()

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`, which is cancelled where the caller is interrupted."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()
