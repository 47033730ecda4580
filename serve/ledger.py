"""What the endpoint must not lose, in one SQLite file: answered requests, their feedback, cases that were taken out.

Feedback and removals are events with one order, and the state of bank and policy is a function of them: a start reads
the events that came after the newest checkpoint and learns them again.

A write is on the disk when its future is done. Writes that come together share one commit, so the disk's latency is
paid once for all of them.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from errors import UsageError
from step import Case

from .batching import Batcher

LEDGER = "ledger.sqlite"
RECENT = 1000  # requests that are kept in memory too, some 25 MB of them with the features of four cases each
SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time REAL NOT NULL, said TEXT NOT NULL, arms BLOB
);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, request TEXT UNIQUE REFERENCES requests (id),
    reward INTEGER, answer TEXT, removed TEXT
);
CREATE TABLE IF NOT EXISTS records (
    key TEXT PRIMARY KEY, shown INTEGER NOT NULL DEFAULT 0, fed INTEGER NOT NULL DEFAULT 0,
    right INTEGER NOT NULL DEFAULT 0
);
"""
COUNT = """
INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
SET shown = shown + excluded.shown, fed = fed + excluded.fed, right = right + excluded.right
"""
Write = Callable[[sqlite3.Connection], Any]


@dataclass(frozen=True)
class Answered:
    """A request that was answered.

    Attributes:
        number: from 1, in the order of arrival; numbers of requests that got no answer are left out.
        group: "cases" where the agent's choice was sent, "holdout" or "shadow" where the plain prompt was.
        cases, scores: what the agent chose, in the order of the prompt; each case with all its fields.
        arms: what the policy wants back with the reward, as bytes; see learner.py.
    """

    id: str
    number: int
    query: str
    group: str
    cases: list[dict[str, Any]]
    scores: list[float | None]
    output: str
    model: str = ""
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    agent_seconds: float = 0.0
    prompt_sha256: str | None = None
    phi: dict[str, Any] | None = None
    arms: bytes | None = field(default=None, repr=False)
    time: float = 0.0

    @property
    def sent_keys(self) -> list[str]:
        """The keys of the cases that the upstream was sent."""
        return [Case(**case).key for case in self.cases] if self.group == "cases" else []


@dataclass(frozen=True)
class Event:
    """Something that bank and policy learn from: feedback for a request, or the removal of a case by its key."""

    number: int
    time: float
    request: str | None
    reward: int | None
    answer: str | None
    removed: str | None


