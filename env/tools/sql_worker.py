"""The child process that runs model-written SQL; started by env/tools/sql.py, standard library only.

It reads one JSON request a line and answers each with one JSON line, {"rows": [...]} or {"error": "..."}. The kernel
holds the bounds, so that nothing SQLite does can get past them: an interval timer whose signal ends the process at
the deadline, a limit on its address space, and a limit of zero bytes on any file it writes. SQLite's heap gets half of
that address space, which leaves Python room for its copy of the rows.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sqlite3
import sys
from typing import Any

READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer"}


def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """SQLite's authorizer callback: reading is allowed, everything else (writes, ATTACH, PRAGMA, ...) is not."""
    if action not in READS or (action == sqlite3.SQLITE_FUNCTION and str(second).lower() in FORBIDDEN_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def distinct_rows(uri: str, sql: str, max_rows: int) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.set_authorizer(authorize)
        cursor = connection.execute(sql)
        if cursor.description is None:
            raise ValueError("not a query")
        rows = {}  # a dict, to keep the order
        for row in cursor:
            rows[row] = None
            if len(rows) > max_rows:
                raise ValueError(f"more than {max_rows} distinct rows")
        return list(rows)
    finally:
        connection.close()


def encode_blob(value: bytes) -> dict[str, str]:
    return {"blob": value.hex()}


def reply(uri: str, sql: str, max_rows: int, max_bytes: int) -> str:
    try:
        text = json.dumps({"rows": distinct_rows(uri, sql, max_rows)}, default=encode_blob)
        if len(text) <= max_bytes:
            return text
        problem = f"a result of more than {max_bytes} bytes"
    except MemoryError:
        problem = "out of memory"
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        problem = str(error)
    return json.dumps({"error": problem})


def main() -> None:
    memory = int(sys.argv[1])
    with contextlib.suppress(ValueError):  # macOS cannot limit it
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    sqlite3.connect(":memory:").execute(
        f"PRAGMA hard_heap_limit = {memory // 2}"
    )  # SQLite's own, for the whole process
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request.pop("seconds"))  # SIGALRM's default action ends the process
        text = reply(**request)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(text, flush=True)


if __name__ == "__main__":
    main()
