"""The functions that scripts of the ehr task work with, after EHRAgent (arXiv 2401.07128); written for the sandbox.

    patient = FilterDB(LoadDB("prescriptions"), "SUBJECT_ID=20||DRUG=heparin")
    answer = GetValue(patient, "DOSE_VAL_RX, sum")

Tables are pandas DataFrames. A mistake is answered by an error that says how to mend it, because the model reads it
and tries again. Imports nothing of the project but its SQL authorizer, which lies beside it in the sandbox.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

NOW = "2105-12-31 23:59:00"  # the present of these records
MAX_ROWS = 100_000  # of an SQL result
NEAREST = 5
TEXT_COLUMNS = ("ICD9_CODE", "VALUEUOM", "DOSE_VAL_RX")  # read as text, whatever their values look like
_COMPARISON = re.compile(r"\s*(\w+)\s*(<=|>=|==|=|<|>)\s*(.*?)\s*", re.S)
_MEMBERSHIP = re.compile(r"\s*(\w+)\s+in\s+(.*?)\s*", re.S | re.I)
_EXTREME = re.compile(r"\s*(max|min)\s*\(\s*(\w+)\s*\)\s*", re.I)
_AGGREGATES = ("mean", "max", "min", "sum", "list")


def tools(folder: Path) -> dict[str, Callable[..., Any]]:
    """The five functions over the tables (NAME.csv, and one .db file) in `folder`."""
    tables = Tables(folder)
    return {
        "LoadDB": tables.load,
        "FilterDB": filter_rows,
        "GetValue": get_value,
        "SQLInterpreter": tables.query,
        "Calendar": calendar,
    }


class Tables:
    """The hospital's tables: as CSV files to load, as a database to query."""

    def __init__(self, folder: Path) -> None:
        self._paths = {path.stem.lower(): path for path in folder.glob("*.csv")}
        self._database = folder / "mimic_iii.db"

    def load(self, name: str) -> pd.DataFrame:
        """The table `name`, whatever its case."""
        path = self._paths.get(str(name).strip().lower())
        if path is None:
            raise ValueError(f"there is no table {name!r}; the tables are {', '.join(sorted(self._paths))}")
        return read_table(path)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one SELECT over all tables."""
        from sql_worker import authorize

        connection = sqlite3.connect(f"{self._database.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            connection.execute("PRAGMA temp_store = MEMORY")  # there is no file to sort in
            connection.set_authorizer(authorize)
            cursor = connection.execute(str(sql))
            if cursor.description is None:
                raise sqlite3.Error("it is no SELECT statement")
            rows = cursor.fetchmany(MAX_ROWS + 1)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ValueError(f"the SQL query failed: {error}") from None
        finally:
            connection.close()
        if len(rows) > MAX_ROWS:
            raise ValueError(f"the SQL query gives more than {MAX_ROWS} rows")
        return rows


def read_table(path: Path) -> pd.DataFrame:
    """A table's CSV file, its columns in capitals."""
    return pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, "str"), low_memory=False).rename(columns=str.upper)


def filter_rows(table: pd.DataFrame, conditions: str) -> pd.DataFrame:
    """The rows of `table` that meet every condition of `conditions`, which are joined by ||, from left to right."""
    _check_table("FilterDB", table)
    kept = table
    for condition in str(conditions).split("||"):
        kept = _filter(table, kept, condition)
    return kept


