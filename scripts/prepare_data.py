"""Get a task's data into place, or check what is there.

    python scripts/prepare_data.py banking77                       # download the official stream
    python scripts/prepare_data.py banking77 --from ~/banking77    # convert the original public release instead
    python scripts/prepare_data.py banking77 --check               # validate the rows in place, or else the sample
    python scripts/prepare_data.py banking77 --to rows.parquet     # write the rows in place as a Parquet file

Rows go to data/TASK/TASK.jsonl with a note of their origin; databases go below data/TASK/source/. Converted rows are
not the benchmark's stream, and runs on them say so. Exit code: 0, 1 where something is wrong with the data, 2
for usage.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import _path  # noqa: F401

from env import ENV_ALIASES, ENV_DICT, find_env
from env.blocks import label_blocks
from env.data import DATA_ROOT, is_benchmark, locate, parse_row
from errors import DataError, UsageError, exit_code, unknown_choice
from scripts.prepare import downloads, streambench
from scripts.prepare.checks import check_rows
from scripts.prepare.conversions import convert
from scripts.prepare.installing import install, install_bytes, install_rows


def main(argv: list[str]) -> int:
    options = parse_arguments(argv)
    return exit_code(lambda: prepare(options))


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", metavar="TASK", help=f"one of: {', '.join(ENV_DICT)}")
    parser.add_argument(
        "--from", dest="release", type=Path, metavar="FOLDER", help="convert the release there (ds1000: or FILE)"
    )
    parser.add_argument("--split", help="which split of the release (default: the test split if it has one)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the data folder (default: data/TASK)")
    parser.add_argument(
        "--to", type=Path, metavar="FILE.parquet", help="write the rows there; alone, it only does that"
    )
    parser.add_argument("--check", action="store_true", help="validate every row; alone, it only does that")
    return parser.parse_args(argv)


def prepare(options: argparse.Namespace) -> int:
    """Do what the command line says and return the exit code."""
    task = ENV_ALIASES.get(options.task, options.task)
    if task not in ENV_DICT:
        raise unknown_choice("task", task, ENV_DICT)
    if options.split is not None and options.release is None:
        raise UsageError("--split chooses among the splits of a release: it needs --from FOLDER")
    if options.to is not None and options.to.suffix.lower() != ".parquet":
        raise UsageError(f"--to {options.to}: the name of a Parquet file ends in .parquet")
    task = find_env(task).stream or task
    folder = options.out or DATA_ROOT / task
    fetch = options.release is None and not options.check and options.to is None
    if options.release is not None:
        install_release(task, options.release, options.split, folder)
    elif fetch:
        download(task, folder)
    where = "auto" if options.release is None and not fetch and options.out is None else str(folder)
    if options.to is not None:
        export(task, where, options.to)
    return report_check(task, where) if options.check or fetch else 0


def install_release(task: str, release: Path, split: str | None, folder: Path) -> None:
    """Convert a release; its files are copied before its rows are, so that no row lacks its database or game."""
    conversion = convert(task, release, split)
    for below, file in conversion.files.items():
        with file.open("rb") as source:
            install(source, folder / below)
    for below, beside in conversion.written.items():
        install_bytes(beside, folder / below)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in conversion.rows).encode()
    path = folder / f"{task}.jsonl"
    install_rows(content, path, "converted", str(conversion.source))
    number = len(conversion.files) + len(conversion.written)
    files = f" and {number} file{'s' * (number > 1)}" if number else ""
    print(f"{path}: {len(conversion.rows)} rows{files} converted from {conversion.source}")
    if conversion.dropped:
        print(f"note: {conversion.dropped} rows are left out: their database is missing or does not run their query")
    note = label_blocks(conversion.rows)
    if note:
        print(f"note: {note}")


def export(task: str, where: str, path: Path) -> None:
    """Write the task's rows as a Parquet file. Raises DataError where that form cannot hold them."""
    from datasets import Dataset, disable_progress_bars

    data_file = locate(task, where)
    rows = [row for _, row in data_file.rows(find_env(task).fields)]
    if not rows:
        raise DataError(f"{data_file.name} has no rows")
    disable_progress_bars()
    buffer = io.BytesIO()
    try:
        table = Dataset.from_list(rows)
        held = table.to_list() == rows
    except (ValueError, TypeError, OverflowError):
        held = False
    if not held:
        raise DataError(f"{data_file.name}: a column of a Parquet file has one type, which these rows do not fit")
    table.to_parquet(buffer)
    buffer.seek(0)
    install(buffer, path)
    print(f"{path}: {len(rows)} rows ({data_file.origin})")


def download(task: str, folder: Path) -> None:
    """Fetch the official rows and what else the task needs. Raises DataError that says what to do where it can't."""
    if not is_benchmark(task):
        rows = DATA_ROOT / task / f"{task}.jsonl"
        raise DataError(f"{task} is your own task, there is nothing to download: write its rows to {rows}")
    if task in downloads.BY_HAND:
        raise DataError(f"{task} cannot be downloaded: {downloads.BY_HAND[task].format(folder=folder, task=task)}")
    if task in streambench.ON_HUB or task == "ds1000":
        download_streambench(task, folder)
        return
    path = folder / f"{task}.jsonl"
    with tempfile.TemporaryDirectory() as scratch:
        content = downloads.fetch_rows(task, folder, Path(scratch)).read_bytes()
    env_class = find_env(task)
    rows = [
        parse_row(f"{downloads.HUB_DATASET}, {path.name}:{number}", line.decode("utf-8", "replace"), env_class.fields)
        for number, line in enumerate(content.splitlines(), start=1)
        if line.strip()
    ]
    install_rows(content, path, "official", downloads.HUB_DATASET)
    print(f"{path}: {len(rows)} rows from {downloads.HUB_DATASET}")
    fetch_further(task, rows, folder)


def download_streambench(task: str, folder: Path) -> None:
    """Fetch the rows of a task that StreamBench has and DTLBench has not."""
    with tempfile.TemporaryDirectory() as scratch:
        if task == "ds1000":
            rows, source = streambench.fetch_ds1000(folder, Path(scratch)), streambench.DS1000
        else:
            rows, source = streambench.fetch_rows(task, folder, Path(scratch)), streambench.HUB_DATASET
    path = folder / f"{task}.jsonl"
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    install_rows(content, path, "official", source)
    print(f"{path}: {len(rows)} rows from {source}")
    fetch_further(task, rows, folder)
    if task == "toolbench":
        streambench.fetch_apis(rows, folder)


def fetch_further(task: str, rows: list[dict[str, Any]], folder: Path) -> None:
    """Fetch what a task needs beside its rows. Raises DataError that says what to do where it can't."""
    env_class = find_env(task)
    if task in downloads.DATABASES:
        root = folder / env_class.databases
        needed = sorted({row["db_id"] for row in rows})
        missing = [db_id for db_id in needed if not (root / db_id / f"{db_id}.sqlite").is_file()]
        if missing:
            downloads.DATABASES[task](missing, root)
    if task in downloads.CORPORA:
        downloads.CORPORA[task](folder)


def report_check(task: str, where: str) -> int:
    """Print every bad row by file and line; the exit code is 1 if there are any."""
    data_file = locate(task, where)
    problems = list(check_rows(task, data_file))
    bad = [(number, problem) for number, problem in problems if problem]
    for number, problem in bad:
        print(f"{data_file.path}:{number}: {problem}", file=sys.stderr)
    if not problems:
        raise DataError(f"{data_file.path} has no rows")
    print(f"{data_file.path}: {len(problems)} rows ({data_file.origin}), {len(bad)} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
