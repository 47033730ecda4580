"""What the endpoint adds to the server behind it, under load: `benchmark.py endpoint`.

    python scripts/benchmark.py endpoint                              # 64 clients, 30 s, a bank of 100,000 cases
    python scripts/benchmark.py endpoint --clients 1 4 8 16 32 64     # one number of clients after the other
    python scripts/benchmark.py endpoint --tiny                       # the same in seconds, for a look
    python scripts/benchmark.py endpoint --json endpoint.json         # the figures as JSON too

A server that takes the same time for each answer is asked by the same clients twice, directly and through the endpoint,
one after the other; `--feedback` is the share of the endpoint's answers that get feedback, which it learns from
meanwhile. Server, endpoint and clients are processes of this machine and share its cores. The clients speak just as
much HTTP as they need, on one connection each, to leave as much of the machine as they can to what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from memory.entries import Entry
from memory.store import Store
from scripts.benchmarks.bank import make_vectors
from scripts.benchmarks.concurrency import ROOT, Server, serving
from step import Case

MEANING = {
    "throughput": "answers a second through the endpoint / directly: 1 is an endpoint that costs nothing",
    "added": "milliseconds that the endpoint adds to an answer, at the median and the 99th percentile",
    "cpu": "milliseconds of a processor that the endpoint spends on an answer and what it learns of it",
    "errors": "answers and pieces of feedback that did not get a 200",
    "memory": "resident megabytes of the endpoint's process after a tenth of the time, half of it, and at the end",
}
WARM = 5.0  # seconds of one client before the first figure
COLUMNS = ("clients", "directly/s", "endpoint/s", "throughput", "median ms", "99 % ms", "added", "added 99 %")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, nargs="+", default=[64], help="(default: 64)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of load on each (default: %(default)s)")
    parser.add_argument(
        "--answer", type=float, default=0.1, help="seconds that the server takes (default: %(default)s)"
    )
    parser.add_argument("--cases", type=int, default=100_000, help="in the bank (default: %(default)s)")
    parser.add_argument(
        "--feedback", type=float, default=1.0, help="share of the answers fed back (default: %(default)s)"
    )
    parser.add_argument("--tiny", action="store_true", help="4 clients, 2 seconds, 200 cases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")


def report(arguments: argparse.Namespace) -> None:
    if arguments.tiny:
        arguments.clients, arguments.seconds, arguments.cases = [4], 2.0, 200
    print(f"| {' | '.join((*COLUMNS, 'cpu ms', 'errors', 'memory MB'))} |\n|{'---|' * (len(COLUMNS) + 3)}")
    figures = []
    for figure in measure(arguments):
        figures.append(figure)
        print(in_words(figure), flush=True)
    print("\n" + "\n".join(f"- {name}: {meaning}" for name, meaning in MEANING.items()))
    if arguments.json:
        written = {"meaning": MEANING, "cases": arguments.cases, "feedback": arguments.feedback, "loads": figures}
        arguments.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def in_words(figure: dict[str, Any]) -> str:
    """A line of the table."""
    direct, through, added = figure["directly"], figure["endpoint"], figure["added"]
    rates = f"{direct['rate']:.1f} | {through['rate']:.1f} | {figure['throughput']:.2f}"
    times = f"{through['median']:.1f} | {through['p99']:.1f} | {added['median']:.1f} | {added['p99']:.1f}"
    memory = ", ".join(f"{size:.0f}" for size in figure["memory"])
    return f"| {figure['clients']} | {rates} | {times} | {figure['cpu']:.2f} | {figure['errors']} | {memory} |"


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """For each number of clients the figures of MEANING; the endpoint goes on from one to the next."""
    with tempfile.TemporaryDirectory() as place, serving("--seconds", arguments.answer) as server:
        bank = fill_bank(Path(place) / "bank.sqlite", arguments.cases)
        with endpoint(server, bank, Path(place)) as (port, child):
            asyncio.run(Load(port, WARM, 1.0).play(1))  # the first answers wait for what is loaded and built
            for count in arguments.clients:
                yield measure_load(server, port, child.pid, count, arguments.seconds, arguments.feedback)


def measure_load(
    server: Server, port: int, process: int, clients: int, seconds: float, feedback: float
) -> dict[str, Any]:
    direct = asyncio.run(Load(server.port, seconds, 0.0).play(clients))
    begin = cpu_seconds(process)
    through = asyncio.run(Load(port, seconds, feedback, process).play(clients))
    cpu = 1000 * (cpu_seconds(process) - begin) / max(1, through["answers"])
    added = {name: through[name] - direct[name] for name in ("median", "p99")}
    figures = {"clients": clients, "directly": direct, "endpoint": through, "added": added, "cpu": cpu}
    errors, memory = direct["errors"] + through["errors"], through.pop("memory")
    return figures | {"throughput": through["rate"] / direct["rate"], "errors": errors, "memory": memory}


def fill_bank(path: Path, count: int) -> Path:
    """A bank of that many cases with vectors that lie in clusters, as those of real texts do."""
    from memory.encoders import EMBEDDED, TextEncoder, resolve_device

    encoder = TextEncoder(EMBEDDED, resolve_device("cpu"))
    size = 10_000
    with Store.open(path, encoder.identity, write=True, create=True) as store:
        for part, start in enumerate(range(0, count, size)):
            numbers = range(start, min(count, start + size))
            vectors = make_vectors(len(numbers), max(1, count // 100), part)
            cases = [Case(f"An earlier question, number {i}", "card arrival") for i in numbers]
            store.add([Entry(case) for case in cases], vectors)
    return path


@contextlib.contextmanager
def endpoint(server: Server, bank: Path, folder: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The endpoint as a process of its own; its port."""
    words = ["--env", "banking77", "--bandit", "Pretrained", "--serving_mode", "vllm", "--llm", "m", "--port", "0"]
    words += ["--server", f"http://127.0.0.1:{server.port}/v1", "--bank", str(bank), "--output_dir", str(folder)]
    command = [sys.executable, str(ROOT / "scripts" / "serve.py"), *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield int(child.stdout.readline().strip().rpartition(":")[2]), child
    finally:
        child.terminate()
        child.wait()


@dataclass
class Load:
    """Clients of a server on loopback, each of which asks one question after the other.

    Args:
        feedback: the share of the answers that are fed back.
        watched: a process whose memory is noted.
    """

    port: int
    seconds: float
    feedback: float
    watched: int | None = None
    _times: list[float] = field(default_factory=list)
    _memory: list[float] = field(default_factory=list)
    _errors: int = 0

    async def play(self, clients: int) -> dict[str, Any]:
        """Let that many ask, all at once; what came of it."""
        self._begin = time.perf_counter()
        watching = [self._watch()] if self.watched else []
        await asyncio.gather(*(self._ask(client) for client in range(clients)), *watching)
        elapsed = time.perf_counter() - self._begin
        median, p99 = (1000 * float(np.quantile(self._times, share)) for share in (0.5, 0.99))
        found = {"rate": len(self._times) / elapsed, "answers": len(self._times), "median": median, "p99": p99}
        return found | {"errors": self._errors, "memory": self._memory}

    async def _ask(self, client: int) -> None:
        chance, number = np.random.default_rng(client), 0
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while (started := time.perf_counter()) - self._begin < self.seconds:
            number += 1
            said = {"role": "user", "content": f"client {client} asks question {number} about a card"}
            answer = await self._post(reader, writer, "chat/completions", {"model": "m", "messages": [said]})
            self._times.append(time.perf_counter() - started)
            if answer is not None and chance.random() < self.feedback:
                body = {"id": answer["id"], "reward": int(chance.random() < 0.7)}
                await self._post(reader, writer, "feedback", body)
        writer.close()

    async def _post(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: dict[str, Any]
    ) -> Any:
        """The JSON of the answer; None where its status was not 200."""
        data = json.dumps(body).encode()
        head = f"POST /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        said = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(said.partition("content-length:")[2].partition("\r\n")[0])
        answer = await reader.readexactly(length)
        if said.split()[1] != "200":
            self._errors += 1
            return None
        return json.loads(answer)

    async def _watch(self) -> None:
        for share in (0.1, 0.5, 1.0):
            await asyncio.sleep(max(0.0, self._begin + share * self.seconds - time.perf_counter()))
            self._memory.append(resident(self.watched))


def cpu_seconds(process: int) -> float:
    """A processor's time that a process has taken; nan where the system does not say."""
    try:
        said = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int | None) -> float:
    """Megabytes of memory that a process holds; nan where the system does not say."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
