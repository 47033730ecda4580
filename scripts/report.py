"""Tables, plots and a page of runs: `python scripts/report.py results/`; --help says more."""

from __future__ import annotations

import sys

import _path  # noqa: F401

from report.cli import main

if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show the bars still gets the figures
    sys.exit(main(sys.argv[1:]))
