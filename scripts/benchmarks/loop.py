"""Whole runs of main.py: how soon they start, what training hides behind, what two at once cost: `benchmark.py loop`.

    python scripts/benchmark.py loop                         # 128 steps a run, a server that takes 0.5 s
    python scripts/benchmark.py loop --steps 40 --delay 0.1

- start: seconds until the first line of steps.jsonl, zero-shot against a server and cbr embedded, and those of --help.
- overlap: seconds of a run with NeuralLinLogUCB, --refresh sync and overlap, over those of zero-shot, all against a
  server that answers after --delay seconds; and which success rates the two have.
- side by side: two embedded runs at once over the same two one after the other; at most 1, or threads fight.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from command_line import config_of
from experiments.local import LocalEngine
from experiments.plan import Run
from scripts.benchmarks.figures import keep

MAIN = Path(__file__).resolve().parent.parent.parent / "main.py"
REPEATS = 3


@contextmanager
def slow_server(delay: float) -> Iterator[int]:
    """The port of a server that chooses one of a prompt's options after `delay` seconds."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(delay)
            message = {"role": "assistant", "content": choose(request["messages"][-1]["content"])}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "slow"}
            self.send(reply | {"choices": [choice], "usage": usage})

        def do_GET(self) -> None:
            self.send({"object": "list", "data": [{"id": "slow", "object": "model"}]})

        def send(self, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def choose(prompt: str) -> str:
    """The answer of the last case that the prompt shows, or one of its options by chance."""
    shown = re.findall(r"\\boxed\{([^{}]+)\}", prompt)
    listed = re.search(r"<options>(.*?)</options>", prompt, re.S)
    options = [line[2:] for line in listed[1].splitlines() if line.startswith("- ")] if listed else ["none"]
    known = [answer for answer in shown if answer in options]
    return f"\\boxed{{{known[-1] if known else options[hashlib.sha256(prompt.encode()).digest()[0] % len(options)]}}}"


class Runs:
    """Runs of main.py, each in a folder of its own."""

    def __init__(self, folder: Path, data: str, steps: int) -> None:
        self._folder = folder
        self._common = ["--env", "banking77", "--shuffle", "--data", data, "--limit", str(steps)]
        self._count = 0

    def argv(self, *options: object) -> list[str]:
        self._count += 1
        output = ["--output_dir", str(self._folder / str(self._count))]
        return [*self._common, *output, *map(str, options)]

    def timed(self, *options: object) -> tuple[float, float, float]:
        """Carry out a run: seconds to its first step, to its end, and its success rate."""
        argv = self.argv(*options)
        output = Path(argv[argv.index("--output_dir") + 1])
        begin = time.perf_counter()
        process = start(argv)
        first = None
        while process.poll() is None:
            if first is None and any(path.stat().st_size for path in output.rglob("steps.jsonl")):
                first = time.perf_counter() - begin
            time.sleep(0.005)
        whole = time.perf_counter() - begin
        if process.returncode:
            raise RuntimeError(f"{' '.join(argv)} ended with exit code {process.returncode}")
        (summary,) = output.rglob("summary.json")
        return first or whole, whole, json.loads(summary.read_text())["success_rate"]


def start(argv: list[str]) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, str(MAIN), *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure_start(folder: Path, data: str) -> dict[str, float]:
    """Least seconds to the first step, of REPEATS."""
    with slow_server(0.0) as port:
        runs = Runs(folder, data, 2)
        commands = {"zero-shot, server": ["--agent", "zero-shot", *server(port)], "cbr, embedded": ["--agent", "cbr"]}
        found = {name: min(runs.timed(*options)[0] for _ in range(REPEATS)) for name, options in commands.items()}
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, str(MAIN), "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begin)
    return {"--help": min(times)} | found


def server(port: int) -> list[str]:
    return ["--llm", "slow", "--port", str(port)]


def measure_overlap(folder: Path, data: str, steps: int, delay: float) -> dict[str, list[float]]:
    """Seconds and success rate of zero-shot, and of cbr that trains at once and in the LLM's time."""
    agents = {"zero-shot": ["zero-shot"], "sync": ["cbr"], "overlap": ["cbr", "--refresh", "overlap"]}
    with slow_server(delay) as port:
        runs = Runs(folder, data, steps)
        return {name: list(runs.timed(*server(port), "--agent", *how)[1:]) for name, how in agents.items()}


def measure_side_by_side(folder: Path, data: str, steps: int) -> dict[str, float]:
    """Seconds of two runs one after the other, at once, and at once as two workers of the local engine."""
    runs = Runs(folder, data, steps)
    begin = time.perf_counter()
    for seed in (0, 1):
        start(runs.argv("--agent", "cbr", "--seed", seed)).wait()
    after_another = time.perf_counter() - begin
    begin = time.perf_counter()
    for process in [start(runs.argv("--agent", "cbr", "--seed", seed)) for seed in (0, 1)]:
        process.wait()
    at_once = time.perf_counter() - begin
    begin = time.perf_counter()
    engine = LocalEngine(2)
    for seed in (0, 1):
        argv = runs.argv("--agent", "cbr", "--seed", seed)
        engine.start(Run("", "", "banking77", "cbr", "", {}, config_of(argv), tuple(argv), ""))
    while engine.active:
        engine.wait(1.0)
    workers = time.perf_counter() - begin
    return {"one after the other": after_another, "at once": at_once, "two workers": workers}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="auto", help="banking77 rows, as main.py --data (default: auto)")
    parser.add_argument("--steps", type=int, default=128, help="of each run (default: %(default)s)")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds of an answer (default: %(default)s)")


def report(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        starts = measure_start(place / "start", arguments.data)
        print("| to the first step | seconds |\n|---|---|")
        for name, seconds in starts.items():
            print(f"| {name} | {seconds:.2f} |", flush=True)
        overlap = measure_overlap(place / "overlap", arguments.data, arguments.steps, arguments.delay)
        print("\n| against a slow server | seconds | over zero-shot | success rate |\n|---|---|---|---|")
        for name, (seconds, rate) in overlap.items():
            print(f"| {name} | {seconds:.1f} | {seconds / overlap['zero-shot'][0]:.2f} | {rate:.3f} |", flush=True)
        both = measure_side_by_side(place / "both", arguments.data, arguments.steps)
        print("\n| two runs | seconds | over one after the other |\n|---|---|---|")
        for name, seconds in both.items():
            print(f"| {name} | {seconds:.1f} | {seconds / both['one after the other']:.2f} |", flush=True)
    print(f"\n{keep('loop', {'start': starts, 'overlap': overlap, 'side by side': both})}")
