"""A bank of cases that lasts: one SQLite file in WAL mode, the vectors in a table beside the cases.

A case is what `step.Case.key` says it is: the same content is one case, however often it is added, and its record adds
up. Vectors are of one encoder, told by the hash of its weights, and are never mixed with another's.

    with Store.open("bank.sqlite", encoder=identity, write=True) as store:
        store.add([Entry(Case("How do I ...?", "card_arrival"), env="banking77")], vectors)
        store.nearest(vector, 32)                           # [(Entry, cosine)], nearest first
        store.note(["5f1c..."], reward=1, expected=0.8)     # shown once, in a step that was right
        store.remove(["5f1c..."])

One process writes (a lock file says so to others), any number read. Within a process a store is for all threads:
writes are one after another, reads go on meanwhile and see each write whole or not at all. A kill at any moment loses
nothing of what has returned.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from errors import UserError
from step import Case, as_plain

from .entries import Contents, EncoderIdentity, Entry, check_encoder
from .index import VectorIndex

APPLICATION, FORMAT = 0x63617365, 1  # "case", in the file's header
AT_ONCE = 500  # parameters of one SQL statement
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE cases (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL,
    task TEXT NOT NULL, answer TEXT NOT NULL, reward INTEGER NOT NULL, output TEXT, lessons TEXT, episode TEXT,
    env TEXT, llm TEXT, time TEXT, origin TEXT NOT NULL, source TEXT, step INTEGER NOT NULL,
    shown INTEGER NOT NULL, won INTEGER NOT NULL, expected REAL NOT NULL
);
CREATE TABLE vectors (id INTEGER PRIMARY KEY REFERENCES cases(id) ON DELETE CASCADE, vector BLOB NOT NULL);
"""
_COLUMNS = (
    *("key", "task", "answer", "reward", "output", "lessons", "episode"),
    *("env", "llm", "time", "origin", "source", "step", "shown", "won", "expected"),
)


