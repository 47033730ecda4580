"""Measure the regret of every policy on planted streams, where what each case is worth is known.

    python scripts/simulate.py                                       # all of them, ten seeds: hours
    python scripts/simulate.py --policies Random EvidenceLogUCB --worlds drift --seeds 2
    python scripts/simulate.py --out results/simulators.json         # the regret of each seed, beside the table

Prints a Markdown table: the mean regret of a stream, the best of the recalled cases or none being 0, with half of the
95 % t interval over the seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import _path  # noqa: F401

from errors import exit_code
from scripts.simulators import table
from scripts.simulators.worlds import WORLDS


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names, worlds = list(table.rows()), list(WORLDS)
    parser.add_argument("--policies", nargs="+", default=names, choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--worlds", nargs="+", default=worlds, choices=worlds, metavar="NAME", help=", ".join(worlds))
    parser.add_argument("--steps", type=int, default=300, help="length of a stream (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="streams of each world (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the regrets there, as JSON")
    options = parser.parse_args(argv)
    return exit_code(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    results = table.measure(options.policies, options.worlds, options.steps, options.seeds, options.out)
    print(table.markdown(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
