"""Finding the hospital tables of the ehr task: 17 CSV files and the same tables as one SQLite database."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from errors import DataError

TABLES = (
    "admissions",
    "chartevents",
    "cost",
    "d_icd_diagnoses",
    "d_icd_procedures",
    "d_items",
    "d_labitems",
    "diagnoses_icd",
    "icustays",
    "inputevents_cv",
    "labevents",
    "microbiologyevents",
    "outputevents",
    "patients",
    "prescriptions",
    "procedures_icd",
    "transfers",
)
DATABASE = "mimic_iii.db"


def find_tables(source: Path) -> dict[str, Path]:
    """Every table's CSV file in `source` or below, by the table's name in small letters.

    Raises DataError naming the tables that are missing or there twice.
    """
    found: dict[str, Path] = {}
    for path in sorted(source.rglob("*")):
        name = path.stem.lower()
        if path.suffix.lower() != ".csv" or name not in TABLES:
            continue
        if name in found:
            raise DataError(f"{source} has two files of the table {name}: {found[name]} and {path}")
        found[name] = path
    missing = [name for name in TABLES if name not in found]
    if missing:
        raise DataError(
            f"{source} lacks {len(missing)} of the {len(TABLES)} tables ({', '.join(missing)}): "
            "`python scripts/prepare_data.py ehr` says where they come from"
        )
    return found


def find_database(source: Path, tables: Mapping[str, Path]) -> Path:
    """The database in `source` or below; it is built from `tables` where there is none yet.

    Several runs may need it at once: one builds it, and the others wait.
    """
    found = _existing_database(source)
    if found is None:
        try:
            with FileLock(source / f".{DATABASE}.lock"):
                found = _existing_database(source) or build_database(tables, source / DATABASE)
        except OSError as error:
            raise DataError(f"{source / DATABASE} could not be built from the tables beside it: {error}") from None
    return found


def _existing_database(source: Path) -> Path | None:
    databases = [path for path in sorted(source.rglob("*")) if path.suffix in (".db", ".sqlite")]
    databases = [path for path in databases if path.name == DATABASE] or databases
    if len(databases) > 1:
        raise DataError(f"{source} has more than one database: {', '.join(path.name for path in databases)}")
    return databases[0] if databases else None


def build_database(tables: Mapping[str, Path], path: Path) -> Path:
    """Write the tables to an SQLite database at `path`, whole or not at all, and return that path."""
    from .ehr_tools import read_table

    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(partial)) as connection:
            for name in sorted(tables):
                read_table(tables[name]).to_sql(name, connection, index=False)
        os.replace(partial, path)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise DataError(f"{path} could not be built from the tables beside it: {error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_columns(tables: Mapping[str, Path]) -> dict[str, list[str]]:
    """The columns of every table, in capitals."""
    columns = {}
    for name, path in tables.items():
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            columns[name] = [column.strip().strip('"').upper() for column in lines.readline().split(",")]
    return columns
