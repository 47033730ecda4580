"""Rows in other forms than JSON lines: CSV and Parquet files, and data sets of the Hugging Face hub.

Everything here hands on plain records, column -> text, number, list or dict, with the number of the line or row that
each was read from. Class labels, which such data sets store as numbers, become their names. Columns that JSON cannot
hold (images, dates) are left out; asking for one is then a missing column.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import DataError, UsageError

if TYPE_CHECKING:
    from datasets import Dataset

Record = dict[str, Any]

HUB = "hf:"
HUB_FORM = "hf:OWNER/NAME, hf:OWNER/NAME:SPLIT or hf:OWNER/NAME:CONFIG:SPLIT, where NAME@REVISION holds a commit"
HUB_SECONDS = 10.0  # without an answer before the hub counts as out of reach


def read_csv(path: Path, needed: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, record) of a CSV file whose first line names the columns; every cell is text.

    Raises DataError naming file and line, also where one of the columns `needed` is missing.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            columns = reader.fieldnames or []
            twice = [column for column in columns if columns.count(column) > 1]
            other = next((sign for sign in (";", "\t") if len(columns) == 1 and sign in columns[0]), None)
            if other:
                name = "semicolons" if other == ";" else "tabs"
                raise DataError(f"{path}:1: the columns are separated by {name}; save it with commas, or as .jsonl")
            missing = [column for column in needed if column not in columns]
            if missing:
                raise DataError(
                    f"{path}:1: there is no column {missing[0]!r}; there are: {', '.join(columns) or 'none'}"
                )
            if twice:
                raise DataError(f"{path}:1: there are two columns {twice[0]!r}")
            for record in reader:
                if None in record:  # where the reader puts cells beyond the last column
                    raise DataError(f"{path}:{reader.line_num}: more cells than the {len(columns)} columns")
                empty = [column for column in columns if record[column] is None]
                if empty:
                    raise DataError(f"{path}:{reader.line_num}: there is no cell for the column {empty[0]!r}")
                yield reader.line_num, record
        except csv.Error as error:
            raise DataError(f"{path}: not valid CSV ({error} after line {reader.line_num})") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 ({error.reason} after line {reader.line_num})") from None


def open_parquet(path: Path) -> Dataset:
    """The rows of a Parquet file, with the class labels that `datasets` has noted in it. Raises DataError."""
    from datasets import Dataset
    from pyarrow import ArrowException, parquet

    try:
        return Dataset(parquet.read_table(path))
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({_first_line(error)})") from None


def read_table(table: Dataset, name: str = "", needed: Iterable[str] = ()) -> Iterator[tuple[int, Record]]:
    """Yield (row number from 1, record) of a table's plain columns.

    Raises DataError, which begins with the table's `name`, where a column that is `needed` is not plain.
    """
    plain = {column: feature for column, feature in table.features.items() if _is_plain(feature)}
    for column in needed:
        if column in table.features and column not in plain:
            kind = type(table.features[column]).__name__
            kind = getattr(table.features[column], "dtype", kind) or kind
            raise DataError(f"{name}: the column {column!r} holds {kind}, not text, numbers, lists or dicts of such")
    for number, record in enumerate(table.select_columns(list(plain)), 1):
        yield number, {column: _named(plain[column], value) for column, value in record.items()}


def hash_table(table: Dataset) -> str:
    """The sha256 of a table's rows as JSON lines: the same rows have the same one, however they are stored."""
    digest = hashlib.sha256()
    for _, record in read_table(table):
        digest.update(json.dumps(record, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _is_plain(feature: Any) -> bool:
    """Whether JSON can hold the values of a column with this feature."""
    from datasets import ClassLabel, LargeList, List, Value

    if isinstance(feature, Value):
        return feature.dtype in ("bool", "null", "string", "large_string") or feature.dtype.startswith(
            ("int", "uint", "float")
        )
    if isinstance(feature, dict):
        return all(map(_is_plain, feature.values()))
    return isinstance(feature, ClassLabel) or (isinstance(feature, (List, LargeList)) and _is_plain(feature.feature))


def _named(feature: Any, value: Any) -> Any:
    """`value` with the numbers of class labels replaced by their names; -1, which says unlabelled, becomes None."""
    from datasets import ClassLabel

    if value is None or not isinstance(feature, (ClassLabel, dict)) and not hasattr(feature, "feature"):
        return value
    if isinstance(feature, ClassLabel):
        return feature.int2str(value) if value >= 0 else None
    if isinstance(feature, dict):
        return {name: _named(feature[name], item) for name, item in value.items()}
    return [_named(feature.feature, item) for item in value]


# -- the hub -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HubData:
    """A split of a data set: its full name hf:..., its commit on the hub (None for a folder), its rows and cache."""

    name: str
    revision: str | None
    table: Dataset
    file: Path


def open_hub(choice: str) -> HubData:
    """Load `hf:OWNER/NAME[@REVISION][[:CONFIG]:SPLIT]`, or a folder in the hub's layout, as it is on the hub now.

    Without a split it is the test split, or the only one. Where the hub is out of reach, the copy of an earlier load
    is taken. Raises DataError that says in one line what to do.
    """
    name, asked, config, split = _parse(choice)
    import datasets
    from huggingface_hub import errors
    from huggingface_hub.utils import logging as hub_logging

    datasets.logging.set_verbosity_error()  # their retries and hints would bury the one line
    hub_logging.set_verbosity_error()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    local = Path(name).is_dir()
    try:
        commit = None if local else _commit(name, asked)
        with contextlib.nullcontext() if local or commit else _copies_alone():
            builder = datasets.load_dataset_builder(name, config, revision=commit)
            builder.download_and_prepare()
        if asked and not builder.hash.startswith(commit or asked):
            raise DataError(f"--data {choice}: the hub is out of reach, and the copy here is of {builder.hash[:8]}")
        split = _choose_split(choice, split, list(builder.info.splits))
        table = builder.as_dataset(split=split)
    except errors.RevisionNotFoundError:
        raise DataError(f"--data {choice}: {name} has no revision {asked}") from None
    except errors.RepositoryNotFoundError:
        raise DataError(f"--data {choice}: the hub has no data set {name} (a private one needs HF_TOKEN)") from None
    except ConnectionError:
        raise DataError(f"--data {choice}: the hub is out of reach, and there is no copy of an earlier load") from None
    except (OSError, ValueError, RuntimeError, errors.HTTPError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"--data {choice} cannot be loaded: {_first_line(error)}") from None
    parts = [name, *([config] if config else []), split]
    return HubData(
        HUB + ":".join(parts), None if local else builder.hash, table, Path(table.cache_files[0]["filename"])
    )


def _parse(choice: str) -> tuple[str, str | None, str | None, str | None]:
    """The name, revision, configuration and split that a choice gives."""
    name, *rest = choice.removeprefix(HUB).split(":")
    name, _, revision = name.partition("@")
    if not name or len(rest) > 2 or not all(rest):
        raise UsageError(f"--data {choice}: expected {HUB_FORM}")
    split = rest.pop() if rest else None
    return name, revision or None, rest[0] if rest else None, split


def _commit(name: str, revision: str | None) -> str | None:
    """The commit that the hub has for `revision` (None: the latest), or None where it does not answer."""
    from huggingface_hub import HfApi, errors

    try:
        return HfApi().dataset_info(name, revision=revision, timeout=HUB_SECONDS).sha
    except errors.HfHubHTTPError:
        raise
    except (errors.HTTPError, OSError):
        return None


@contextlib.contextmanager
def _copies_alone() -> Iterator[None]:
    """Let `datasets` look at its copies of earlier loads without asking the hub, which it does for half a minute."""
    import datasets

    before, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _choose_split(choice: str, split: str | None, there: list[str]) -> str:
    if split is None:
        split = "test" if "test" in there else there[0] if len(there) == 1 else None
    if split in there:
        return split
    missing = "names no split" if split is None else f"has no split {split!r}"
    raise DataError(f"--data {choice} {missing}; there are: {', '.join(there)}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
