"""The replies of the steps in flight, on the disk as soon as they have come.

A step may be killed, or meet an outage, between two of its calls (the turns of a game, an answer and what is to be
learned from it) or before it is scored and logged. The continued run repeats the step, and is given from here what was
answered: nothing is asked, or paid for, twice.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

JOURNAL = "unfinished.jsonl"
Entry = dict[str, Any]


class Journal:
    """Replies by step and request, in a file that holds little more than the steps that are not logged.

    Args:
        logged: the steps that are over already; what the file has of them is of no use.
    """

    SPARE = 256  # lines of steps that are over, from which the file is written anew without them

    def __init__(self, path: Path, logged: int = 0) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries: dict[int, dict[str, Entry]] = {}  # by step and request
        self._over = 0  # lines of steps that are logged
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                entry = json.loads(line)
                step, key = entry["step"], entry["key"]
            except (ValueError, KeyError, TypeError, RecursionError):  # a line torn by a kill
                continue
            if isinstance(step, int) and step > logged:
                self._entries.setdefault(step, {})[key] = entry
        if path.exists():
            self._write_anew()

    def get(self, step: int, key: str) -> Entry | None:
        """What was put for the request `key` of this step: reply, seconds, cached."""
        with self._lock:
            return self._entries.get(step, {}).get(key)

    def put(self, step: int, key: str, entry: Entry) -> None:
        """Keep an entry until its step is over."""
        entry = {"step": step, "key": key, **entry}
        line = _line(entry)
        with self._lock:
            self._entries.setdefault(step, {})[key] = entry
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line)
            except OSError as error:
                error.filename = error.filename or str(self._path)  # which the system does not say of writing
                raise

    def forget(self, step: int) -> None:
        """The step is logged."""
        with self._lock:
            self._over += len(self._entries.pop(step, {}))
            if self._over and (not self._entries or self._over > self.SPARE):
                self._write_anew()

    def _write_anew(self) -> None:
        """Keep of the file what is not over; whatever happens meanwhile, one or the other file is there whole."""
        new = self._path.with_name(f".{self._path.name}.new")
        new.unlink(missing_ok=True)
        self._over = 0
        if not self._entries:
            self._path.unlink(missing_ok=True)
            return
        with new.open("x", encoding="utf-8") as file:
            file.writelines(_line(entry) for entries in self._entries.values() for entry in entries.values())
        os.replace(new, self._path)


def _line(entry: Entry) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"
