"""StreamBench's own tasks: their rows on the hub, and the public releases that those were made from."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from env.data import check_fields, check_text, parse_row
from env.sources import open_parquet, read_table
from env.toolbench import APIS
from env.tools.sql import QueryFailed, SQLRunner
from errors import DataError

from .downloads import fetch_file, fetch_snapshot
from .installing import install_bytes

Row = dict[str, Any]

HUB_DATASET = "appier-ai-research/StreamBench"
DS1000 = "xlangai/DS-1000"  # whose rows StreamBench takes as they are
DS1000_FIELDS = {"prompt": str, "reference_code": str, "code_context": str, "metadata": dict}
DS1000_FILES = ("ds1000.jsonl", "ds1000.jsonl.gz", "test.jsonl", "test.jsonl.gz", "data/ds1000.jsonl.gz")
API_DOCUMENTATION = "API_descriptions.json"  # of STE, whose APIs and requests these are
API_URL = (
    "https://raw.githubusercontent.com/microsoft/simulated-trial-and-error/main/llama-recipes/ft_datasets/"
    + API_DOCUMENTATION
)
HOTPOTQA_ROWS = 1500
EXACT = Path(__file__).with_name("toolbench_exact.txt")  # the APIs whose arguments STE and StreamBench compare exactly


# -- rows: a record of the source -> a row of ours ---------------------------------------------------------------------


def toolbench_row(record: Mapping[str, Any]) -> Row:
    return {
        "task": _text(record, "query", "question").strip(),
        "api_name": _text(record, "api_name", "action"),
        "api_input": json.dumps(json.loads(_text(record, "api_input", "action_input")), ensure_ascii=False),
    }


def hotpotqa_row(record: Mapping[str, Any]) -> Row:
    """HotpotQA has two layouts: [title, sentences] for each paragraph, or a list of titles and one of sentences."""
    context = record["context"]
    pairs = zip(context["title"], context["sentences"]) if isinstance(context, dict) else context
    paragraphs = [{"title": title, "text": "".join(sentences).strip()} for title, sentences in pairs]
    row = {"task": _text(record, "question").strip(), "label": _text(record, "answer"), "paragraphs": paragraphs}
    return row | {name: record[name] for name in ("type", "level") if isinstance(record.get(name), str)}


def ds1000_row(record: Mapping[str, Any]) -> Row:
    """The row as it is, of its four fields alone."""
    row = {name: record[name] for name in DS1000_FIELDS}
    check_fields("", row, DS1000_FIELDS)
    if not isinstance(row["metadata"].get("library"), str):
        raise ValueError("the field 'metadata' names no library")
    return row


def cosql_row(record: Mapping[str, Any]) -> Row:
    query = re.sub(r"([<>!]) =", r"\1=", _text(record, "SQL", "query"))  # operators that the release has split
    return {"task": _text(record, "question", "utterance").strip(), "db_id": _text(record, "db_id"), "query": query}


# -- the hub -----------------------------------------------------------------------------------------------------------

ON_HUB: dict[str, tuple[str, Callable[[Mapping[str, Any]], Row]]] = {  # task -> its configuration, how a row is made
    "cosql": ("cosql", cosql_row),
    "toolbench": ("toolbench", toolbench_row),
    "hotpotqa": ("hotpotqa_distract", hotpotqa_row),
}


def fetch_rows(task: str, folder: Path, scratch: Path, split: str = "test") -> list[Row]:
    """Download the task's rows from StreamBench's data set. Raises DataError that says what to do."""
    config, make_row = ON_HUB[task]
    pattern = f"{config}/{split}-*.parquet"
    fetch_snapshot(
        HUB_DATASET,
        [pattern],
        scratch,
        f"convert the original release with --from; --data sample works without it ({folder} is as it was)",
    )
    files = sorted(scratch.glob(pattern))
    if not files:
        raise DataError(f"{HUB_DATASET} has no {pattern}")
    rows = []
    for file in files:
        for number, record in read_table(open_parquet(file), f"{HUB_DATASET}, {config}/{file.name}"):
            rows.append(_made(make_row, record, f"{HUB_DATASET}, {config}/{file.name}, row {number}"))
    return rows


def fetch_apis(rows: list[Row], folder: Path) -> None:
    """Write the documentation of the rows' APIs; it is not part of StreamBench's data set."""
    file = folder / API_DOCUMENTATION
    if not file.is_file():
        try:
            fetch_file(API_URL, file)
        except DataError as error:
            file.unlink(missing_ok=True)
            raise DataError(
                f"the rows are there, but the documentation of their APIs is not: {error}, or put {API_DOCUMENTATION} "
                f"of https://github.com/microsoft/simulated-trial-and-error into {folder} and run the command again"
            ) from None
    install_bytes(documented_apis(rows, file), folder / APIS)


def fetch_ds1000(folder: Path, scratch: Path) -> list[Row]:
    """Download DS-1000's rows from its own data set. Raises DataError that says what to do."""
    otherwise = f"convert the original release with --from; --data sample works without it ({folder} is as it was)"
    fetch_snapshot(DS1000, [f"*{suffix}" for suffix in (".jsonl", ".jsonl.gz", ".parquet")], scratch, otherwise)
    files = sorted(path for path in scratch.rglob("*") if path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")))
    if not files:
        raise DataError(f"{DS1000} has no rows: {otherwise}")
    if files[0].suffix == ".parquet":
        records = read_table(open_parquet(files[0]), DS1000)
        return [_made(ds1000_row, record, f"{DS1000}, {files[0].name}, row {number}") for number, record in records]
    return ds1000_rows(files[0])


# -- public releases ---------------------------------------------------------------------------------------------------


def toolbench_rows(path: Path) -> list[Row]:
    """STE's test file, a mapping from each API to its requests."""
    content = _read_json(path)
    if not isinstance(content, dict) or not all(isinstance(items, list) for items in content.values()):
        raise DataError(f"{path}: expected a JSON object with a list of requests for each API")
    return [
        _made(toolbench_row, item, f"{path}: {name}, item {number}")
        for name, items in content.items()
        for number, item in enumerate(items, 1)
    ]


def hotpotqa_rows(path: Path) -> list[Row]:
    """The first 1,500 questions, as StreamBench takes them."""
    items = _read_json(path)
    if not isinstance(items, list):
        raise DataError(f"{path}: expected a JSON list of questions")
    return [_made(hotpotqa_row, item, f"{path}: item {number}") for number, item in enumerate(items[:HOTPOTQA_ROWS], 1)]


def cosql_rows(path: Path) -> list[Row]:
    """The turns of CoSQL's conversations, in order, each with where it stands."""
    items = _read_json(path)
    if not isinstance(items, list):
        raise DataError(f"{path}: expected a JSON list of conversations")
    rows = []
    for dialogue, item in enumerate(items, 1):
        turns = item.get("interaction") if isinstance(item, dict) else None
        if not isinstance(turns, list):
            raise DataError(f"{path}: item {dialogue} has no list of turns in the field 'interaction'")
        for turn, said in enumerate(turns, 1):
            record = said | {"db_id": item.get("database_id")} if isinstance(said, dict) else {}
            row = _made(cosql_row, record, f"{path}: item {dialogue}, turn {turn}")
            rows.append(row | {"dialogue": dialogue, "turn": turn})
    return rows


def find_ds1000(path: Path) -> Path:
    """The file of rows that `path` is, or that lies in the folder `path`. Raises DataError."""
    if path.is_file():
        return path
    found = next((path / name for name in DS1000_FILES if (path / name).is_file()), None)
    if found is None:
        raise DataError(f"{path} has no {' or '.join(DS1000_FILES)}: --from takes the file of DS-1000, or its folder")
    return found


def ds1000_rows(path: Path) -> list[Row]:
    """DS-1000's rows, JSON lines that may be packed with gzip."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        lines = content.decode("utf-8-sig").split("\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a whole gzip file ({error})") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason})") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            rows.append(_made(ds1000_row, parse_row(f"{path}:{number}", line, DS1000_FIELDS), f"{path}:{number}"))
    return rows


def runnable(rows: list[Row], databases: list[Path]) -> list[Row]:
    """The rows whose database is there and runs their query. CoSQL has others, which no answer could match."""
    runner, kept = SQLRunner(), []
    try:
        for row in rows:
            name = f"{row['db_id']}/{row['db_id']}.sqlite"
            found = next((folder / name for folder in databases if (folder / name).is_file()), None)
            with contextlib.suppress(QueryFailed):
                if found is not None:
                    runner.run(found, row["query"])
                    kept.append(row)
    finally:
        runner.close()
    return kept


def toolbench_files(rows: list[Row], folder: Path) -> dict[str, bytes]:
    return {APIS: documented_apis(rows, folder / API_DOCUMENTATION)}


def documented_apis(rows: list[Row], documentation: Path) -> bytes:
    """apis.jsonl for the APIs of `rows`: their documentation, and whether their arguments are compared exactly."""
    texts, exact = _read_json(documentation), set(EXACT.read_text(encoding="utf-8").splitlines())
    lines = []
    for name in sorted({row["api_name"] for row in rows}):
        text = texts.get(name) if isinstance(texts, dict) else None
        if not isinstance(text, str):
            raise DataError(f"{documentation} has no documentation of the API {name!r}")
        if not text.startswith("{"):  # written to be a template: its braces are doubled
            text = text.replace("{{", "{").replace("}}", "}")
        lines.append(json.dumps({"name": name, "documentation": text, "exact": name in exact}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines).encode()


# -- reading -----------------------------------------------------------------------------------------------------------


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, a number too long, brackets too deep
        raise DataError(f"{path}: not readable JSON ({error})") from None


def _made(make_row: Callable[[Mapping[str, Any]], Row], record: Any, where: str) -> Row:
    """The row of a record. Raises DataError naming the place where it is not as expected."""
    try:
        row = make_row(record)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{where}: not as expected ({' '.join(str(error).split())})") from None
    check_text(where, row)
    return row


def _text(record: Mapping[str, Any], *names: str) -> str:
    """The text of the first of the fields `names` that is there."""
    for name in names:
        if isinstance(record.get(name), str):
            return str(record[name])
    raise KeyError(f"no text in the field {' or '.join(names)}")
