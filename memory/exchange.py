"""Banks as files that others read: JSON lines and Parquet, the columns of a Hugging Face data set.

An answer may be any JSON value, so its column `answer_json` holds it as JSON text; the other columns are texts and
numbers. Each row names the encoder of its `embedding`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from errors import DataError, UsageError
from step import Case

from .entries import Contents, EncoderIdentity, Entry

SUFFIXES = (".jsonl", ".parquet")
_TEXTS = ("env", "llm", "time", "origin", "source")
_NUMBERS = ("step", "shown", "won")


def write_file(contents: Contents, path: Path, embeddings: bool = True) -> None:
    """Export to `path`, JSON lines or Parquet by its ending. Raises UsageError for another one."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: an export is a file in {' or '.join(SUFFIXES)}")
    rows = [_as_row(contents, i, embeddings) for i in range(len(contents.entries))]
    new = path.with_name(f".{path.name}.new")
    try:
        if path.suffix == ".jsonl":
            with new.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            import pandas as pd

            pd.DataFrame(rows, columns=_columns(embeddings)).to_parquet(new, index=False)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def read_file(path: Path) -> Contents:
    """What was exported to `path`. Raises DataError that names the row where it is not as an export is."""
    contents: list[Entry] = []
    vectors: list[np.ndarray] = []
    encoders: set[EncoderIdentity] = set()
    seen: set[str] = set()
    for number, row in enumerate(_read_rows(path), 1):
        try:
            entry, vector, encoder = _read_row(row)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}:{number}: not a case ({type(error).__name__}: {error})") from None
        if entry.key in seen:
            continue
        seen.add(entry.key)
        contents.append(entry)
        if vector is not None and encoder is not None:
            vectors.append(vector)
            encoders.add(encoder)
    if len(encoders) > 1 or len(vectors) not in (0, len(contents)):
        whose = ", ".join(sorted(map(str, encoders)))
        raise DataError(f"{path}: embeddings of some rows only, or of several encoders ({whose}): they do not mix")
    if not vectors:
        return Contents(contents)
    (encoder,) = encoders
    return Contents(contents, np.stack(vectors), encoder)


def _columns(embeddings: bool) -> list[str]:
    own = [
        "key",
        "task",
        "answer_json",
        "reward",
        "output",
        "lessons_json",
        "episode_json",
        *_TEXTS,
        *_NUMBERS,
        "expected",
    ]
    return [*own, "embedding", "encoder", "encoder_sha256"] if embeddings else own


def _as_row(contents: Contents, i: int, embeddings: bool) -> dict[str, Any]:
    entry, case = contents.entries[i], contents.entries[i].case
    row = {
        "key": entry.key,
        "task": case.task,
        "answer_json": json.dumps(case.answer, ensure_ascii=False),
        "reward": case.reward,
        "output": case.output,
        "lessons_json": None if case.lessons is None else json.dumps(case.lessons, ensure_ascii=False),
        "episode_json": None if case.episode is None else json.dumps(case.episode, ensure_ascii=False),
        **{name: getattr(entry, name) for name in (*_TEXTS, *_NUMBERS, "expected")},
    }
    if embeddings:
        has = contents.vectors is not None and contents.encoder is not None
        row |= {
            "embedding": contents.vectors[i].tolist() if has and contents.vectors is not None else None,
            "encoder": contents.encoder.name if contents.encoder else None,
            "encoder_sha256": contents.encoder.sha256 if contents.encoder else None,
        }
    return row


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
            return rows
        with path.open(encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.strip()]
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:150]})") from None


def _read_row(row: dict[str, Any]) -> tuple[Entry, np.ndarray | None, EncoderIdentity | None]:
    answer = json.loads(row["answer_json"]) if "answer_json" in row else row["answer"]
    if not isinstance(row["task"], str) or row.get("reward", 1) not in (0, 1):
        raise ValueError("task must be a text, reward 0 or 1")
    lessons, episode = (row.get(name) and json.loads(row[name]) for name in ("lessons_json", "episode_json"))
    case = Case(row["task"], answer, int(row.get("reward", 1)), 0, row.get("output"), lessons, episode)
    if row.get("key") not in (None, case.key):
        raise ValueError("its key is not that of its content")
    about: dict[str, Any] = {name: row.get(name) for name in _TEXTS if name != "origin"}
    counts: dict[str, Any] = {name: int(row.get(name) or 0) for name in _NUMBERS}
    entry = Entry(case, **about, origin="import", **counts, expected=float(row.get("expected") or 0.0))
    if row.get("embedding") is None:
        return entry, None, None
    vector = np.asarray(row["embedding"], np.float32)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError("its embedding is not a list of numbers")
    return entry, vector, EncoderIdentity(row.get("encoder") or "?", row["encoder_sha256"], len(vector))
