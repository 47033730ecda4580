"""Run a figure of the paper: `python scripts/run_experiments.py 3 --seeds 0-1`; --help says more."""

from __future__ import annotations

import sys

import _path  # noqa: F401

from experiments.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
