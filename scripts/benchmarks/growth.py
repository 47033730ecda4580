"""What a step costs early and late in a stream, for the exact policy and with --history_limit: `benchmark.py growth`.

    python scripts/benchmark.py growth                                      # M = 1024 over 10,000 steps: hours
    python scripts/benchmark.py growth --steps 1200 --limits 0 128          # the same in small

NeuralLinLogUCB plays a stream of banking77 queries once for each limit (0: all, the exact path), in processes that take
turns. The mean CPU time of a step outside the LLM over the last tenth of the stream is divided by that over a tenth
after a fifth of it: with all of the history it grows with the stream, with a limit it must not.
"""

from __future__ import annotations

import argparse
from typing import Any

from config import PRECISIONS
from scripts.benchmarks import versus
from scripts.benchmarks.figures import keep
from scripts.benchmarks.player import Contestant


def measure(data: str, steps: int, limits: list[int], precision: str) -> list[dict[str, Any]]:
    """For each limit the mean CPU milliseconds of a step early and late, and their ratio."""
    options = {"agent": "cbr", "bandit": "NeuralLinLogUCB", "data": data, "precision": precision}
    contestants = {
        limit: Contestant(versus.ROOT, options=options | {"history_limit": limit}, steps=steps, passes=True)
        for limit in limits
    }
    windows = {"early": (steps // 5, steps * 3 // 10), "late": (steps * 9 // 10, steps)}
    spent: dict[tuple[int, str], list[float]] = {}
    for done in range(0, steps, versus.TURN):
        turn = min(versus.TURN, steps - done)
        for limit, contestant in contestants.items():
            played = contestant.play(turn)
            for name, (begin, end) in windows.items():
                if begin <= done < end:
                    total = spent.setdefault((limit, name), [0.0, 0.0, 0.0])
                    for i, value in enumerate((played["cpu"], played["texts"], turn)):
                        total[i] += value
    for contestant in contestants.values():
        contestant.close()
    return [
        {"precision": precision, **figures(limit, steps, spent[limit, "early"], spent[limit, "late"])}
        for limit in limits
    ]


def figures(limit: int, steps: int, early: list[float], late: list[float]) -> dict[str, Any]:
    """`early` and `late`: CPU seconds, texts that were encoded, steps."""
    (before, texts_before), (after, texts_after) = ((1000 * cpu / n, texts / n) for cpu, texts, n in (early, late))
    return {
        "history_limit": limit,
        "steps": steps,
        "early_ms": before,
        "late_ms": after,
        "ratio": after / before,
        "texts_a_step": [texts_before, texts_after],
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="auto", help="banking77 rows, as main.py --data (default: auto)")
    parser.add_argument("--steps", type=int, default=10_000, help="length of the stream (default: %(default)s)")
    parser.add_argument("--limits", type=int, nargs="+", default=[0, 1024], metavar="M", help="--history_limit of each")
    parser.add_argument("--precision", default="float32", choices=PRECISIONS, help="as main.py (default: %(default)s)")


def report(arguments: argparse.Namespace) -> None:
    print("| history_limit | CPU ms a step early | late | late / early | texts a step early | late |")
    print("|---|---|---|---|---|---|")
    found = measure(arguments.data, arguments.steps, arguments.limits, arguments.precision)
    for each in found:
        texts = " | ".join(f"{count:.1f}" for count in each["texts_a_step"])
        times = f"{each['early_ms']:.1f} | {each['late_ms']:.1f} | {each['ratio']:.2f}"
        print(f"| {each['history_limit'] or 'all'} | {times} | {texts} |", flush=True)
    print(f"\n{keep('growth', found)}")
