"""Running SQL that a model wrote: read-only, and bounded in time, memory and size of result.

A query runs in a child process (sql_worker.py), because SQLite cannot bound one from within: its progress handler
is not called inside a built-in function, and a single instr() or replace() on two strings of a megabyte takes
seconds, on longer ones hours. The kernel ends the child at the deadline instead, and bounds its memory. The child
stays alive between queries, so that the detour costs under half a millisecond; one that was ended is replaced at the
next query, which takes some 25 ms.

The database is opened immutable: SQLite then takes no locks and reads and writes no journal, -wal or -shm beside it.
An authorizer lets a query read and do nothing else, and the child cannot write to any file at all. It needs a POSIX
system, for its timer and limits.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

from errors import DataError

WORKER = Path(__file__).with_name("sql_worker.py")
MAX_SQL = 100_000  # characters
Row = tuple[Any, ...]


class QueryFailed(Exception):
    """The query has no result: it was refused or is wrong, or took too long, too much memory or too many rows."""


class SQLRunner:
    """Runs one query at a time in a child process, started when first needed. Safe to share between threads.

    Args:
        seconds: deadline of a query, wall-clock.
        max_rows: distinct rows a result may have. max_bytes: its size as JSON.
        memory: the child's address space, bytes.
    """

    def __init__(
        self, seconds: float = 30.0, max_rows: int = 1_000_000, max_bytes: int = 32 * 2**20, memory: int = 2**30
    ) -> None:
        self.seconds = seconds
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self.memory = memory
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[str] | None = None

    def run(self, database: Path, sql: str, seconds: float | None = None) -> set[Row]:
        """The distinct rows of the single SELECT in `sql`, to compare with another result as sets of rows.

        Values compare as in Python: 1 equals 1.0, NULL (None) equals NULL, '1' does not equal 1, and floats must be
        equal exactly. The order of rows and repeated rows do not count; the order of columns does.

        Raises:
            QueryFailed: there is no such result, for whatever reason that lies in the query.
        """
        if len(sql) > MAX_SQL:
            raise QueryFailed(f"longer than {MAX_SQL} characters")
        request = {
            "uri": read_only_uri(database),
            "sql": sql,
            "seconds": seconds or self.seconds,
            "max_rows": self.max_rows,
            "max_bytes": self.max_bytes,
        }
        with self._lock:
            reply = json.loads(self._exchange(json.dumps(request)), object_hook=_decode_blob)
        if "error" in reply:
            raise QueryFailed(reply["error"])
        return {tuple(row) for row in reply["rows"]}

    def close(self) -> None:
        """End the child process; the next query starts another."""
        worker, self._worker = self._worker, None
        if worker is not None:
            _end(worker)

    def _exchange(self, request: str) -> str:
        if self._worker is None:
            self._worker = self._start()
        worker = self._worker
        try:
            print(request, file=worker.stdin, flush=True)
            line = worker.stdout.readline()
        except BaseException:  # an interrupt, say: the answer must not be taken for the next query's
            self.close()
            raise
        if line.endswith("\n"):
            return line
        status = worker.wait()
        self.close()
        if status >= 0:
            raise RuntimeError(f"{WORKER.name} stopped with exit status {status}")
        raise QueryFailed("past the deadline" if status == -signal.SIGALRM else f"ended by signal {-status}")

    def _start(self) -> subprocess.Popen[str]:
        worker = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WORKER), str(self.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C at the terminal is for the run to handle
        )
        weakref.finalize(self, _end, worker)
        return worker


def read_only_uri(database: Path) -> str:
    return f"{database.resolve().as_uri()}?mode=ro&immutable=1"


def read_schema(database: Path) -> str:
    """The CREATE statements of a database's tables and views, as they are written in the file.

    Raises DataError where the file is missing or is not an SQLite database.
    """
    query = "SELECT sql FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    try:
        connection = sqlite3.connect(read_only_uri(database), uri=True)
        try:
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            statements = [sql.strip() for (sql,) in connection.execute(query + " ORDER BY rowid")]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DataError(f"{database}: {error}") from None
    return "\n\n".join(f"{statement};" for statement in statements)


def _decode_blob(value: dict[str, Any]) -> Any:
    return bytes.fromhex(value["blob"]) if "blob" in value else value


def _end(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.wait()
    for stream in (worker.stdin, worker.stdout):
        with contextlib.suppress(BrokenPipeError):  # a request that was never read
            stream.close()
