"""Finding and reading a task's rows.

A data folder holds `<task>.jsonl` and, for tasks with databases, `source/`. `data/<task>/` is where prepare_data.py
puts the real stream; `data/<task>/sample/` is the small one that ships. A file counts as official only when the
provenance note beside it says that it was downloaded from the benchmark and its hash still agrees, so that figures on
converted or edited data are never taken for the benchmark's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import DataError

DATA_ROOT = Path(__file__).resolve().parent.parent / "data"
PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class DataFile:
    """A task's rows on disk: `origin` is official, converted, sample or user."""

    path: Path
    origin: str
    sha256: str

    @property
    def folder(self) -> Path:
        return self.path.parent


def locate(task: str, choice: str = "auto") -> DataFile:
    """Resolve `--data auto|official|sample|PATH` (a folder or a .jsonl file) for `task`.

    Raises DataError where the file does not exist.
    """
    installed = DATA_ROOT / task / f"{task}.jsonl"
    sample = DATA_ROOT / task / "sample" / f"{task}.jsonl"
    if choice == "auto":
        path = installed if installed.exists() else sample
    elif choice == "official":
        path = installed
    elif choice == "sample":
        path = sample
    else:
        path = Path(choice).expanduser()
        path = path / f"{task}.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise DataError(
            f"{path} does not exist: run `python scripts/prepare_data.py {task}`, or choose --data sample"
            if choice in ("auto", "official", "sample")
            else f"--data {choice}: {path} does not exist"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return DataFile(path, _origin(path, sample, digest), digest)


def _origin(path: Path, sample: Path, digest: str) -> str:
    if path.resolve() == sample.resolve():
        return "sample"
    note = path.with_name(PROVENANCE)
    try:
        provenance = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return "user"
    if not isinstance(provenance, dict) or provenance.get("sha256") != digest:
        return "user"
    return "official" if provenance.get("origin") == "official" else "converted"


def read_rows(path: Path, fields: dict[str, type | tuple[type, ...]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, row) of a JSON-lines file, each row checked to have `fields` of the right types.

    Blank lines are skipped. Raises DataError naming file and line at the first row that is not right.
    """
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            try:
                line = raw.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise DataError(f"{path}:{number}: not UTF-8 ({error.reason})") from None
            if line.strip():
                yield number, parse_row(f"{path}:{number}", line, fields)


def parse_row(where: str, line: str, fields: dict[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """Read one row, checked to have `fields` of the right types. Raises DataError, which begins with `where`."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not valid JSON ({error.msg}, column {error.colno})") from None
    except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
        raise DataError(f"{where}: not readable JSON ({error})") from None
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: not text ({error.object[error.start]!r} is half a character)") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(row).__name__}")
    for field, kind in fields.items():
        if field not in row:
            raise DataError(f"{where}: the field {field!r} is missing")
        if not isinstance(row[field], kind) or (isinstance(row[field], bool) and kind is int):
            names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise DataError(f"{where}: the field {field!r} should be {names}, found {type(row[field]).__name__}")
    return row
