"""What the endpoint adds to the server behind it, under load: `benchmark.py endpoint`.

    python scripts/benchmark.py endpoint                        # 64 clients, 30 s, a bank of 100,000 cases
    python scripts/benchmark.py endpoint --tiny                 # the same in seconds, for a look
    python scripts/benchmark.py endpoint --json endpoint.json   # the figures as JSON too

A server that takes the same time for each answer is asked by the same clients twice, directly and through the endpoint,
one after the other. Server, endpoint and clients are processes of this machine and share its cores: each query is
embedded by the endpoint, which a server on another machine would leave more room for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from memory.entries import Entry
from memory.store import Store
from scripts.benchmarks.bank import make_vectors
from scripts.benchmarks.concurrency import ROOT, Server, serving
from step import Case

MEANING = {
    "throughput": "answers a second through the endpoint / directly: 1 is an endpoint that costs nothing",
    "added": "milliseconds that the endpoint adds to an answer, at the median and the 99th percentile",
    "memory": "resident megabytes of the endpoint after a tenth of the time and at the end",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=64, help="(default: %(default)s)")
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
        arguments.clients, arguments.seconds, arguments.cases = 4, 2.0, 200
    figures = measure(arguments)
    print(f"{'':<12}{'answers/s':>10}{'median ms':>11}{'99 % ms':>9}{'errors':>8}")
    for name in ("directly", "endpoint"):
        row = figures[name]
        print(f"{name:<12}{row['rate']:>10.1f}{row['median']:>11.1f}{row['p99']:>9.1f}{row['errors']:>8}")
    print(f"\nthroughput {figures['throughput']:.2f}   ({MEANING['throughput']})")
    print(f"added      {figures['added']['median']:.1f} and {figures['added']['p99']:.1f}   ({MEANING['added']})")
    print(f"memory     {figures['memory'][0]:.0f} and {figures['memory'][1]:.0f}   ({MEANING['memory']})")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures | {"meaning": MEANING}, indent=2) + "\n", encoding="utf-8")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place, serving("--seconds", arguments.answer) as server:
        bank = fill_bank(Path(place) / "bank.sqlite", arguments.cases)
        load = (arguments.clients, arguments.seconds)
        direct = asyncio.run(play(f"http://127.0.0.1:{server.port}/v1", *load, feedback=0.0))
        with endpoint(server, bank, Path(place)) as (address, child):
            through = asyncio.run(play(f"{address}/v1", *load, feedback=arguments.feedback, watched=child.pid))
    added = {name: through[name] - direct[name] for name in ("median", "p99")}
    memory = through.pop("memory")
    figures = {"directly": direct, "endpoint": through, "throughput": through["rate"] / direct["rate"]}
    return figures | {"added": added, "memory": memory, "clients": arguments.clients, "cases": arguments.cases}


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
def endpoint(server: Server, bank: Path, folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The endpoint as a process of its own; its address."""
    words = ["--env", "banking77", "--bandit", "Pretrained", "--serving_mode", "vllm", "--llm", "m", "--port", "0"]
    words += ["--server", f"http://127.0.0.1:{server.port}/v1", "--bank", str(bank), "--output_dir", str(folder)]
    command = [sys.executable, str(ROOT / "scripts" / "serve.py"), *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip(), child
    finally:
        child.terminate()
        child.wait()


async def play(
    address: str, clients: int, seconds: float, feedback: float, watched: int | None = None
) -> dict[str, Any]:
    """Let `clients` ask one question after the other for some seconds."""
    begin, times, errors, memory = time.perf_counter(), [], itertools.count(), []
    chance = np.random.default_rng(0)

    async def one(http: httpx2.AsyncClient, client: int) -> None:
        for number in itertools.count():
            started = time.perf_counter()
            if started - begin > seconds:
                return
            said = {"role": "user", "content": f"client {client} asks question {number} about a card"}
            answer = await http.post(f"{address}/chat/completions", json={"model": "m", "messages": [said]})
            times.append(time.perf_counter() - started)
            if answer.status_code != 200:
                next(errors)
            elif chance.random() < feedback:
                body = {"id": answer.json()["id"], "reward": int(chance.random() < 0.7)}
                fed = await http.post(f"{address}/feedback", json=body)
                if fed.status_code != 200:
                    next(errors)

    async def watch() -> None:
        for share in (0.1, 1.0):
            await asyncio.sleep(max(0.0, begin + share * seconds - time.perf_counter()))
            memory.append(resident(watched))

    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx2.AsyncClient(timeout=60, limits=limits, trust_env=False) as http:
        await asyncio.gather(*(one(http, client) for client in range(clients)), *([watch()] if watched else []))
    elapsed = time.perf_counter() - begin
    median, p99 = (1000 * float(np.quantile(times, share)) for share in (0.5, 0.99))
    return {"rate": len(times) / elapsed, "median": median, "p99": p99, "errors": next(errors), "memory": memory}


def resident(process: int | None) -> float:
    """Megabytes of memory that a process holds; nan where the system does not say."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
