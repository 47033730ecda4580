"""Measure the regret of every policy on planted streams, where what each case is worth is known.

    python scripts/simulate.py                                       # all of them, ten seeds: hours
    python scripts/simulate.py --policies Random EvidenceLogUCB --worlds drift --seeds 2
    python scripts/simulate.py --out results/simulators.json         # the regret of each seed, beside the table
    python scripts/simulate.py --read results/simulators.json --worlds drift --plot drift.png

Prints Markdown tables, means over the seeds with half of the 95 % t interval: the regret of a stream, the best of the
recalled cases or none being 0, and, where zero-shot is among the policies, success in points above it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import _path  # noqa: F401

from errors import UsageError, exit_code
from scripts.simulators import table
from scripts.simulators.figure import draw, draw_above
from scripts.simulators.playing import ZERO_SHOT
from scripts.simulators.worlds import WORLDS


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names, worlds = list(table.rows()), list(WORLDS)
    parser.add_argument("--policies", nargs="+", default=names, choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--worlds", nargs="+", default=worlds, choices=worlds, metavar="NAME", help=", ".join(worlds))
    parser.add_argument("--steps", type=int, default=300, help="length of a stream (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="streams of each world (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the regrets there, as JSON")
    parser.add_argument("--read", type=Path, metavar="FILE", help="play nothing: what --out has written")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the cumulative regret over the steps there")
    parser.add_argument("--plot_above", type=Path, metavar="FILE.png", help="draw success above zero-shot there")
    options = parser.parse_args(argv)
    return exit_code(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    if options.read is None:
        results = table.measure(options.policies, options.worlds, options.steps, options.seeds, options.out)
    else:
        results = table.read(options.read, options.policies, options.worlds)
    print(table.markdown(results))
    above = table.points_above(results)
    if above:
        print("\nabove zero-shot:\n" + table.above_zero_shot(results))
        print("\nin the last quarter:\n" + table.above_zero_shot(results, late=True))
    if options.plot is not None:
        draw(results, options.plot)
    if options.plot_above is not None:
        if not above:
            raise UsageError(f"--plot_above needs {ZERO_SHOT} and another policy")
        draw_above(above, options.plot_above)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
