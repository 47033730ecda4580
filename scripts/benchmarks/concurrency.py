"""What --concurrency gains, against a server that takes the same time for each answer: `benchmark.py concurrency`.

    python scripts/benchmark.py concurrency                              # 2,000 questions, 64 in flight, 0.2 s each
    python scripts/benchmark.py concurrency --tiny                       # the same in seconds, for a look
    python scripts/benchmark.py concurrency --json concurrency.json      # the figures as JSON too

Ideal is what the server alone needs: questions / in flight x seconds. Time is from the first question that reaches the
server to its last answer. The faulty server lets 0.8 times as many through a second, which is its ideal then, sends 429
with Retry-After for more, and cuts one reply in a hundred. Time to the first step is that of a whole process that logs
a single one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import main as command_line
from errors import UserError
from runs.reader import find_folders, iterate_steps
from scripts.benchmarks.serving import Server, serving

ROOT = Path(__file__).resolve().parents[2]
MEANING = {
    "ratio": "seconds / ideal: 1 is a client that costs nothing; below 1.25 the server decides how long a run takes",
    "seeds": "five seeds played beside each other / one of them alone, as many questions in flight for each",
    "first_step": "seconds a process that logs one step and ends, whole; the ratio is to starting Python itself",
}


def play(server: Server, folder: Path, *more: object) -> dict[str, float]:
    """Run main.py's command line in this process; the server's stats, `seconds` from first to last, and of CPU here."""
    words = ("--env", "banking77", "--data", folder.parent / "rows.jsonl", "--llm", "m", "--port", server.port)
    server.stats()
    said, begin = io.StringIO(), time.process_time()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        failed = command_line.main([str(word) for word in (*words, "--output_dir", folder, *more)])
    if failed:
        raise UserError(f"a run has failed: {said.getvalue().strip().splitlines()[-1]}")
    stats = server.stats()
    return stats | {"seconds": stats["last"] - stats["first"], "cpu": time.process_time() - begin}


def in_order(folder: Path, steps: int) -> bool:
    """Whether every run below `folder` has each of its steps once, in order."""
    return all(
        [record["step"] for record in iterate_steps(run / "steps.jsonl")] == list(range(1, steps + 1))
        for run in find_folders(folder)
    )


def write_rows(path: Path, count: int) -> None:
    rows = ({"task": f"Where is card number {i}?", "label": "card arrival"} for i in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def measure_flight(questions: int, in_flight: int, seconds: float, folder: Path) -> Iterator[dict[str, Any]]:
    """Zero-shot one by one (a twentieth of the questions), with many in flight, and the same on the faulty server."""
    limit = round(0.8 * in_flight / seconds)
    faults = ("--limit", limit, "--cut", 0.01)
    few = max(1, questions // 20)
    for name, number, flying, options in (
        ("one by one", few, 1, ()),
        ("at once", questions, in_flight, ()),
        ("at once, 429s and cut replies", questions, in_flight, faults),
    ):
        with serving("--seconds", seconds, *options) as server:
            output = folder / name.replace(" ", "-")
            stats = play(server, output, "--agent", "zero-shot", "--limit", number, "--concurrency", flying)
        ideal = number / flying * seconds
        if options:  # the first second's answers are free
            ideal = max(ideal, (number - limit) / limit)
        right = in_order(output, number)
        yield stats | {"what": name, "questions": number, "in_flight": flying, "ideal": ideal, "in_order": right}


def measure_seeds(questions: int, in_flight: int, seconds: float, folder: Path) -> Iterator[dict[str, Any]]:
    """Zero-shot with one seed, and with five beside each other."""
    with serving("--seconds", seconds) as server:
        for name, seed in (("one seed", 0), ("five seeds", -1)):
            more = ("--agent", "zero-shot", "--limit", questions, "--concurrency", in_flight, "--seed", seed)
            stats = play(server, folder / name.replace(" ", "-"), *more)
            ideal = questions / in_flight * seconds
            right = in_order(folder / name.replace(" ", "-"), questions)
            named = {"what": name, "questions": questions, "in_flight": in_flight, "ideal": ideal, "in_order": right}
            yield stats | named


def measure_start(folder: Path) -> dict[str, float]:
    """Seconds of a process that logs one step, the best of three; and of `--help`, and Python itself."""

    def seconds(*arguments: object) -> float:
        times = []
        for _ in range(3):
            begin = time.monotonic()
            subprocess.run([sys.executable, *map(str, arguments)], check=True, capture_output=True, cwd=folder)
            times.append(time.monotonic() - begin)
        return min(times)

    script, rows = ROOT / "main.py", folder / "rows.jsonl"
    common = ("--env", "banking77", "--data", rows, "--limit", 1, "--overwrite", "--output_dir", folder)
    with serving("--seconds", 0) as server:
        return {
            "python": seconds("-c", "pass"),
            "main.py --help": seconds(script, "--help"),
            "zero-shot, a server": seconds(
                script, *common, "--agent", "zero-shot", "--llm", "m", "--port", server.port
            ),
            "cbr, embedded": seconds(script, *common),
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--questions", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--in_flight", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=0.2, help="of an answer (default: %(default)s)")
    parser.add_argument("--seed_questions", type=int, default=400, help="of each seed (default: %(default)s)")
    parser.add_argument("--seed_in_flight", type=int, default=8, help="of each seed (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="40 questions, 8 in flight, no processes but the server")
    parser.add_argument("--json", type=Path, help="write the figures to this file too", metavar="FILE")


def report(arguments: argparse.Namespace) -> None:
    questions, in_flight, seconds = arguments.questions, arguments.in_flight, arguments.seconds
    of_seed = arguments.seed_questions, arguments.seed_in_flight
    if arguments.tiny:
        questions, in_flight, seconds, of_seed = 40, 8, 0.05, (8, 4)
    columns = ("zero-shot", "questions", "in flight", "most at the server", "refused", "cut", "s", "of them CPU")
    print(f"| {' | '.join(columns)} | ideal s | ratio | in order |\n|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_rows(folder / "rows.jsonl", max(questions, of_seed[0]))
        figures = []
        in_turn = (measure_flight(questions, in_flight, seconds, folder), measure_seeds(*of_seed, seconds, folder))
        for figure in itertools.chain(*in_turn):
            figures.append(figure)
            print(in_words(figure), flush=True)
        print(
            f"\nfive seeds beside each other / one: {figures[-1]['seconds'] / figures[-2]['seconds']:.2f}", flush=True
        )
        start = {} if arguments.tiny else measure_start(folder)
    if start:
        print("\n| until the first step is logged | s | ratio to starting Python |\n|---|---|---|")
        for name, taken in start.items():
            print(f"| {name} | {taken:.2f} | {taken / start['python']:.1f} |")
    for meaning in MEANING.values():
        print(f"\n{meaning}")
    if arguments.json:
        written = {"meaning": MEANING, "flight": figures, "start": start}
        arguments.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def in_words(row: dict[str, Any]) -> str:
    """A line of the table."""
    counts = " | ".join(f"{row[name]:.0f}" for name in ("questions", "in_flight", "most", "refused", "cut"))
    times = " | ".join(f"{row[name]:.1f}" for name in ("seconds", "cpu", "ideal"))
    order = "yes" if row["in_order"] else "NO"
    return f"| {row['what']} | {counts} | {times} | {row['seconds'] / row['ideal']:.2f} | {order} |"
