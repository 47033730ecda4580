"""A run: its folder on disk, who reads it, what the terminal shows of it, trackers.

from runs import load_runs
runs, steps = load_runs("results")
"""

from .frames import load_runs

__all__ = ["load_runs"]
