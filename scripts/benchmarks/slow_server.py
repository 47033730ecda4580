"""An LLM's server for benchmarks: every answer takes the same time, however many are asked for at once.

    python scripts/benchmarks/slow_server.py --seconds 0.2 --limit 250 --cut 0.01
    python scripts/benchmarks/slow_server.py --seconds 0.5 --answers answers.json

It speaks as much of the chat-completions protocol as a run needs, prints its port, and ends with its standard input.
GET /stats tells what has been asked since the last time. Standard library alone, one event loop: it has to be quicker
than what it measures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import time
import zlib
from pathlib import Path

ANSWER = "\\boxed{card arrival}"
KNOWN = 0.6  # the share of questions that are answered rightly, where answers are given
TASK = re.compile(r"<task>\n(.*?)\n</task>", re.DOTALL)
HEAD = "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"


class SlowServer:
    """A server.

    Args:
        seconds: of an answer.
        limit: answers a second, 0 for no limit.
        cut: the share of replies that are cut.
        answers: task -> its right answer, which is what KNOWN of the tasks get, always the same ones.
    """

    def __init__(self, seconds: float, limit: float, cut: float, answers: dict[str, str]) -> None:
        self._seconds, self._limit, self._cut, self._answers = seconds, limit, cut, answers
        self._chance = random.Random(0)
        self._allowed, self._filled = limit, time.monotonic()  # a bucket of one second's answers
        self._inside = 0
        self._reset()

    def _reset(self) -> None:
        self._stats = {"answered": 0, "refused": 0, "cut": 0, "most": 0, "first": 0.0, "last": 0.0}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while await self._answer(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.lower().split(":", 1) for line in head.split("\r\n") if ":" in line]
        body = await reader.readexactly(next((int(value) for name, value in lines if name == "content-length"), 0))
        if head.startswith("GET"):
            stats, models = self._stats, {"object": "list", "data": [{"id": "m", "object": "model"}]}
            if "/stats" in head:
                self._reset()
            write(writer, "200 OK", stats if "/stats" in head else models)
            return True
        if not self._take():
            self._stats["refused"] += 1
            write(writer, "429 Too Many Requests", {"error": {"message": "slow down"}}, "Retry-After: 0.5\r\n")
            return True
        self._stats["first"] = self._stats["first"] or time.monotonic()
        self._inside += 1
        self._stats["most"] = max(self._stats["most"], self._inside)
        await asyncio.sleep(self._seconds)
        self._inside -= 1
        if self._chance.random() < self._cut:
            self._stats["cut"] += 1
            writer.write(HEAD.format(status="200 OK", length=500, more="").encode() + b'{"choices": [')
            return False
        message = {"role": "assistant", "content": self._said(body) if self._answers else ANSWER}
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        usage = {"prompt_tokens": 9, "completion_tokens": 4}
        write(writer, "200 OK", {"object": "chat.completion", "choices": choices, "usage": usage})
        self._stats["answered"] += 1
        self._stats["last"] = time.monotonic()
        return True

    def _said(self, body: bytes) -> str:
        task = TASK.findall(json.loads(body)["messages"][-1]["content"])[-1]
        known = zlib.crc32(task.encode()) % 1000 < 1000 * KNOWN
        return self._answers[task] if known else ANSWER

    def _take(self) -> bool:
        """Whether the rate limit lets one more through."""
        if not self._limit:
            return True
        now = time.monotonic()
        self._allowed = min(self._limit, self._allowed + (now - self._filled) * self._limit)
        self._filled = now
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True


def write(writer: asyncio.StreamWriter, status: str, body: dict, more: str = "") -> None:
    data = json.dumps(body).encode()
    writer.write(HEAD.format(status=status, length=len(data), more=more).encode() + data)


async def serve(seconds: float, limit: float, cut: float, answers: dict[str, str]) -> None:
    slow = SlowServer(seconds, limit, cut, answers)
    server = await asyncio.start_server(slow.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.2, help="of an answer (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=0, help="answers a second before a 429 (default: no limit)")
    parser.add_argument("--cut", type=float, default=0, help="share of replies that are cut (default: %(default)s)")
    parser.add_argument("--answers", type=Path, help="JSON of tasks and their answers, of which it knows a part")
    arguments = parser.parse_args()
    answers = json.loads(arguments.answers.read_text(encoding="utf-8")) if arguments.answers else {}
    asyncio.run(serve(arguments.seconds, arguments.limit, arguments.cut, answers))
