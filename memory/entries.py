"""What banks hold and hand to each other: cases with what is known of them, and whose vectors they have."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from errors import UsageError
from step import Case


@dataclass(frozen=True)
class EncoderIdentity:
    """Whose embeddings they are: the encoder's name, for people, and its weights' hash, which decides."""

    name: str
    sha256: str
    dim: int

    def __str__(self) -> str:
        return f"{self.name} ({self.sha256[:8]}, {self.dim} numbers)"


@dataclass(frozen=True)
class Entry:
    """A case as a bank keeps it.

    Attributes:
        env, llm: the task it is of, and who answered; None where nobody knows.
        time: when it was retained, ISO 8601 in UTC; of a case of a run, when that was started.
        origin: "run", or "import" for what came from a file.
        source: the run folder or file.
        step: the step of its run that retained it.
        shown, won: the steps that showed it, and those among them that were right.
        expected: the sum over those steps of the success that was to be expected there.
    """

    case: Case
    env: str | None = None
    llm: str | None = None
    time: str | None = None
    origin: str = "run"
    source: str | None = None
    step: int = 0
    shown: int = 0
    won: int = 0
    expected: float = 0.0

    @property
    def key(self) -> str:
        return self.case.key


@dataclass(frozen=True)
class Contents:
    """A bank in memory: its entries in order, their vectors [n, dim] and whose those are, both None without any."""

    entries: list[Entry]
    vectors: np.ndarray | None = None
    encoder: EncoderIdentity | None = None

    @property
    def sha256(self) -> str:
        """What is in it: the cases' contents in their order, and the encoder. Records of use do not count."""
        digest = hashlib.sha256((self.encoder.sha256 if self.encoder else "").encode())
        for entry in self.entries:
            digest.update(entry.key.encode())
        return digest.hexdigest()


def check_encoder(path: Path | str, theirs: EncoderIdentity, ours: EncoderIdentity) -> None:
    """Raise UsageError where a bank's vectors are not of the encoder that is at work: they cannot be compared."""
    if theirs.sha256 != ours.sha256:
        raise UsageError(
            f"{path}: its vectors are of the encoder {theirs}, not of {ours}, and cannot be compared: `python "
            f"scripts/bank.py import NEW.sqlite {path} --embed --embedding_model_path {ours.name}` embeds it anew"
        )
