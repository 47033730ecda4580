"""Write the sample streams that ship with the project: invented rows in each task's official schema.

    python scripts/make_samples.py            # all of them
    python scripts/make_samples.py ddxplus    # one

Rows come from facts and templates with a fixed seed, so the same files come out every time. They are for trying the
software and testing it; no figure on them is a figure of the benchmark.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
from pathlib import Path

from _path import ROOT

# task -> "module:function" under scripts/samples; function(rng, folder) returns the rows and may write `source/` there
GENERATORS = {
    "ddxplus": "ddxplus:rows",
    "mimic-iv-mr": "mimic_iv_mr:rows",
    "mimic-iv-msr": "mimic_iv_msr:rows",
    "mimic-iv-tlp": "mimic_iv_tlp:rows",
    "mud": "mud:rows",
    "cmdl": "cmdl:rows",
    "banking77": "banking77:rows",
    "sentifin": "sentifin:rows",
    "rca": "rca:rows",
    "lfd": "lfd:rows",
    "spider": "spider:rows",
    "bird": "bird:rows",
    "ehr": "ehr:rows",
    "alfworld": "alfworld:rows",
    "scienceworld": "scienceworld:rows",
    "2wiki": "twowiki:rows",
}


def make_sample(task: str, root: Path) -> Path:
    """Generate `task`'s sample under `root`/<task>/sample and return the path of its rows."""
    module, _, function = GENERATORS[task].partition(":")
    folder = root / task / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    generate = getattr(importlib.import_module(f"scripts.samples.{module}"), function)
    rows = generate(random.Random(f"sample {task}"), folder)
    path = folder / f"{task}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="which samples to make (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "data", help="the data folder (default: %(default)s)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.tasks) - set(GENERATORS))
    if unknown:
        parser.error(f"unknown task {unknown[0]!r}; choose from: {', '.join(GENERATORS)}")
    for task in arguments.tasks or GENERATORS:
        path = make_sample(task, arguments.out)
        print(f"{path}: {sum(1 for _ in path.open(encoding='utf-8'))} rows")


if __name__ == "__main__":
    main()
