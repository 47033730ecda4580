"""The replies of the step in flight, on the disk as soon as they have come.

A step that asks several times (an answer, then what is to be learned from it) may be killed in between. The continued
run repeats the step, and is given from here what was answered: nothing is asked, or paid for, twice.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

JOURNAL = "unfinished.jsonl"


class Journal:
    """Replies by step and request, in a file that holds one step at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._step = 0
        self._entries: dict[str, dict[str, Any]] = {}
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                entry = json.loads(line)
                self._step, key = entry["step"], entry["key"]
            except (ValueError, KeyError, TypeError, RecursionError):  # the last line, torn by the kill
                continue
            self._entries[key] = entry

    def get(self, step: int, key: str) -> dict[str, Any] | None:
        """What was put for the request `key` of this step: reply, seconds, cached."""
        return self._entries.get(key) if step == self._step else None

    def put(self, step: int, key: str, entry: dict[str, Any]) -> None:
        """Keep an entry; those of another step are over."""
        entry = {"step": step, "key": key, **entry}
        if step != self._step:
            self._entries, self._step = {}, step
            self._path.unlink(missing_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._entries[key] = entry
