"""Write the sample streams that ship with the project: invented rows in each task's official schema.

    python scripts/make_samples.py            # all of them
    python scripts/make_samples.py ddxplus    # one

Rows are drawn from the facts in data/<task>/sample/facts.yaml with a fixed seed, so the same files come out every time;
whoever edits the facts runs this again. The rows are for trying the software and testing it; no figure on them is a
figure of the benchmark.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import sys
from pathlib import Path

from _path import ROOT

from errors import exit_code, unknown_choice

# task -> module under scripts/samples; its rows(rng, folder) returns the rows and may write `source/` to the folder
GENERATORS = {
    "ddxplus": "ddxplus",
    "mimic-iv-mr": "mimic_iv_mr",
    "mimic-iv-msr": "mimic_iv_msr",
    "mimic-iv-tlp": "mimic_iv_tlp",
    "mud": "mud",
    "cmdl": "cmdl",
    "banking77": "banking77",
    "sentifin": "sentifin",
    "rca": "rca",
    "lfd": "lfd",
    "spider": "spider",
    "bird": "bird",
    "ehr": "ehr",
    "alfworld": "alfworld",
    "scienceworld": "scienceworld",
    "2wiki": "twowiki",
    "cosql": "cosql",
    "toolbench": "toolbench",
    "hotpotqa": "hotpotqa",
    "ds1000": "ds1000",
}


def make_sample(task: str, root: Path) -> Path:
    """Generate `task`'s sample under `root`/<task>/sample and return the path of its rows."""
    folder = root / task / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    generator = importlib.import_module(f"scripts.samples.{GENERATORS[task]}")
    rows = generator.rows(random.Random(f"sample {task}"), folder)
    path = folder / f"{task}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="which samples to make (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "data", help="the data folder (default: %(default)s)")
    arguments = parser.parse_args(argv)
    return exit_code(lambda: make_samples(arguments.tasks or list(GENERATORS), arguments.out))


def make_samples(tasks: list[str], root: Path) -> None:
    """Generate the samples of `tasks`; all the names are checked first."""
    for task in tasks:
        if task not in GENERATORS:
            raise unknown_choice("task", task, GENERATORS)
    for task in tasks:
        path = make_sample(task, root)
        print(f"{path}: {sum(1 for _ in path.open(encoding='utf-8'))} rows")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
