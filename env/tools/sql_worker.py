"""The child process that runs model-written SQL; started by env/tools/sql.py, standard library only.

It reads one JSON request a line and answers each with one JSON line: {"rows": [...]}, {"error": "..."} where the query
is to blame, or {"unreadable": "..."} where the database is. The kernel holds the bounds, so that nothing SQLite does
can get past them: an interval timer whose signal ends the process at the deadline, a limit on its address space, and a
limit of zero bytes on any file it writes. SQLite's heap gets half of that address space, which leaves Python room for
its copy of the rows.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer"}
FILE_ERRORS = {  # SQLite's primary result codes that tell of a file, never of a query that only reads, and their texts
    10: "disk I/O error",
    11: "database disk image is malformed",
    14: "unable to open database file",
    26: "file is not a database",
}
OUT_OF_MEMORY = "out of memory"


def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """SQLite's authorizer callback: reading is allowed, everything else (writes, ATTACH, PRAGMA, ...) is not."""
    if action not in READS or (action == sqlite3.SQLITE_FUNCTION and str(second).lower() in FORBIDDEN_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def open_database(uri: str) -> sqlite3.Connection:
    """A connection that can only read, its schema loaded: what fails here is no fault of a query."""
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        connection.set_authorizer(authorize)
    except BaseException:
        connection.close()
        raise
    return connection


def distinct_rows(connection: sqlite3.Connection, sql: str, max_rows: int) -> list[tuple[Any, ...]]:
    cursor = connection.execute(sql)
    if cursor.description is None:
        raise ValueError("not a query")
    rows = {}  # a dict, to keep the order
    for row in cursor:
        rows[row] = None
        if len(rows) > max_rows:
            raise ValueError(f"more than {max_rows} distinct rows")
    return list(rows)


def encode_blob(value: bytes) -> dict[str, str]:
    return {"blob": value.hex()}


def tells_of_the_file(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # since Python 3.11
    return str(error) in FILE_ERRORS.values() if code is None else code & 0xFF in FILE_ERRORS


def reply(uri: str, sql: str, seconds: float, max_rows: int, max_bytes: int) -> bytes:
    """The line that answers a request; the deadline counts from when the database is open."""
    kind = "unreadable"
    try:
        with contextlib.closing(open_database(uri)) as connection:
            kind = "error"
            signal.setitimer(signal.ITIMER_REAL, seconds)  # SIGALRM's default action ends the process
            text = json.dumps({"rows": distinct_rows(connection, sql, max_rows)}, default=encode_blob)
            if len(text) <= max_bytes:
                return text.encode()
        problem = f"a result of more than {max_bytes} bytes"
    except MemoryError:
        problem = OUT_OF_MEMORY
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        problem = str(error)
        kind = "unreadable" if tells_of_the_file(error) else kind
    return json.dumps({kind: problem}).encode()


def main() -> None:
    sys.path.append(str(Path(__file__).parent))
    from lifeline import end_with

    memory, parent = map(int, sys.argv[1:])
    end_with(parent)
    with contextlib.suppress(ValueError):  # macOS cannot limit it
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    sqlite3.connect(":memory:").execute(
        f"PRAGMA hard_heap_limit = {memory // 2}"
    )  # SQLite's own, for the whole process
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for line in sys.stdin:
        text = reply(**json.loads(line))
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.buffer.write(text + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
