"""Whole runs of main.py: how soon they start, what training hides behind, what two at once cost: `benchmark.py loop`.

    python scripts/benchmark.py loop                         # 240 steps a run, a server that takes 0.5 s
    python scripts/benchmark.py loop --steps 40 --delay 0.1

- start: seconds until the first line of steps.jsonl, zero-shot against a server and cbr embedded, and those of --help.
- overlap: seconds of a run with NeuralLinLogUCB, --refresh sync and overlap, over those of zero-shot, all against a
  server that answers after --delay seconds and knows the answers of some tasks, always the same ones; the start
  included, and from the first step on.
- side by side: two embedded runs at once over the same two one after the other; at most 1, or threads fight.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from command_line import config_of
from env import make_env, resolve_data
from experiments.local import LocalEngine
from experiments.plan import Run
from scripts.benchmarks.figures import keep
from scripts.benchmarks.serving import Server, serving

MAIN = Path(__file__).resolve().parent.parent.parent / "main.py"
REPEATS = 3


def write_answers(path: Path, data: str) -> Path:
    """What the server answers from: each task of the stream and its answer as prompts want it."""
    env = make_env("banking77", resolve_data("banking77", data))
    answers = {row["task"]: f"\\boxed{{{row['label']}}}" for row in env.dataset}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(answers), encoding="utf-8")
    return path


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
        while process.poll() is None and not any(path.stat().st_size for path in output.rglob("steps.jsonl")):
            time.sleep(0.01)
        first = time.perf_counter() - begin
        failed = process.wait()
        whole = time.perf_counter() - begin
        if failed:
            raise RuntimeError(f"{' '.join(argv)} ended with exit code {failed}")
        (summary,) = output.rglob("summary.json")
        return first, whole, json.loads(summary.read_text())["success_rate"]


def start(argv: list[str]) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, str(MAIN), *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure_start(folder: Path, data: str) -> dict[str, float]:
    """Least seconds to the first step, of REPEATS."""
    with serving("--seconds", 0) as server:
        runs = Runs(folder, data, 2)
        commands = {"zero-shot, server": ["--agent", "zero-shot", *at(server)], "cbr, embedded": ["--agent", "cbr"]}
        found = {name: min(runs.timed(*options)[0] for _ in range(REPEATS)) for name, options in commands.items()}
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, str(MAIN), "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begin)
    return {"--help": min(times)} | found


def at(server: Server) -> list[str]:
    return ["--llm", "m", "--port", str(server.port)]


def measure_overlap(folder: Path, data: str, steps: int, delay: float) -> dict[str, dict[str, float]]:
    """Zero-shot, and cbr that trains at once and in the LLM's time: seconds, and those after the first step."""
    agents = {"zero-shot": ["zero-shot"], "sync": ["cbr"], "overlap": ["cbr", "--refresh", "overlap"]}
    found = {}
    with serving("--seconds", delay, "--answers", write_answers(folder / "answers.json", data)) as server:
        runs = Runs(folder, data, steps)
        for name, how in agents.items():
            first, whole, rate = runs.timed(*at(server), "--agent", *how)
            found[name] = {"seconds": whole, "after the first step": whole - first, "success rate": rate}
    return found


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
    parser.add_argument("--steps", type=int, default=240, help="of each run (default: %(default)s)")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds of an answer (default: %(default)s)")


def report(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        starts = measure_start(place / "start", arguments.data)
        print("| to the first step | seconds |\n|---|---|")
        for name, seconds in starts.items():
            print(f"| {name} | {seconds:.2f} |", flush=True)
        overlap = measure_overlap(place / "overlap", arguments.data, arguments.steps, arguments.delay)
        print("\n| against a slow server | seconds | over zero-shot | after the first step | over zero-shot |")
        print("|---|---|---|---|---|")
        for name, figures in overlap.items():
            both_times = ("seconds", "after the first step")
            cells = (f"{figures[time]:.1f} | {figures[time] / overlap['zero-shot'][time]:.3f}" for time in both_times)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        both = measure_side_by_side(place / "both", arguments.data, arguments.steps)
        print("\n| two runs | seconds | over one after the other |\n|---|---|---|")
        for name, seconds in both.items():
            print(f"| {name} | {seconds:.1f} | {seconds / both['one after the other']:.2f} |", flush=True)
    print(f"\n{keep('loop', {'start': starts, 'overlap': overlap, 'side by side': both})}")
