"""The case bank: what the agent keeps of its own past, and how the nearest of it are recalled."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from step import Case, as_plain

from .entries import Contents, check_encoder
from .graphs import PARAMETERS, Block, write_graph
from .index import VectorIndex

if TYPE_CHECKING:
    from runs.checkpoint import Checkpoint

FIELDS = tuple(field.name for field in fields(Case))
GRAPH = f"bank-graph-{PARAMETERS}"  # others, of an older version say, are built anew
REMEMBERED = 50_000  # embeddings that a bank gives back to its encoder, which keeps no more
SHRINKAGE = 2.0  # showings that a case's record is drawn to the mean by


class Embedder(Protocol):
    """Texts -> L2-normalised float32 [n, dim]."""

    dim: int

    def encode(self, texts: list[str]) -> np.ndarray: ...

    def remember(self, texts: list[str], embeddings: np.ndarray) -> None: ...


class CaseBank:
    """Cases in the order they were retained, with their tasks' embeddings where `encoder` is given.

    Args:
        encoder: makes the embeddings.
        limit: the most cases that it holds; None for any number.
        forget: which one goes when there is one too many, "oldest" or "least_useful". The least useful is the one with
            the lowest (won + 2 p) / (shown + 2): of the steps that showed it, and of those that it was right in; p is
            the same share over all cases. So one that was never shown stands at the mean, and of equals the older
            goes. The newest stays in any case: it has had no chance yet.
    """

    def __init__(self, encoder: Embedder | None = None, limit: int | None = None, forget: str = "oldest") -> None:
        self._encoder = encoder
        self._limit, self._forget = limit, forget
        self._graphs: Path | None = None
        self._clear(encoder.dim if encoder else 0)

    def _clear(self, dim: int) -> None:
        self._rows: list[Case | None] = []  # by position in the index; None for one that was forgotten
        self._index = VectorIndex(dim)
        self._index.kept = self._graphs
        self._dropped: list[int] = []
        self._compactions = 0
        self._position: dict[int | str, int] = {}  # these three only with a limit
        self._shown = np.zeros(0, np.int64)
        self._won = np.zeros(0, np.int64)
        self._first = 0  # no older one is left
        self._ahead: dict[tuple[str, int], list[int]] = {}  # what `recall_ahead` has found: positions in the index
        self._totals = [0, 0]  # showings so far, of all cases ever, and the successes among them

    def __len__(self) -> int:
        return len(self._rows) - len(self._dropped)

    @property
    def cases(self) -> list[Case]:
        """All cases, in the order they were retained."""
        return [case for case in self._rows if case is not None]

    @property
    def vectors(self) -> np.ndarray | None:
        """The embeddings of `cases`, [n, dim]; None without an encoder."""
        if self._encoder is None:
            return None
        kept = [i for i, case in enumerate(self._rows) if case is not None]
        return self._index.vectors[kept] if self._dropped else self._index.vectors

    def add(self, case: Case) -> None:
        case = replace(case, answer=as_plain(case.answer))
        vectors = None if self._encoder is None else self._encoder.encode([case.task])
        self._append([case], vectors)
        while self._limit is not None and len(self) > self._limit:
            self._drop(self._worst())

    def start_from(self, contents: Contents, name: str) -> None:
        """Hold the cases of `contents`, which came with the run: their step is 0. Without vectors they are embedded.

        A bank with a limit forgets of them what it would have forgotten had they come one by one. Raises UsageError
        where the vectors are another encoder's; `name` is what it was opened by.
        """
        cases, vectors = [entry.case for entry in contents.entries], None
        if self._encoder is not None and contents.encoder is not None:
            ours = getattr(self._encoder, "identity", contents.encoder)
            check_encoder(name, contents.encoder, ours)
            vectors = contents.vectors
        elif self._encoder is not None and cases:
            vectors = self._encoder.encode([case.task for case in cases])
        if self._limit is None:
            self._append(cases, vectors)
            return
        for i, case in enumerate(cases):
            self._append([case], None if vectors is None else vectors[i : i + 1])
            while len(self) > self._limit:
                self._drop(self._worst())

    def keep_graphs(self, folder: Path) -> None:
        """Keep what a search of many cases needs in `folder`, where nobody else writes, and use what is there."""
        self._graphs = self._index.kept = folder

    def wait(self) -> None:
        """Return when a search needs to wait for nothing."""
        self._index.wait()

    def latest(self, k: int) -> list[Case]:
        """The k most recent cases, oldest first."""
        found: list[Case] = []
        for case in reversed(self._rows):
            if len(found) == k:
                break
            if case is not None:
                found.append(case)
        return found[::-1]

    @property
    def has_vectors(self) -> bool:
        """Whether it can recall what is near."""
        return self._encoder is not None

    def recall(self, query: str, size: int) -> list[Case]:
        """The `size` cases nearest to `query` by cosine, nearest first; of equals the older first.

        The encoder is told their embeddings, so ranking them by it needs no encoding. Raises ValueError for a bank
        without an encoder, UserError where it has grown beyond exact search and the package for more is not installed.
        """
        if self._encoder is None:
            raise ValueError("a bank without an encoder has no nearest cases")
        positions = self._ahead.pop((query, size), None)
        if positions is None:
            positions = self._index.nearest(self._encoder.encode([query])[0], size)
        found = [(case, i) for i in positions if (case := self._rows[i]) is not None]
        cases = [case for case, _ in found]
        self._encoder.remember([case.task for case in cases], self._index.vectors[[i for _, i in found]])
        return cases

    def recall_ahead(self, queries: Sequence[str], size: int) -> None:
        """Search for all of `queries` together, which costs less; the next `recall` of each takes what that has found,
        as long as the bank is what it was.
        """
        if self._encoder is None or not queries:
            return
        found = self._index.search_all(self._encoder.encode(list(queries)), size)
        self._ahead = {(query, size): [i for i, _ in each] for query, each in zip(queries, found)}

    def note(self, cases: Iterable[Case], reward: int) -> None:
        """Put it to the record of `cases` that a step showed them and got `reward`; read only by --forget."""
        if self._limit is None:
            return
        for case in cases:
            self._totals[0] += 1
            self._totals[1] += reward
            position = self._position.get(name_of(case))
            if position is not None:  # it may have been forgotten while the step was under way
                self._shown[position] += 1
                self._won[position] += reward

    def allow_removal(self) -> None:
        """Let single cases be taken out from now on; to be said while the bank is empty."""
        self._limit = self._limit or sys.maxsize

    def remove(self, cases: Iterable[Case]) -> None:
        """Take these cases out; those that are not there are passed over. Only after `allow_removal`."""
        for case in cases:
            position = self._position.get(name_of(case))
            if position is not None:
                self._drop(position)

    # -- forgetting --------------------------------------------------------------------------------------------------

    def _append(self, cases: Sequence[Case | None], vectors: np.ndarray | None) -> None:
        if self._limit is not None:
            at = len(self._rows)
            self._position.update((name_of(case), at + i) for i, case in enumerate(cases) if case is not None)
            more = max(0, len(self._rows) + len(cases) - len(self._shown))
            if more:
                grown = np.zeros(max(more, len(self._shown), 256), np.int64)
                self._shown, self._won = np.append(self._shown, grown), np.append(self._won, grown)
        self._rows += cases
        self._ahead.clear()
        if vectors is not None:
            self._index.add(vectors)

    def _worst(self) -> int:
        """The position of the case that is to go."""
        while self._rows[self._first] is None:
            self._first += 1
        if self._forget == "oldest":
            return self._first
        shown, won = self._shown[: len(self._rows) - 1], self._won[: len(self._rows) - 1]
        mean = self._totals[1] / self._totals[0] if self._totals[0] else 0.5
        value = (won + SHRINKAGE * mean) / (shown + SHRINKAGE)
        value[self._dropped] = np.inf
        return int(np.argmin(value))

    def _drop(self, position: int) -> None:
        case = self._rows[position]
        assert case is not None
        self._rows[position] = None
        self._ahead.clear()
        self._position.pop(name_of(case), None)
        self._dropped.append(position)
        if self._encoder is not None:
            self._index.discard(position)
        if len(self._dropped) > max(len(self), 64):
            self._compact()

    def _compact(self) -> None:
        """Give the room of forgotten cases back, so that the memory follows the limit and not the stream."""
        kept = [i for i, case in enumerate(self._rows) if case is not None]
        cases, vectors, shown, won = self.cases, self.vectors, self._shown[kept], self._won[kept]
        compactions, totals = self._compactions + 1, self._totals
        self._clear(self._index.vectors.shape[1])
        self._append(cases, vectors)
        self._shown[: len(cases)], self._won[: len(cases)] = shown, won
        self._compactions, self._totals = compactions, totals

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The cases, their fields in order each, and their embeddings [n, dim]; both only ever grow, and are looked at
        only where they are new."""
        return {"cases": Rows(self._rows), "embeddings": self._index.vectors}

    def load_state_dict(self, state: dict[str, Any], graphs: Mapping[Block, Path] = MappingProxyType({})) -> None:
        """Become the bank that `state` was taken from; nothing is embedded again, and none of `graphs` built."""
        self._clear(self._index.vectors.shape[1])
        for block, path in graphs.items():
            self._index.take_graph(block, path)
        dropped = set(state.get("dropped", ()))
        rows = [None if i in dropped else _as_case(row) for i, row in enumerate(state["cases"])]
        self._append(rows, state["embeddings"] if self._encoder is not None else None)
        self._dropped = sorted(dropped)
        if self._encoder is not None:
            for position in self._dropped:
                self._index.discard(position)
            recent = [i for i in range(max(0, len(rows) - REMEMBERED), len(rows)) if rows[i] is not None]
            tasks = [case.task for case in rows[-REMEMBERED:] if case is not None]
            self._encoder.remember(tasks, self._index.vectors[recent])

    def save(self, checkpoint: Checkpoint) -> None:
        """Put all of it; what was put before is not written again."""
        state = self.state_dict()
        if self._limit is None:
            checkpoint.put("bank", state, grows=("cases", "embeddings"))
        else:
            grows = ("cases", "embeddings", "dropped")
            checkpoint.put("bank", state | {"dropped": self._dropped}, grows, version=self._compactions)
            n = len(self._rows)
            record = {"shown": self._shown[:n].tolist(), "won": self._won[:n].tolist(), "totals": self._totals}
            checkpoint.put("bank-record", record | {"compactions": self._compactions})
        identity = getattr(self._encoder, "identity", None)
        if identity is not None:
            checkpoint.put("bank-encoder", asdict(identity))
        for (start, length), graph in self._index.graphs.items():
            name = f"{GRAPH}-{self._compactions}-{start}-{length}"
            checkpoint.put_file(name, functools.partial(write_graph, graph))

    def load(self, checkpoint: Checkpoint) -> None:
        """Become the bank that was put."""
        graphs: dict[Block, Path] = {}
        for name, path in checkpoint.files.items():
            if name.startswith(f"{GRAPH}-"):
                start, length = name.split("-")[-2:]
                graphs[int(start), int(length)] = path
        self.load_state_dict(checkpoint.get("bank"), graphs)
        record = checkpoint.get("bank-record")
        if record:
            n = len(self._rows)
            self._shown[:n], self._won[:n] = record["shown"], record["won"]
            self._totals, self._compactions = record["totals"], record["compactions"]


class Rows(Sequence["list[Any] | None"]):
    """Cases as rows of plain values, made where they are asked for: a checkpoint asks for the new ones alone."""

    def __init__(self, cases: Sequence[Case | None]) -> None:
        self._cases = cases

    def __len__(self) -> int:
        return len(self._cases)

    @overload
    def __getitem__(self, index: int) -> list[Any] | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[list[Any] | None]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [_as_row(case) for case in self._cases[index]]
        return _as_row(self._cases[index])


def _as_row(case: Case | None) -> list[Any] | None:
    """The fields of a case, in order."""
    return None if case is None else [getattr(case, name) for name in FIELDS]


def _as_case(row: list[Any] | None) -> Case | None:
    return None if row is None else Case(*row)


def name_of(case: Case) -> int | str:
    """What tells a case from the bank's others: its step, or its content where it came with the run."""
    return case.step or case.key
