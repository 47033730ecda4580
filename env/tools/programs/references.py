"""Verdicts on reference answers, kept on disk: the same row, interpreter and libraries give the same verdict."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..sandbox.interpreter import Interpreter
from .harness import Verdict

HERE = Path(__file__).resolve().parent
MANY = 20  # from so many on, their progress is shown
PASSING = "it took too long"  # a verdict on a busy machine, perhaps; not kept


def cache_folder() -> Path:
    """Where verdicts are kept: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ds1000-references"


class References:
    """The verdicts that are known, by the rows' hashes. What cannot be written is only kept for this process."""

    def __init__(self, python: Interpreter, seconds: float) -> None:
        code = [(HERE / f"{name}.py").read_text(encoding="utf-8") for name in ("student", "examiner", "transfer")]
        what = [str(python.executable), python.version, sorted(python.found.items()), seconds, code]
        self._path = cache_folder() / f"{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}.jsonl"
        self._known: dict[str, Verdict] = {}
        with suppress(OSError):
            for line in self._path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, TypeError, KeyError):  # a torn line
                    entry = json.loads(line)
                    self._known[entry["row"]] = Verdict(entry["error"] is None, entry["error"])

    def __contains__(self, row: str) -> bool:
        return row in self._known

    def __getitem__(self, row: str) -> Verdict:
        return self._known[row]

    def add(self, row: str, verdict: Verdict) -> None:
        self._known[row] = verdict
        if verdict.error and PASSING in verdict.error:
            return
        line = json.dumps({"row": row, "error": None if verdict.passed else verdict.error or "wrong"}) + "\n"
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    @contextmanager
    def progress(self, todo: int) -> Iterator[Callable[[], object]]:
        """Gives what is to be called after each of the `todo` rows."""
        if todo < MANY:
            yield lambda: None
            return
        from tqdm import tqdm

        interval = 0.2 if sys.stderr.isatty() else 15.0
        with tqdm(total=todo, desc="reference answers", unit="row", mininterval=interval, leave=False) as bar:
            yield bar.update
