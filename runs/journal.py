"""The replies of the step in flight, on the disk as soon as they have come.

A step may be killed, or meet an outage, between two of its calls (the turns of a game, an answer and what is to be
learned from it) or before it is scored and logged. The continued run repeats the step, and is given from here what was
answered: nothing is asked, or paid for, twice.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

JOURNAL = "unfinished.jsonl"


class Journal:
    """Replies by step and request, in a file that holds one step at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._step = 0
        self._entries: dict[str, dict[str, Any]] = {}
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):  # torn by the kill; the next entry would be written onto its end, and lost
            os.truncate(path, len(whole))
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                self._step, key = entry["step"], entry["key"]
            except (ValueError, KeyError, TypeError, RecursionError):  # damaged: it is asked again
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
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError as error:
            error.filename = error.filename or str(self._path)  # which the system does not say of writing
            raise
        self._entries[key] = entry
