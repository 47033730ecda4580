"""What a step costs outside the LLM, as ratios measured side by side in one run: `benchmark.py policies`.

    python scripts/benchmark.py policies                        # all of them, 1,000 steps each
    python scripts/benchmark.py policies --policies Pretrained NeuralLinLogUCB --data PATH
    python scripts/benchmark.py policies --against naive        # NeuralLinLogUCB beside a first draft of itself
    python scripts/benchmark.py policies --against ~/older      # beside another checkout of the project

For each policy a stream of banking77 queries is played with an LLM that answers at once and is right in 6 of 10 steps.
Over the second half of the stream the mean time per step is divided by the mean time to encode one query with the
same encoder, measured in the same minutes, between the steps. Ratios travel between machines; seconds do not.

With --against two processes take turns of a few steps each, and CPU seconds are compared beside seconds outside the
LLM: what is done while an LLM that takes --answer_seconds is at work costs none of these. `over its passes` is a step's
CPU time over that of the encoder's passes in it, queries, recalled cases, history and training: how far the step is
from what the algorithm itself needs.
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
from typing import TYPE_CHECKING, Any

import main as command_line  # the repository's main.py
from agent import make_agent
from clients.scripted import ScriptedClient
from config import PRECISIONS, Config
from llm import LLM
from registry import POLICIES
from runs.folder import RunLog
from runs.track import Tracker
from scripts.benchmarks import versus
from scripts.benchmarks.figures import keep
from scripts.benchmarks.player import Contestant, stream

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

ENCODE_EVERY = 5  # steps between two timings of a single query encoding


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
    env = stream({"data": data}, steps)
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


# -- beside another ----------------------------------------------------------------------------------------------------

RANKERS = ("embedded", "tiny-modernbert")


def compare(
    against: str, ranker: str, data: str, first: int, steps: int, precision: str, answer_seconds: float = 0.0
) -> dict[str, Any]:
    """Play NeuralLinLogUCB beside `against`, "naive" or a checkout; figures of the steps after `first`.

    `precision` is this side's; the other multiplies in float32. The LLM takes `answer_seconds`, which wall seconds are
    without.
    """
    options = {"agent": "cbr", "bandit": "NeuralLinLogUCB", "data": data}
    with tempfile.TemporaryDirectory() as folder:
        if ranker != "embedded":
            options["reranker_model_path"] = save_tiny_modernbert(Path(folder))
        naive = against == "naive"
        shared: dict[str, Any] = {
            "options": options,
            "steps": steps,
            "dropout": False,
            "answer_seconds": answer_seconds,
        }
        ours = Contestant(versus.ROOT, **shared | {"options": options | {"precision": precision}}, passes=True)
        theirs = Contestant(versus.ROOT if naive else Path(against).resolve(), **shared, naive=naive)
        costs = versus.play({"this": ours, "that": theirs}, first, steps)
    this, that = costs["this"], costs["that"]
    same, differs = versus.agreement(this.cases, that.cases)
    return {
        "against": against,
        "ranker": ranker,
        "precision": precision,
        "steps": [first, steps],
        "answer_seconds": answer_seconds,
        "cpu_ms": [this.ms(), that.ms()],
        "cpu_ratio": that.ms() / this.ms(),
        "wall_ms": [this.ms("wall"), that.ms("wall")],
        "wall_ratio": that.ms("wall") / this.ms("wall"),
        "same_arms": same,
        "first_difference": differs,
        "over_passes": this.ms() / this.ms("passes_cpu"),
        "texts_a_step": this.sums["texts"] / this.steps,
        "pairs_trained_a_step": this.sums["trained"] / this.steps,
    }


def save_tiny_modernbert(folder: Path) -> str:
    """A cross-encoder of random weights and the embedded encoder's tokenizer."""
    import torch
    from transformers import ModernBertConfig, ModernBertForSequenceClassification

    from scripts.benchmarks.gpu import TINY_MODERNBERT, save

    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes: dict[str, Any] = {**TINY_MODERNBERT, "num_labels": 1, "classifier_pooling": "mean"}
        config = ModernBertConfig(**sizes)
        save(ModernBertForSequenceClassification(config), folder)
    return str(folder)


def report_comparison(arguments: argparse.Namespace) -> None:
    print(
        "| ranker | CPU ms a step | against | CPU ratio | ms outside the LLM | against | ratio outside "
        "| same arms | over its passes | texts a step |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    figures = []
    for ranker in arguments.rankers:
        first, steps = arguments.steps // 2, arguments.steps
        precision, answer_seconds = arguments.precision, arguments.answer_seconds
        found = compare(arguments.against, ranker, arguments.data, first, steps, precision, answer_seconds)
        figures.append(found)
        times = " | ".join(
            f"{found[f'{kind}_ms'][0]:.1f} | {found[f'{kind}_ms'][1]:.1f} | {found[f'{kind}_ratio']:.1f}"
            for kind in ("cpu", "wall")
        )
        same = f"{found['same_arms']} of {arguments.steps}"
        rest = f"{same} | {found['over_passes']:.2f} | {found['texts_a_step']:.1f}"
        print(f"| {ranker} | {times} | {rest} |", flush=True)
    name = "naive" if arguments.against == "naive" else "checkout"
    print(f"\n{keep(f'policies-against-{name}', figures)}")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=list(POLICIES))
    parser.add_argument("--data", default="auto", help="banking77 rows, as main.py --data (default: auto)")
    parser.add_argument("--steps", type=int, default=1000, help="length of the stream (default: %(default)s)")
    parser.add_argument("--against", metavar="naive|FOLDER", help="beside a naive implementation or another checkout")
    parser.add_argument("--rankers", nargs="+", default=list(RANKERS), choices=RANKERS, help="of --against")
    parser.add_argument("--precision", default="float32", choices=PRECISIONS, help="of --against: this side's")
    parser.add_argument(
        "--answer_seconds",
        type=float,
        default=0.0,
        metavar="S",
        help="of --against: what the LLM takes, beside which this side prepares the next step (default: 0)",
    )


def report(arguments: argparse.Namespace) -> None:
    if arguments.against:
        report_comparison(arguments)
        return
    help_seconds, python_seconds = measure_help()
    print(f"main.py --help: {help_seconds:.2f} s (python alone {python_seconds:.2f} s)\n")
    print("| policy | ms a step outside the LLM | ms to encode one query | ratio |\n|---|---|---|---|")
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for policy in arguments.policies:
            step, encode = measure(policy, arguments.data, arguments.steps, Path(folder))
            print(f"| {policy} | {1000 * step:.1f} | {1000 * encode:.1f} | {step / encode:.1f} |", flush=True)
            figures.append({"policy": policy, "step_ms": 1000 * step, "encode_ms": 1000 * encode})
    print(f"\n{keep('policies', figures)}")
