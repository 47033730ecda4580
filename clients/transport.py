"""The SDK's asynchronous client, in a thread with an event loop of its own: callers stay synchronous."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Coroutine
from typing import Any


def wait_for(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of `work`, done in the event loop's thread; cancelled where the caller is interrupted."""
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result()
    finally:
        future.cancel()


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="requests", daemon=True).start()
    return loop
