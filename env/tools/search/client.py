"""Asking the retrieval service and Serper over HTTP, and starting a retrieval service for as long as a run lasts."""

from __future__ import annotations

import contextlib
import functools
import json
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent.parent
TRIES, PAUSE = 4, 0.5  # the pause doubles each time
SECONDS = 100.0  # for a call with all its tries; less than the tool server is given
HEALTH_SECONDS = 2.0
MAX_REPLY, MAX_HEALTH = 1 << 26, 1 << 16  # bytes
START_SECONDS = 900.0  # to build an index and load an encoder


class Outage(Exception):
    """The service did not answer, and trying again did not help."""


class Refused(Exception):
    """The service answered that this request is wrong."""


def call(
    url: str,
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    tries: int = TRIES,
    seconds: float = SECONDS,
    limit: int = MAX_REPLY,
) -> Any:
    """GET `url`, or POST `body` to it as JSON, and return the JSON of the answer.

    Raises Outage where no whole answer of at most `limit` bytes came in `tries` and within `seconds` in all; Refused
    for a status that says the request is at fault.
    """
    with start_blocking_portal() as portal:
        return portal.call(functools.partial(_call, url, body, headers, tries, seconds, limit))


async def _call(
    url: str, body: dict[str, Any] | None, headers: dict[str, str] | None, tries: int, seconds: float, limit: int
) -> Any:
    reason = f"no whole answer within {seconds:g} s"
    with anyio.move_on_after(seconds):
        for attempt in range(1, tries + 1):
            try:
                return _read(url, *await _exchange(url, body, headers, limit))
            except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
                reason = str(error) or type(error).__name__
            if attempt < tries:
                await anyio.sleep(PAUSE * 2 ** (attempt - 1))
    raise Outage(f"{url}: {reason}")


async def _exchange(
    url: str, body: dict[str, Any] | None, headers: dict[str, str] | None, limit: int
) -> tuple[int, bytes]:
    """Status and body of the answer to one request. The caller sets the deadline."""
    web = url.startswith("https:")  # a proxy, where one is set, leads to the web; services of one's own are plain HTTP
    async with httpx.AsyncClient(trust_env=web, verify=web, timeout=None) as client:
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        async with client.stream("GET" if body is None else "POST", url, json=body, headers=headers) as response:
            received = bytearray()
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > limit:
                    raise Outage(f"{url}: the answer is longer than {limit} bytes")
            return response.status_code, bytes(received)


def _read(url: str, status: int, received: bytes) -> Any:
    """The JSON of an answer. Raises ValueError where asking again may help."""
    if status == 200:
        return json.loads(received)
    reason = f"status {status}: {received[:300].decode('utf-8', 'replace')}"
    if status in (400, 413, 422):
        raise Refused(reason)
    if status in (401, 403, 404):
        raise Outage(f"{url}: {reason}")
    raise ValueError(reason)


def health(url: str, seconds: float = HEALTH_SECONDS) -> dict[str, Any] | None:
    """What the retrieval service at `url` serves, or None where none says so within `seconds`."""
    try:
        info = call(f"{url}/health", tries=3, seconds=seconds, limit=MAX_HEALTH)
    except (Outage, Refused):
        return None
    return info if isinstance(info, dict) and type(info.get("passages")) is int else None


class OwnService:
    """A retrieval service in a child process, on a free port of loopback.

    It ends with `close`, and by itself when this process ends in any way, because its standard input then does. `info`
    is what it says of itself.

    Raises UserError where it does not start.
    """

    def __init__(self, corpus: Path, method: str) -> None:
        command = [sys.executable, str(ROOT / "scripts" / "serve_retrieval.py"), "--corpus", str(corpus)]
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages:
            self._process = subprocess.Popen(
                [*command, "--method", method, "--port", "0", "--until_stdin_ends"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                start_new_session=True,  # Ctrl-C at the terminal is for the run to handle
            )
            try:
                self.url = self._read_url()
            except BaseException:
                self.close()
                raise
            if not self.url:
                self.close()
                messages.seek(0)
                said = messages.read().strip().splitlines() or [f"nothing within {START_SECONDS:.0f} s"]
                raise UserError(f"the retrieval service did not start: {said[-1].removeprefix('error: ')}")
        info = health(self.url, SECONDS)
        if info is None:
            self.close()
            raise UserError("the retrieval service that the run started does not answer: start the run again")
        self.info = info

    def _read_url(self) -> str:
        ready = select.poll()
        ready.register(self._process.stdout, select.POLLIN)
        return self._process.stdout.readline().decode().strip() if ready.poll(1000 * START_SECONDS) else ""

    def close(self) -> None:
        """End the service; more than once does no harm."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
