"""Finding and reading a task's rows.

A data folder holds `<task>.jsonl` and, for tasks with databases, `source/`. `data/<task>/` is where prepare_data.py
puts the real stream; `data/<task>/sample/` is the small one that ships. A file counts as official only when the
provenance note beside it says that it was downloaded from the benchmark and its hash still agrees, so that figures on
converted or edited data are never taken for the benchmark's.

Rows of one's own may also be a CSV or Parquet file or a data set of the hub (env/sources.py), with other names for
their columns; whatever the form, a row is checked against the fields that its task declares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import DataError, UsageError, nearest

from .sources import HUB, hash_table, open_hub, open_parquet, read_csv, read_table

if TYPE_CHECKING:
    from datasets import Dataset

DATA_ROOT = Path(__file__).resolve().parent.parent / "data"
NO_ROWS = (".xlsx", ".xls", ".ods", ".tsv", ".json", ".zip", ".gz", ".arrow", ".feather", ".pkl")  # what might be tried
PROVENANCE = "provenance.json"

Row = dict[str, Any]
Fields = Mapping[str, type | tuple[type, ...]]  # a row's field -> what its value has to be
Columns = Mapping[str, str]  # a row's field -> the column of the source that holds it, where that has another name


@dataclass(frozen=True)
class DataFile:
    """Where a task's rows come from.

    Attributes:
        path: the file that holds them; for a data set of the hub, the file of the library's copy.
        origin: official, converted, sample or user.
        sha256: of the file's bytes; for a data set of the hub, of its rows.
        folder: what a task keeps beside its rows (databases, games) is below it.
        name: what a person calls the rows: the path, or hf:OWNER/NAME:SPLIT.
        revision: the commit of a data set on the hub.
    """

    path: Path
    origin: str
    sha256: str
    folder: Path
    name: str
    revision: str | None = None
    table: Dataset | None = field(default=None, repr=False, compare=False)

    def rows(self, fields: Fields, columns: Columns | None = None) -> Iterator[tuple[int, Row]]:
        """Yield (number, row) with `fields` of the right types; `place(number)` says where it stands."""
        if self.table is None:
            return read_rows(self.path, fields, columns)
        return _as_rows(self.place, read_table(self.table, self.name, _needed(fields, columns)), fields, columns)

    def place(self, number: int) -> str:
        """How an error names the row with this number."""
        return f"{self.name}, row {number}" if self.table is not None else _place(self.path, number)

    def record(self) -> dict[str, Any]:
        """What config.yaml says of the rows, as plain values: path (or hf: name), origin, sha256 and any revision."""
        plain = {"path": self.name, "origin": self.origin, "sha256": self.sha256}
        return plain | ({"revision": self.revision} if self.revision else {})

    def describe(self) -> str:
        """The rows in words, as `describe_rows`."""
        return describe_rows(self.record())


def describe_rows(record: Mapping[str, Any]) -> str:
    """Rows in words, from what `DataFile.record` or config.yaml says of them; never with a whole hash.

    "the SAMPLE rows", "the official rows", "your own rows FILE (sha256 1234abcd)".
    """
    origin, version = record["origin"], f"(sha256 {record['sha256'][:8]})"
    if record.get("revision"):
        version = f"(revision {record['revision'][:8]}, sha256 {record['sha256'][:8]})"
    if origin == "sample":
        return "the SAMPLE rows"
    if origin == "official":
        return "the official rows"
    if origin == "converted":
        return f"the rows converted from the original release {version}"
    return f"your own rows {record.get('path') or 'of the task itself'} {version}"


def locate(task: str, choice: str = "auto", home: Path | None = None) -> DataFile:
    """Resolve `--data` for `task`: auto, official, sample, a folder with <task>.jsonl, a file or hf:OWNER/NAME[:SPLIT].

    `home` is the folder of a task outside the checkout, whose rows lie beside it. Raises DataError, in one line that
    says what to do, where there is nothing that can be read.
    """
    folder = home or DATA_ROOT / task
    installed = folder / f"{task}.jsonl"
    sample = folder / "sample" / f"{task}.jsonl"
    if choice.startswith(HUB):
        data = open_hub(choice)
        return DataFile(data.file, "user", hash_table(data.table), folder, data.name, data.revision, data.table)
    named = choice not in ("auto", "official", "sample")
    try:
        if named:
            path = Path(choice).expanduser()
            path = path / f"{task}.jsonl" if path.is_dir() else path
        else:
            path = sample if choice == "sample" or (choice == "auto" and not installed.exists()) else installed
        if not path.exists():
            raise DataError(f"--data {choice}: {path} does not exist" if named else _nothing_there(task, path, home))
        if not path.is_file():
            raise DataError(f"{path} is not a file of rows")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, RuntimeError) as error:  # RuntimeError: ~name of a user who does not exist
        raise DataError(f"{choice if named else path} cannot be read ({_reason(error)})") from None
    return DataFile(path, _origin(path, sample, digest), digest, path.parent, str(path))


def sample_stands_in(task: str) -> bool:
    """Whether `auto` means the task's sample, for want of its real rows."""
    folder = DATA_ROOT / task
    return (folder / "sample" / f"{task}.jsonl").exists() and not (folder / f"{task}.jsonl").exists()


def is_benchmark(task: str) -> bool:
    """Whether `task` is one of the benchmark's, which all ship a sample, and not the user's own."""
    return (DATA_ROOT / task / "sample").is_dir()


