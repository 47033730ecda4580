"""What a step costs outside the LLM, as ratios measured side by side in one run: `benchmark.py policies`.

    python scripts/benchmark.py policies                        # all of them, 1,000 steps each
    python scripts/benchmark.py policies --policies Pretrained NeuralLinLogUCB --data PATH

For each policy a stream of banking77 queries is played with an LLM that answers at once and is right in 6 of 10 steps.
Over the second half of the stream the mean time per step is divided by the mean time to encode one query with the
same encoder, measured in the same minutes, between the steps. Ratios travel between machines; seconds do not.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import main as command_line  # the repository's main.py
from agent import make_agent
from clients.scripted import ScriptedClient
from config import Config
from env import Env, make_env
from llm import LLM
from registry import POLICIES
from runs.folder import RunLog
from runs.track import Tracker

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

ENCODE_EVERY = 5  # steps between two timings of a single query encoding


def make_stream(data: str, steps: int) -> Env:
    """`steps` distinct banking77 queries: those of the data, then the same again with a note that makes them new."""
    env = make_env("banking77", data, shuffle_seed=0)
    rows = env.dataset
    env.dataset = [
        row if i < len(rows) else row | {"task": f"{row['task']} (asked again, no. {i // len(rows)})"}
        for i, row in ((i, rows[i % len(rows)]) for i in range(steps))
    ]
    return env


class TimedTracker(Tracker):
    """Times the encoding of one query between the steps, outside of what the steps measure."""

    def __init__(self, config: Config, encoder: TextEncoder, start: int) -> None:
        super().__init__(config)
        self._encoder = encoder
        self._start = start
        self.encode_seconds: list[float] = []

    def log(self, record: dict) -> None:
        if record["step"] > self._start and record["step"] % ENCODE_EVERY == 0:
            begin = time.perf_counter()
            self._encoder.sentences.encode([record["task"]])
            self.encode_seconds.append(time.perf_counter() - begin)


def measure(policy: str, data: str, steps: int, folder: Path) -> tuple[float, float]:
    """Mean seconds of a step outside the LLM and of one query encoding, over the second half of the stream."""
    config = Config(env="banking77", agent="cbr", bandit=policy, output_dir=str(folder))
    text_encoder = command_line.make_load_encoder(config)
    env = make_stream(data, steps)
    chance = random.Random(0)

    def answer(prompt: str) -> str:
        return env.format_answer(env.get_ground_truth()) if chance.random() < 0.6 else "no idea"

    llm = LLM(ScriptedClient(answer))
    agent = make_agent(config, env, llm, text_encoder)
    log = RunLog(folder / policy, config.identity(), overwrite=True, checkpoint_seconds=1e9)
    tracker = TimedTracker(config, text_encoder(), steps // 2)
    command_line.run(env, agent, log, tracker)
    log.close()
    late = [record["agent_seconds"] for record in log.records(after=steps // 2)]
    return statistics.fmean(late), statistics.fmean(tracker.encode_seconds)


def measure_help() -> tuple[float, float]:
    """Seconds of `main.py --help` and of starting Python itself, medians of five."""

    def median_seconds(*arguments: str) -> float:
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            times.append(time.perf_counter() - begin)
        return statistics.median(times)

    return median_seconds(command_line.__file__, "--help"), median_seconds("-c", "pass")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=list(POLICIES))
    parser.add_argument("--data", default="auto", help="banking77 rows, as main.py --data (default: auto)")
    parser.add_argument("--steps", type=int, default=1000, help="length of the stream (default: %(default)s)")


def report(arguments: argparse.Namespace) -> None:
    help_seconds, python_seconds = measure_help()
    print(f"main.py --help: {help_seconds:.2f} s (python alone {python_seconds:.2f} s)\n")
    print("| policy | ms a step outside the LLM | ms to encode one query | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for policy in arguments.policies:
            step, encode = measure(policy, arguments.data, arguments.steps, Path(folder))
            print(f"| {policy} | {1000 * step:.1f} | {1000 * encode:.1f} | {step / encode:.1f} |", flush=True)