class Ledger:
    """Requests and events. Any thread may call it. Raises UsageError for a file that is no ledger.

    Attributes:
        last_request, last_event: the highest numbers so far, 0 for none; the first of when the ledger was opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._writer, self._reader = _connect(path), _connect(path)
            with self._writer:
                self._writer.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise UsageError(f"{path}: not a usable SQLite file ({error})") from None
        self._reading = threading.Lock()
        self._recent: OrderedDict[str, Answered] = OrderedDict()  # feedback mostly comes soon
        self.last_event = self._one("SELECT coalesce(max(number), 0) FROM events")
        self.last_request: int = self._one("SELECT coalesce(max(number), 0) FROM requests")
        self._writes: Batcher[Write, Any] = Batcher(self._commit, 1000, "ledger")

    # -- writing -----------------------------------------------------------------------------------------------------

    def put(self, answered: Answered) -> Future[None]:
        """Keep an answered request."""
        said = {name: value for name, value in vars(answered).items() if name not in ("id", "number", "arms", "time")}
        values = (answered.number, answered.id, answered.time, json.dumps(said, ensure_ascii=False), answered.arms)

        def write(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO requests VALUES (?, ?, ?, ?, ?)", values)
            db.executemany(COUNT, [(key, 1, 0, 0) for key in answered.sent_keys])

        future = self._writes.submit(write)
        future.add_done_callback(lambda done: self._remember(answered, done))
        return future

    def _remember(self, answered: Answered, done: Future[None]) -> None:
        """Keep in memory, too, what is on disk."""
        if not done.cancelled() and done.exception() is None:
            self._recent[answered.id] = answered
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)

    def feed(self, answered: Answered, reward: int, answer: str | None) -> Future[tuple[Event, bool]]:
        """Keep feedback for a request; the event, and whether it is new.

        A request has one feedback: of another one the event that stands is returned.
        """

        def write(db: sqlite3.Connection) -> tuple[Event, bool]:
            before = db.execute("SELECT * FROM events WHERE request = ?", (answered.id,)).fetchone()
            if before is not None:
                return Event(*before), False
            db.executemany(COUNT, [(key, 0, 1, reward) for key in answered.sent_keys])
            return self._add(db, answered.id, reward, answer, None), True

        return self._writes.submit(write)

    def remove(self, key: str) -> Future[Event]:
        """Keep that the cases of this key are to be taken out of the bank."""
        return self._writes.submit(lambda db: self._add(db, None, None, None, key))

    def _add(self, db: sqlite3.Connection, *values: Any) -> Event:
        self.last_event += 1
        event = Event(self.last_event, time.time(), *values)
        db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", tuple(vars(event).values()))
        return event

    def _commit(self, batch: list[tuple[Write, Future[Any]]]) -> None:
        """Carry out what waits, all in one transaction, and only then say that it is done."""
        events = self.last_event
        try:
            with self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                results = [work(self._writer) for work, _ in batch]
        except Exception as error:  # a full disk, say: nobody's write has happened
            self.last_event = events
            if len(batch) > 1:  # one of them may be at fault alone
                for each in batch:
                    self._commit([each])
            else:
                batch[0][1].set_exception(error)
            return
        for (_, future), result in zip(batch, results):
            future.set_result(result)

    def close(self) -> None:
        """Finish what waits, then let go of the file."""
        self._writes.close()
        self._writer.close()
        self._reader.close()

    # -- reading -----------------------------------------------------------------------------------------------------

    def get(self, request: str) -> Answered | None:
        """The answered request with this id."""
        recent = self._recent.get(request)
        if recent is not None:
            return recent
        rows = self._all("SELECT number, id, time, said, arms FROM requests WHERE id = ?", request)
        return _answered(rows[0]) if rows else None

    def event_of(self, request: str) -> Event | None:
        """The feedback for the request with this id."""
        rows = self._all("SELECT * FROM events WHERE request = ?", request)
        return Event(*rows[0]) if rows else None

    def events(self, after: int = 0) -> Iterator[Event]:
        """The events after number `after`, in order; read in pieces, so that a long ledger needs little memory."""
        while rows := self._all("SELECT * FROM events WHERE number > ? ORDER BY number LIMIT 500", after):
            yield from (Event(*row) for row in rows)
            after = rows[-1][0]

    def latest(self, count: int) -> list[tuple[Answered, Event | None]]:
        """The newest `count` requests with their feedback, newest first."""
        rows = self._all(
            "SELECT r.number, r.id, r.time, r.said, NULL, e.* FROM requests r LEFT JOIN events e ON e.request = r.id "
            "ORDER BY r.number DESC LIMIT ?",
            count,
        )
        return [(_answered(row[:5]), None if row[5] is None else Event(*row[5:])) for row in rows]

    def records(self, keys: list[str]) -> dict[str, tuple[int, int, int]]:
        """How often each of these cases was sent, how many of those answers have feedback, how many were right."""
        places = ", ".join("?" * len(keys))
        rows = self._all(f"SELECT * FROM records WHERE key IN ({places})", *keys)
        return {key: (shown, fed, right) for key, shown, fed, right in rows}

    def tallies(self) -> dict[str, tuple[int, int, int]]:
        """group -> requests, those with feedback, those that were right."""
        rows = self._all(
            "SELECT json_extract(r.said, '$.group'), count(*), count(e.reward), coalesce(sum(e.reward), 0) "
            "FROM requests r LEFT JOIN events e ON e.request = r.id GROUP BY 1"
        )
        return {group: (requests, fed, right) for group, requests, fed, right in rows}

    def _one(self, query: str) -> int:
        return int(self._all(query)[0][0])

    def _all(self, query: str, *values: Any) -> list[Any]:
        with self._reading:
            return self._reader.execute(query, values).fetchall()


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db


def _answered(row: tuple[Any, ...]) -> Answered:
    number, id, at, said, arms = row
    return Answered(id=id, number=number, time=at, arms=arms, **json.loads(said))