def _filter(table: pd.DataFrame, kept: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Apply one condition to `kept`; values are looked up in the whole `table`, so that none is taken for missing."""
    if extreme := _EXTREME.fullmatch(condition):
        column = _column(table, extreme[2])
        values = kept[column].dropna()
        return kept[kept[column] == getattr(values, extreme[1].lower())()] if len(values) else kept[:0]
    if membership := _MEMBERSHIP.fullmatch(condition):
        column = _column(table, membership[1])
        wanted = [_value(table[column], text) for text in _split_list(membership[2])]
        if not table[column].isin(wanted).any():
            _reject(table[column], wanted[0] if wanted else "")
        return kept[kept[column].isin(wanted)]
    comparison = _COMPARISON.fullmatch(condition)
    if comparison is None:
        raise ValueError(
            f"the condition {condition.strip()!r} cannot be read: write COLUMN=value, with one of = < > <= >=, "
            "COLUMN in [value, value], max(COLUMN) or min(COLUMN), and || between conditions"
        )
    column, sign = _column(table, comparison[1]), comparison[2]
    value = _value(table[column], comparison[3])
    if sign in ("=", "=="):
        if not (table[column] == value).any():
            _reject(table[column], value)
        return kept[kept[column] == value]
    if isinstance(value, str) and pd.api.types.is_numeric_dtype(table[column]):
        raise ValueError(f"{column} holds numbers, and {value!r} is not one")
    method = {"<": "lt", ">": "gt", "<=": "le", ">=": "ge"}[sign]
    return kept[getattr(kept[column], method)(value) & kept[column].notna()] if len(kept) else kept


def get_value(table: pd.DataFrame, argument: str) -> Any:
    """A column's value, its values joined by ", " where they differ, or an aggregate: "COLUMN" or "COLUMN, sum"."""
    _check_table("GetValue", table)
    name, _, aggregate = (part.strip() for part in str(argument).partition(","))
    values = table[_column(table, name)].dropna()
    if aggregate and aggregate.lower() not in _AGGREGATES:
        raise ValueError(f"unknown aggregate {aggregate!r}; choose from {', '.join(_AGGREGATES)}")
    if aggregate.lower() == "list":
        return values.tolist()
    if values.empty:
        raise ValueError(f"there is no value of {name}: the table given to GetValue has {len(table)} rows")
    if aggregate:
        return _aggregate(values, aggregate.lower())
    distinct = values.unique().tolist()
    return distinct[0] if len(distinct) == 1 else ", ".join(map(str, values.tolist()))


def _aggregate(values: pd.Series, aggregate: str) -> Any:
    if aggregate in ("mean", "sum") and not pd.api.types.is_numeric_dtype(values):
        numbers = pd.to_numeric(values, errors="coerce")
        if numbers.isna().any():
            raise ValueError(f"{values.name} holds text such as {values.iloc[0]!r}, which has no {aggregate}")
        values = numbers
    result = getattr(values, aggregate)()
    return result.item() if hasattr(result, "item") else result


def calendar(duration: str) -> str:
    """The time that lies `duration` from now, such as "-1 year" or "-3 month, +2 day", as YYYY-MM-DD hh:mm:ss."""
    modifiers = [part.strip() for part in str(duration).split(",")]
    connection = sqlite3.connect(":memory:")
    try:
        (moment,) = connection.execute(f"SELECT datetime(?{', ?' * len(modifiers)})", [NOW, *modifiers]).fetchone()
    finally:
        connection.close()
    if moment is None:
        raise ValueError(f"the duration {duration!r} cannot be read: write '-1 year', '-2 month', '0 day' or '+3 hour'")
    return moment


def _check_table(function: str, table: Any) -> None:
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{function} takes a table from LoadDB or FilterDB first, not {type(table).__name__}")


def _column(table: pd.DataFrame, name: str) -> str:
    """The column of that name, whatever its case."""
    for column in table.columns:
        if str(column).lower() == name.lower():
            return column
    raise ValueError(f"there is no column {name!r}; the columns of this table are {', '.join(map(str, table.columns))}")


def _value(column: pd.Series, text: str) -> Any:
    """`text` without quotes, as a number where the column holds numbers and it is one."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if pd.api.types.is_numeric_dtype(column):
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _split_list(text: str) -> list[str]:
    """The items of "[1, 2]", "('a', 'b, c')" or "1, 2"; a comma inside quotes separates nothing."""
    inside = text.strip().removeprefix("[").removesuffix("]").removeprefix("(").removesuffix(")")
    items = re.findall(r"'[^']*'|\"[^\"]*\"|[^,]+", inside)
    return [item for item in items if item.strip()]


def _reject(column: pd.Series, value: Any) -> None:
    """Say that `value` does not occur and which values come nearest. Nothing to say of a column without values."""
    known = column.dropna().unique()
    if not len(known):
        return
    if isinstance(value, float):
        nearest = sorted(known.tolist(), key=lambda other: abs(other - value))[:NEAREST]
        shown = f"{value:.15g}"
    else:
        by_text = {str(other): None for other in known}
        nearest = difflib.get_close_matches(str(value), by_text, n=NEAREST, cutoff=0.0)
        shown = repr(value)
    listed = f"the {len(nearest)} nearest values are: {', '.join(map(str, nearest))}"
    raise ValueError(f"there is no value {shown} in the column {column.name}; {listed}")
