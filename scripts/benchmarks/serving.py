"""The slow server (slow_server.py) as a process of its own, beside what is measured."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "slow_server.py"


@dataclass(frozen=True)
class Server:
    """A slow server that is up."""

    port: int

    def stats(self) -> dict[str, float]:
        """What was asked since the last time."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats") as reply:
            found: dict[str, float] = json.load(reply)
        return found


@contextlib.contextmanager
def serving(*options: object) -> Iterator[Server]:
    """The server with the script's options, until the end of the block."""
    command = [sys.executable, SCRIPT, *options]
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield Server(int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait(timeout=10)
