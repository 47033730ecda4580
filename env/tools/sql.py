"""Running SQL that a model wrote: read-only, and bounded in time, memory and size of result.

A query runs in a child process (sql_worker.py), because SQLite cannot bound one from within: its progress handler
is not called inside a built-in function, and a single instr() or replace() on two strings of a megabyte takes
seconds, on longer ones hours. The kernel ends the child at the deadline instead, and bounds its memory. The child
stays alive between queries, so that the detour costs under half a millisecond; one that was ended is replaced at the
next query, which takes some 25 ms.

The database is opened immutable: SQLite then takes no locks and reads and writes no journal, -wal or -shm beside it.
An authorizer lets a query read and do nothing else, and the child cannot write to any file at all. It needs a POSIX
system, for its timer and limits.

Whose fault it is that there is no result: a query's where SQLite says so, where our deadline or our limits ended it, or
where it made the child crash. A database that cannot be read is an error of the data. A child that something else
ended (the machine's memory ran out, an administrator) is started again, once for each query, and then an error too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from errors import DataError, UserError

from .sql_worker import OUT_OF_MEMORY

WORKER = Path(__file__).with_name("sql_worker.py")
MAX_SQL = 100_000  # characters
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}  # what a process does to itself
Row = tuple[Any, ...]


class QueryFailed(Exception):
    """The query has no result: it was refused or is wrong, or took too long, too much memory or too many rows."""


class WorkerEnded(Exception):
    """Something other than its query and our limits ended the child process."""


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
        self._end_worker: Callable[[], object] = lambda: None

    def run(self, database: Path, sql: str, seconds: float | None = None) -> set[Row]:
        """The distinct rows of the single SELECT in `sql`, to compare with another result as sets of rows.

        Values compare as in Python: 1 equals 1.0, NULL (None) equals NULL, '1' does not equal 1, and floats must be
        equal exactly. The order of rows and repeated rows do not count; the order of columns does.

        Args:
            seconds: deadline of this query; the runner's own by default.
        Raises:
            QueryFailed: there is no such result, for whatever reason that lies in the query.
            DataError: the database cannot be read. UserError: the child process is ended from outside again and again.
        """
        if len(sql) > MAX_SQL:
            raise QueryFailed(f"longer than {MAX_SQL} characters")
        seconds = seconds or self.seconds
        request = {
            "uri": read_only_uri(database),
            "sql": sql,
            "seconds": seconds,
            "max_rows": self.max_rows,
            "max_bytes": self.max_bytes,
        }
        with self._lock:
            reply = json.loads(self._exchange(json.dumps(request), seconds), object_hook=_decode_blob)
            if reply.get("error") == OUT_OF_MEMORY:  # what is left of its memory may lie in pieces
                self.close()
        if "unreadable" in reply:
            raise DataError(f"{database} cannot be read: {reply['unreadable']}")
        if "error" in reply:
            raise QueryFailed(reply["error"])
        return {tuple(row) for row in reply["rows"]}

    def close(self) -> None:
        """End the child process; the next query starts another."""
        if self._worker is not None:
            self._worker = None
            self._end_worker()

    def _exchange(self, request: str, seconds: float) -> str:
        """The child's reply to `request`; a child that something ended, idle or at work, is replaced once."""
        try:
            return self._ask(request, seconds)
        except WorkerEnded:
            pass
        try:
            return self._ask(request, seconds)
        except WorkerEnded as error:
            raise UserError(
                f"the process that runs SQL was ended twice from outside, by {error}: is the machine out of memory? "
                "Nothing of this step was scored"
            ) from None

    def _ask(self, request: str, seconds: float) -> str:
        if self._worker is None or self._worker.poll() is not None:
            self.close()
            self._worker = self._start()
        worker, line, started = self._worker, "", time.monotonic()
        try:
            with contextlib.suppress(BrokenPipeError):
                print(request, file=worker.stdin, flush=True)
                line = worker.stdout.readline()
        except BaseException:  # an interrupt, say: the answer must not be taken for the next query's
            self.close()
            raise
        if line.endswith("\n"):
            return line
        status, elapsed = worker.wait(), time.monotonic() - started
        self.close()
        if status >= 0:
            raise RuntimeError(f"{WORKER.name} stopped with exit status {status}")
        number = -status
        if number == signal.SIGALRM and elapsed >= seconds:  # its timer started later than ours
            raise QueryFailed("past the deadline")
        if number in CRASHES:
            raise QueryFailed(f"ended by signal {number}")
        raise WorkerEnded(f"signal {number}")

    def _start(self) -> subprocess.Popen[str]:
        worker = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WORKER), str(self.memory), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C at the terminal is for the run to handle
        )
        self._end_worker = weakref.finalize(self, _end, worker)
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
    except (sqlite3.Error, UnicodeDecodeError) as error:  # of damage, even SQLite's message may be no text
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
