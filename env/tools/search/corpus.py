"""A corpus of passages: a JSON-lines file whose rows have an `id` and `contents`, the title in the first line.

A Wikipedia has 21 million passages, so only the places of its lines are kept in memory; a passage is read when it is
asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from env.data import parse_row
from errors import DataError

FIELDS = {"id": (str, int), "contents": str}
BLOCK = 1 << 24  # bytes read at a time when looking for the ends of lines


class Corpus:
    """The passages of `path` by number, from 0. Safe to share between threads.

    Raises DataError where the file is missing, packed or empty.
    """

    def __init__(self, path: Path, offsets: np.ndarray | None = None) -> None:
        if not path.is_file():
            raise DataError(f"{path} does not exist")
        if path.suffix == ".gz":
            raise DataError(f"{path} is packed: unpack it with `gunzip --keep {path}`")
        self.path = path
        self.offsets = line_starts(path) if offsets is None else offsets  # of the lines and the end, int64 [n + 1]
        if not len(self):
            raise DataError(f"{path} has no passages")
        self._file = path.open("rb")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> dict[str, str]:
        start, end = int(self.offsets[number]), int(self.offsets[number + 1])
        passage = json.loads(os.pread(self._file.fileno(), end - start, start))
        return {"id": str(passage["id"]), "contents": passage["contents"]}

    def texts(self) -> Iterator[str]:
        """The contents of all passages in order. Raises DataError at the first row that is not right."""
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield parse_row(f"{self.path}:{number}", line.decode("utf-8", "replace"), FIELDS)["contents"]

    def close(self) -> None:
        self._file.close()


def line_starts(path: Path) -> np.ndarray:
    """Where the lines of a file begin, and where the last one ends."""
    found, position = [np.zeros(1, np.int64)], 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + position + 1)
            position += len(block)
    starts = np.concatenate(found)
    return starts if starts[-1] == position else np.append(starts, position)
