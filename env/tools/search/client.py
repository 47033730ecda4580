"""Asking the retrieval service and Serper over HTTP, and starting a retrieval service for as long as a run lasts."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from errors import UserError

DEFAULT_URL = "http://127.0.0.1:8765"  # where scripts/serve_retrieval.py listens unless told otherwise
ROOT = Path(__file__).resolve().parent.parent.parent.parent
TRIES, PAUSE = 4, 0.5  # the pause doubles each time
SECONDS = 60.0
START_SECONDS = 900.0  # to build an index and load an encoder


class Outage(Exception):
    """The service did not answer, and trying again did not help."""


class Refused(Exception):
    """The service answered that this request is wrong."""


def call(
    url: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None, tries: int = TRIES
) -> Any:
    """GET `url`, or POST `body` to it as JSON, and return the JSON of the answer.

    Raises Outage where none came, after `tries`; Refused for a status that says the request is at fault.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    # Services of one's own speak plain HTTP and are reached directly; a proxy, where one is set, leads to the web.
    proxies = [] if url.startswith("https:") else [urllib.request.ProxyHandler({})]
    opener = urllib.request.build_opener(*proxies)
    for attempt in range(1, tries + 1):
        try:
            with opener.open(request, timeout=SECONDS) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                reason = f"status {error.code}: {error.read(300).decode('utf-8', 'replace')}"
            if error.code in (400, 413, 422):
                raise Refused(reason) from None
            if error.code in (401, 403, 404):
                raise Outage(f"{url}: {reason}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
        if attempt < tries:
            time.sleep(PAUSE * 2 ** (attempt - 1))
    raise Outage(f"{url}: {reason}")


def health(url: str, tries: int = 1) -> dict[str, Any] | None:
    """What the retrieval service at `url` serves, or None where there is none."""
    try:
        info = call(f"{url}/health", tries=tries)
    except (Outage, Refused):
        return None
    return info if isinstance(info, dict) and "passages" in info else None


class OwnService:
    """A retrieval service in a child process, on a free port of loopback.

    It ends with `close`, and by itself when this process ends in any way, because its standard input then does.

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

    def _read_url(self) -> str:
        ready, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        return self._process.stdout.readline().decode().strip() if ready else ""

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
