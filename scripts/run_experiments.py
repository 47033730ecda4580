"""Run a figure of the paper: `python scripts/run_experiments.py 3 --seeds 0-1`; --help says more."""

from __future__ import annotations

import sys

import _path  # noqa: F401

from stopping import end_at_once, signals_as_exceptions

if __name__ == "__main__":  # Ctrl-C while the rest is imported ends the process without a traceback
    end_at_once()

from experiments.cli import main

if __name__ == "__main__":
    with signals_as_exceptions():
        code = main(sys.argv[1:])
    end_at_once(code)
    sys.exit(code)