def _nothing_there(task: str, path: Path, home: Path | None) -> str:
    if home is None and is_benchmark(task):
        return f"{path} does not exist: run `python scripts/prepare_data.py {task}`, or choose --data sample"
    rows = (home or DATA_ROOT / task) / f"{task}.jsonl"
    return f"{task} has no rows yet: write them to {rows}, one JSON object a line, or name a file with --data FILE"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _origin(path: Path, sample: Path, digest: str) -> str:
    if path.resolve() == sample.resolve():
        return "sample"
    note = path.with_name(PROVENANCE)
    try:
        provenance = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return "user"
    if not isinstance(provenance, dict) or provenance.get("sha256") != digest:
        return "user"
    return "official" if provenance.get("origin") == "official" else "converted"


def parse_columns(text: str | None) -> dict[str, str]:
    """Read `--columns task=text,label=category`: the task's field -> the source's column. Raises UsageError."""
    columns: dict[str, str] = {}
    for pair in text.split(",") if text else ():
        name, equals, column = (part.strip() for part in pair.partition("="))
        if not (name and equals and column) or name in columns:
            raise UsageError(f"--columns {text}: expected FIELD=COLUMN,..., as in task=text,label=category")
        columns[name] = column
    return columns


def read_rows(path: Path, fields: Fields, columns: Columns | None = None) -> Iterator[tuple[int, Row]]:
    """Yield (line or row number from 1, row) of a file, each row checked to have `fields` of the right types.

    The suffix says what it is: .csv, .parquet, and JSON lines otherwise, where blank lines are skipped. Raises
    DataError naming file and line at the first row that is not right.
    """
    suffix = path.suffix.lower()
    if suffix in NO_ROWS:
        raise DataError(
            f"{path}: --data takes .jsonl (an object a line), .csv and .parquet files; save it as one of these"
        )
    if suffix == ".csv":
        records: Iterator[tuple[int, Row]] = read_csv(path)
        return _as_rows(lambda number: _place(path, number), records, fields, columns, text=True)
    if suffix == ".parquet":
        records = read_table(open_parquet(path), str(path), _needed(fields, columns))
    else:
        records = _read_json_lines(path)
    return _as_rows(lambda number: _place(path, number), records, fields, columns)


def _needed(fields: Fields, columns: Columns | None) -> list[str]:
    columns = columns or {}
    return [columns.get(name, name) for name in [*fields, *columns]]


def _place(path: Path, number: int) -> str:
    return f"{path}, row {number}" if path.suffix.lower() == ".parquet" else f"{path}:{number}"


def _read_json_lines(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            where = _place(path, number)
            try:
                line = raw.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise DataError(f"{where}: not UTF-8 ({error.reason})") from None
            if line.strip():
                yield number, _parse_object(where, line)


def _as_rows(
    place: Callable[[int], str],
    records: Iterable[tuple[int, Row]],
    fields: Fields,
    columns: Columns | None,
    text: bool = False,
) -> Iterator[tuple[int, Row]]:
    """Records of a source as rows of the task; `text` says that every value is a text, as in a CSV file."""
    for number, record in records:
        where = place(number)
        row = _rename(where, record, fields, columns or {})
        if text:
            row |= {name: _from_text(where, name, row[name], kind) for name, kind in fields.items()}
            if not str(row.get("task", "-")).strip():
                raise DataError(f"{where}: the field 'task' is empty")
        check_fields(where, row, fields)
        yield number, row


def _rename(where: str, record: Row, fields: Fields, columns: Columns) -> Row:
    for name in [*fields, *columns]:
        column = columns.get(name, name)
        if column not in record:
            renamed = f"there is no column {column!r} for the field {name!r}"
            plain = f"the field {name!r} is missing, and no --columns {name}=COLUMN says what to take for it"
            there = ", ".join(record) or "none"
            near = nearest(column, record)
            meant = f" (did you mean {near!r}?)" if near else ""
            raise DataError(f"{where}: {renamed if name in columns else plain}{meant}; the columns are: {there}")
    others = {name: value for name, value in record.items() if name not in columns.values()}
    return others | {name: record[column] for name, column in columns.items()}


def _from_text(where: str, name: str, cell: str, kind: type | tuple[type, ...]) -> Any:
    """A CSV cell as the type that its field has to have."""
    if kind not in (int, float, list, dict):
        return cell
    if kind is list or kind is dict:
        raise DataError(
            f"{where}: the field {name!r} is a {kind.__name__}, which CSV cannot hold: use JSON lines or Parquet"
        )
    try:
        return kind(cell)  # type: ignore[arg-type]
    except ValueError:
        raise DataError(f"{where}: the field {name!r} should be {kind.__name__}, found {cell!r}") from None


def parse_row(where: str, line: str, fields: Fields) -> Row:
    """Read one row, checked to have `fields` of the right types. Raises DataError, which begins with `where`."""
    row = _parse_object(where, line)
    check_fields(where, row, fields)
    return row


def _parse_object(where: str, line: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not valid JSON ({error.msg}, column {error.colno})") from None
    except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
        raise DataError(f"{where}: not readable JSON ({error})") from None
    check_text(where, row)
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(row).__name__}")
    return row


def check_text(where: str, value: Any) -> None:
    """Refuse half a character (a lone surrogate), which JSON can spell and no file can hold. Raises DataError."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: not text ({error.object[error.start]!r} is half a character)") from None


def check_fields(where: str, row: Row, fields: Fields) -> None:
    """Raise DataError, which begins with `where`, unless `row` has `fields` of the right types."""
    for name, kind in fields.items():
        if name not in row:
            raise DataError(f"{where}: the field {name!r} is missing")
        if not isinstance(row[name], kind) or (isinstance(row[name], bool) and kind is int):
            names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            found = "nothing" if row[name] is None else type(row[name]).__name__
            raise DataError(f"{where}: the field {name!r} should be {names}, found {found}")
