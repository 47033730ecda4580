"""Indexes over a corpus: BM25 (bm25s) and nearest vectors (FAISS). An index is built once and kept in a folder."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from errors import DataError, UserError, missing_package

from .corpus import Corpus

CHUNK = 4096  # passages encoded at a time
STOPWORDS = "english"
Hit = tuple[int, float]  # passage number, score


class Index(Protocol):
    def search(self, queries: list[str], k: int) -> list[list[Hit]]:
        """For each query at most `k` passages, best first."""
        ...


class BM25Index:
    """Words in common, weighted by how rare they are."""

    FILE = "bm25"

    def __init__(self, folder: Path) -> None:
        self._bm25 = _import("bm25s").BM25.load(folder / self.FILE, mmap=True, show_progress=False)

    @staticmethod
    def build(corpus: Corpus, folder: Path) -> None:
        bm25, words = _import("bm25s").BM25(), _words(list(corpus.texts()))
        if not words.vocab:
            raise DataError(f"{corpus.path} has no word to search by in any passage: is it the right corpus?")
        bm25.index(words, show_progress=False)
        bm25.save(folder / BM25Index.FILE, show_progress=False)

    def search(self, queries: list[str], k: int) -> list[list[Hit]]:
        k = min(k, int(self._bm25.scores["num_docs"]))
        return [self._search(words, k) for words in _words(queries, return_ids=False)]

    def _search(self, words: list[str], k: int) -> list[Hit]:
        known = [word for word in words if word in self._bm25.vocab_dict]
        if not known:
            return []
        numbers, scores = self._bm25.retrieve([known], k=k, show_progress=False, backend_selection="numpy")
        return [(int(number), float(score)) for number, score in zip(numbers[0], scores[0]) if score > 0]


def _words(texts: list[str], return_ids: bool = True) -> Any:
    return _import("bm25s").tokenize(texts, stopwords=STOPWORDS, return_ids=return_ids, show_progress=False)


class DenseIndex:
    """Cosine of embeddings, compared with every passage's (IndexFlatIP)."""

    FILE = "flat.faiss"

    def __init__(self, path: Path, encoder: PassageEncoder) -> None:
        faiss = _import("faiss")
        self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
        self._encoder = encoder
        if self._index.d != encoder.dim:
            raise UserError(f"{path} holds vectors of {self._index.d} dimensions, the encoder makes {encoder.dim}")

    @staticmethod
    def build(texts: Iterable[str], folder: Path, encoder: PassageEncoder) -> None:
        faiss = _import("faiss")
        index = faiss.IndexFlatIP(encoder.dim)
        remaining = iter(texts)
        while chunk := list(itertools.islice(remaining, CHUNK)):
            index.add(encoder.passages(chunk))
        faiss.write_index(index, str(folder / DenseIndex.FILE))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: list[str], k: int) -> list[list[Hit]]:
        scores, numbers = self._index.search(self._encoder.queries(queries), min(k, self._index.ntotal))
        return [[(int(n), float(s)) for n, s in zip(*row)] for row in zip(numbers, scores)]


class PassageEncoder(Protocol):
    """Queries and passages -> unit vectors, float32 [n, dim]; memory.passages has one."""

    name: str
    dim: int

    def queries(self, texts: list[str]) -> np.ndarray: ...

    def passages(self, texts: list[str]) -> np.ndarray: ...


def open_index(
    path: Path, root: Path, encoder: PassageEncoder | None = None, ready_made: Path | None = None
) -> tuple[Corpus, Index, dict[str, Any]]:
    """Open the corpus at `path` with its index, which is built below `root` if it is not there yet.

    Args:
        encoder: makes it a dense index; without one it is BM25.
        ready_made: a FAISS index of the corpus's passages in order, to use instead of building one.
    Returns:
        The corpus, the index, and what there is to say of both: file name, sha256, passages, method, encoder.
    """
    method = "dense" if encoder else "bm25"
    if not path.is_file():
        Corpus(path)  # raises what is wrong with it
    folder = root / f"{path.stem}-{method}-{_stamp(path, encoder.name if encoder else '', ready_made)}"
    if not folder.is_dir():
        _build(path, folder, encoder, ready_made)
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    corpus = Corpus(path, np.load(folder / "offsets.npy", mmap_mode="r"))
    if encoder is None:
        return corpus, BM25Index(folder), info
    index = DenseIndex(ready_made or folder / DenseIndex.FILE, encoder)
    if len(corpus) != len(index):
        raise UserError(f"{ready_made} holds {len(index)} vectors, {path} {len(corpus)} passages")
    return corpus, index, info


def _build(path: Path, folder: Path, encoder: PassageEncoder | None, ready_made: Path | None) -> None:
    """Build in a scratch folder and move it into place whole, so that a kill or a second builder does no harm."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".building-"))
    try:
        start, corpus = time.perf_counter(), Corpus(path)
        if encoder is None:
            BM25Index.build(corpus, scratch)
        elif ready_made is None:
            DenseIndex.build(corpus.texts(), scratch, encoder)
        np.save(scratch / "offsets.npy", corpus.offsets)
        info = {
            "corpus": path.name,
            "sha256": sha256_of(path),
            "passages": len(corpus),
            "method": "dense" if encoder else "bm25",
            "encoder": encoder.name if encoder else None,
            "build_seconds": round(time.perf_counter() - start, 3),
        }
        (scratch / "info.json").write_text(json.dumps(info), encoding="utf-8")
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process has not built it meanwhile
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _stamp(path: Path, model: str, ready_made: Path | None) -> str:
    """A short hash of all that makes an index stale: the corpus file, the encoder, a ready-made index."""
    files = [file.resolve() for file in (path, ready_made) if file is not None]
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr((facts, model)).encode()).hexdigest()[:12]


def _import(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise missing_package(error) from None