class Store:
    """A bank on disk; made by `open`."""

    def __init__(self, path: Path, encoder: EncoderIdentity | None, write: bool) -> None:
        self.path = path
        self.encoder = encoder
        self._write = write
        self._lock = threading.RLock()  # of writers and of what is in memory
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._index: VectorIndex | None = None  # made by the first search
        self._ids = np.zeros(0, np.int64)  # of each position in the index
        self._position: dict[int, int] = {}
        self._totals: tuple[int, int] | None = None  # showings of all cases, and the successes among them
        self._file_lock: FileLock | None = None

    # -- opening -----------------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls, path: str | Path, encoder: EncoderIdentity | None = None, write: bool = False, create: bool = False
    ) -> Store:
        """The bank in the file `path`.

        Args:
            encoder: the one at work now; a bank of another's vectors is refused. None: take it as it is.
            write: take the bank's lock, so that nobody else writes.
            create: make it where there is none.
        Raises:
            UsageError: the vectors are another encoder's. UserError: no bank, damaged, or in use.
        """
        path = Path(path)
        if not path.exists() and not create:
            raise UserError(f"{path}: no such bank")
        store = cls(path, encoder, write or create)
        try:
            store._open(create)
        except sqlite3.DatabaseError as error:
            store.close()
            raise UserError(f"{path}: is not a bank, or damaged ({error})") from None
        except BaseException:
            store.close()
            raise
        return store

    def _open(self, create: bool) -> None:
        if self._write:
            self._file_lock = FileLock(f"{self.path}.lock")
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file_lock.acquire(timeout=0)
            except Timeout:
                self._file_lock = None
                raise UserError(f"{self.path}: another process is writing this bank") from None
        connection = self._connection
        if create and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.executescript(f"PRAGMA application_id={APPLICATION}; PRAGMA user_version={FORMAT};{_SCHEMA}")
        made = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if made != [APPLICATION, FORMAT]:
            raise UserError(f"{self.path}: is not a bank of cases")
        kept = self._kept_encoder()
        if kept is None and self.encoder is not None and self._write:
            self._keep_encoder(self.encoder)
        elif kept is not None and self.encoder is not None:
            check_encoder(self.path, kept, self.encoder)
        self.encoder = kept or self.encoder

    @property
    def _connection(self) -> sqlite3.Connection:
        """This thread's own: SQLite lets readers go on beside a writer where each has one."""
        if not hasattr(self._local, "connection"):
            mode = "rwc" if self._write else "ro"
            connection = sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode={mode}", uri=True, check_same_thread=False, isolation_level=None
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA busy_timeout=10000")
            connection.execute("PRAGMA foreign_keys=ON")
            if self._write:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")  # what has returned outlives a power failure too
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return self._local.connection

    def _kept_encoder(self) -> EncoderIdentity | None:
        row = self._connection.execute("SELECT value FROM about WHERE name = 'encoder'").fetchone()
        return EncoderIdentity(**json.loads(row[0])) if row else None

    def _keep_encoder(self, encoder: EncoderIdentity) -> None:
        value = json.dumps({"name": encoder.name, "sha256": encoder.sha256, "dim": encoder.dim})
        self._connection.execute("INSERT INTO about VALUES ('encoder', ?)", (value,))

    def close(self) -> None:
        """Let go of the file; the store is of no use after this."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            if self._file_lock is not None:
                self._file_lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writing -----------------------------------------------------------------------------------------------------

    def add(self, entries: Sequence[Entry], vectors: np.ndarray | None) -> int:
        """Put in what is new and return how many that were; of a case that is there already the records add up.

        Args:
            vectors: of their tasks by this bank's encoder, [n, dim]; None only for a bank without an encoder.
        """
        if (vectors is None) != (self.encoder is None):
            raise ValueError("vectors come with their encoder, and a bank with an encoder needs them")
        if vectors is not None and vectors.shape != (len(entries), self.encoder.dim if self.encoder else 0):
            raise ValueError(f"{len(entries)} entries need as many vectors, not {vectors.shape}")
        vectors = None if vectors is None else np.ascontiguousarray(vectors, np.float32)
        new: list[tuple[int, int]] = []  # id, place among the entries
        with self._transaction() as connection:
            for i, entry in enumerate(entries):
                row = _as_row(entry)
                known = connection.execute("SELECT id FROM cases WHERE key = ?", (row[0],)).fetchone()
                if known is not None:
                    _add_record(connection, known[0], entry.shown, entry.won, entry.expected)
                    continue
                marks = ",".join("?" * len(_COLUMNS))
                cursor = connection.execute(f"INSERT INTO cases ({','.join(_COLUMNS)}) VALUES ({marks})", row)
                new.append((cursor.lastrowid or 0, i))
                if vectors is not None:
                    connection.execute("INSERT INTO vectors VALUES (?, ?)", (cursor.lastrowid, vectors[i].tobytes()))
            if vectors is not None and self._index is not None and new:
                self._take_in([id for id, _ in new], vectors[[i for _, i in new]])
            self._count(sum(entry.shown for entry in entries), sum(entry.won for entry in entries))
        return len(new)

    def note(self, keys: Iterable[str], reward: int, expected: float | None = None) -> None:
        """Put to the records of the cases `keys` that a step showed them and got `reward`.

        Args:
            expected: the success that was to be expected of that step, such as the rate without cases; None: that of
                all showings so far.
        """
        with self._transaction() as connection:
            if self._totals is None:
                self._totals = connection.execute("SELECT total(shown), total(won) FROM cases").fetchone()
            shown, won = self._totals
            if expected is None:
                expected = won / shown if shown else reward
            for key in keys:
                known = connection.execute("SELECT id FROM cases WHERE key = ?", (key,)).fetchone()
                if known is not None:  # it may have been removed while the step was under way
                    _add_record(connection, known[0], 1, reward, expected)
                    self._count(1, reward)

    def remove(self, keys: Iterable[str]) -> list[Entry]:
        """Take these cases out, for good; returns those that were there."""
        removed, ids = [], []
        with self._transaction() as connection:
            for key in keys:
                row = connection.execute("SELECT * FROM cases WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    removed.append(_as_entry(row))
                    ids.append(row["id"])
                    connection.execute("DELETE FROM cases WHERE id = ?", (row["id"],))
            self._count(-sum(entry.shown for entry in removed), -sum(entry.won for entry in removed))
            if self._index is not None:
                for id in ids:
                    self._index.discard(self._position.pop(id))
        return removed

    def _count(self, shown: int, won: int) -> None:
        if self._totals is not None:  # to add them up again would read all cases
            self._totals = self._totals[0] + shown, self._totals[1] + won

    def merge(self, contents: Contents) -> int:
        """Take in another bank's entries and return how many were new; one that was merged before changes nothing.

        Raises UsageError where its vectors are another encoder's.
        """
        if self.encoder is not None and contents.encoder is not None:
            check_encoder(self.path, self.encoder, contents.encoder)
        records = [[entry.key, entry.shown, entry.won] for entry in contents.entries]
        merged = "merged " + hashlib.sha256(json.dumps(records).encode()).hexdigest()
        with self._transaction() as connection:
            if connection.execute("SELECT 1 FROM about WHERE name = ?", (merged,)).fetchone():
                return 0
            added = self.add(contents.entries, contents.vectors)
            connection.execute("INSERT INTO about VALUES (?, ?)", (merged, _now()))
        return added

    def progress(self, name: str) -> int | None:
        """The number that `set_progress` has kept under this name."""
        row = self._connection.execute("SELECT value FROM about WHERE name = ?", (f"progress {name}",)).fetchone()
        return int(row[0]) if row else None

    def set_progress(self, name: str, number: int) -> None:
        """Keep how far somebody has come whose writes are in here, so that a kill repeats none and loses none."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (f"progress {name}", str(number)))

    def together(self) -> contextlib.AbstractContextManager[Any]:
        """All writes of the block at once, or none: many cost hardly more than one."""
        return self._transaction()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's writes, or none; a transaction within another is part of that."""
        if not self._write:
            raise ValueError("the store was opened to be read")
        with self._lock:
            connection = self._connection
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                self._index = self._totals = None  # they may know of what has not come to be
                raise
            connection.execute("COMMIT")

    # -- reading -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM cases").fetchone()[0])

    def get(self, key: str) -> Entry | None:
        """The case of this identity; None where there is none."""
        row = self._connection.execute("SELECT * FROM cases WHERE key = ?", (key,)).fetchone()
        return _as_entry(row) if row else None

    @property
    def last_id(self) -> int:
        """The number of the newest case; numbers rise in the order in which cases are added, and none comes twice."""
        return int(self._connection.execute("SELECT coalesce(max(id), 0) FROM cases").fetchone()[0])

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """All of them, in the order they were added; or those after number `after`."""
        for row in self._connection.execute("SELECT * FROM cases WHERE id > ? ORDER BY id", (after,)):
            yield _as_entry(row)

    def contents(self, after: int = 0) -> Contents:
        """All of it, as of one moment; or what came after number `after`."""
        connection = self._connection
        inside = connection.in_transaction
        if not inside:
            connection.execute("BEGIN")
        try:
            entries = list(self.entries(after))
            vectors = self._read_vectors(after)[1] if self.encoder else None
        finally:
            if not inside:
                connection.execute("COMMIT")
        return Contents(entries, vectors, self.encoder)

    def nearest(self, vector: np.ndarray, size: int) -> list[tuple[Entry, float]]:
        """The `size` cases nearest to `vector` [dim] by cosine, nearest first; of equals the older first.

        The first call reads all vectors into memory. Raises UserError for a bank without vectors.
        """
        if self.encoder is None:
            raise UserError(f"{self.path}: its cases have no vectors; `bank.py import` makes a bank that has")
        with self._lock:
            if self._index is None:
                self._read_index()
            index = self._index
        assert index is not None
        found = [(int(self._ids[position]), score) for position, score in index.search(vector, size)]
        rows = self._rows([id for id, _ in found])
        return [(_as_entry(rows[id]), score) for id, score in found if id in rows]

    def _rows(self, ids: list[int]) -> dict[int, sqlite3.Row]:
        rows: dict[int, sqlite3.Row] = {}
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            marks = ",".join("?" * len(some))
            found = self._connection.execute(f"SELECT * FROM cases WHERE id IN ({marks})", some)
            rows |= {row["id"]: row for row in found}
        return rows

    def _read_vectors(self, after: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Ids [n] and vectors [n, dim], in order; one copy of them in memory."""
        assert self.encoder is not None
        dim = self.encoder.dim
        n = self._connection.execute("SELECT count(*) FROM vectors WHERE id > ?", (after,)).fetchone()[0]
        ids, vectors = np.zeros(n, np.int64), np.zeros((n, dim), np.float32)
        query = "SELECT id, vector FROM vectors WHERE id > ? ORDER BY id"
        for i, (id, blob) in enumerate(self._connection.execute(query, (after,))):
            ids[i], vectors[i] = id, np.frombuffer(blob, np.float32)
        return ids, vectors

    @property
    def graphs(self) -> Path:
        """The folder beside it, of the graphs that a search of many cases needs: they can be built anew at any time."""
        return self.path.with_name(f"{self.path.name}-graphs")

    def _read_index(self) -> None:
        assert self.encoder is not None
        ids, vectors = self._read_vectors()
        self._index = VectorIndex(self.encoder.dim, waits=False)
        self._ids, self._position = np.zeros(0, np.int64), {}
        self._take_in(ids.tolist(), vectors)

    def _take_in(self, ids: list[int], vectors: np.ndarray) -> None:
        assert self._index is not None
        start = len(self._index)
        self._position.update((id, start + i) for i, id in enumerate(ids))
        if start + len(ids) > len(self._ids):
            self._ids = np.append(self._ids[:start], np.zeros(max(len(ids), start, 256), np.int64))
        self._ids[start : start + len(ids)] = ids
        self._index.add(vectors)


def _add_record(connection: sqlite3.Connection, id: int, shown: int, won: int, expected: float) -> None:
    connection.execute(
        "UPDATE cases SET shown = shown + ?, won = won + ?, expected = expected + ? WHERE id = ?",
        (shown, won, expected, id),
    )


def _as_row(entry: Entry) -> tuple[Any, ...]:
    """The entry's values in the order of _COLUMNS."""
    case = replace(entry.case, answer=as_plain(entry.case.answer))
    texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in (case.lessons, case.episode)]
    answer = json.dumps(case.answer, ensure_ascii=False)
    content = (case.key, case.task, answer, case.reward, case.output, *texts)
    where = (entry.env, entry.llm, entry.time or _now(), entry.origin, entry.source, entry.step)
    return (*content, *where, entry.shown, entry.won, entry.expected)


def _as_entry(row: sqlite3.Row) -> Entry:
    lessons, episode = (row[name] and json.loads(row[name]) for name in ("lessons", "episode"))
    case = Case(row["task"], json.loads(row["answer"]), row["reward"], 0, row["output"], lessons, episode)
    return Entry(case, **{name: row[name] for name in _COLUMNS[7:]})


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
