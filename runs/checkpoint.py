"""Checkpoints that cost what is new.

A checkpoint is a folder of parts. A part is a dict of what its owner has to remember; entries that only grow (cases,
history) go to files of their own, to which a later checkpoint appends, and a part with a version (a model's weights) is
written again only when that changes. What is unchanged is the same file in the next checkpoint, by a hard link.

`manifest.json` is written last. It says of every file how long it is and what its hash is, and its second line is the
hash of its first, so whatever was cut, emptied, exchanged or half-written is noticed before anything of it is used:
`Checkpoint.open` then finds no checkpoint there, which costs a longer replay and never an error.

A file that grows is one file on the disk for all checkpoints that link to it. Each reads no more than the bytes that
its manifest counts, so what a later one appended, whole or torn, does not harm an earlier one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

MANIFEST = "manifest.json"
FORMAT = 2
DAMAGED = (  # what reading a damaged checkpoint raises, torch's own errors among them
    *(OSError, EOFError, pickle.UnpicklingError),
    *(ValueError, TypeError, LookupError, AttributeError, RuntimeError, MemoryError, OverflowError),
)


class Checkpoint:
    """One checkpoint; made by `begin` or `open`.

    Attributes:
        folder: where it lies.
        step: the steps that its state has seen.
    """

    def __init__(self, folder: Path, step: int, before: Checkpoint | None = None) -> None:
        self.folder = folder
        self.step = step
        self._before = before
        self._parts: dict[str, Any] = {}
        self._files: dict[str, dict[str, Any]] = {}  # those that never change
        self._hashes: dict[str, Any] = {}  # of each growing file, to go on with
        self._states: dict[str, dict[str, Any]] = {}  # what was read, by part, until it is asked for

    # -- writing -----------------------------------------------------------------------------------------------------

    @classmethod
    def begin(cls, folder: Path, step: int, before: Checkpoint | None) -> Checkpoint:
        """A new one in `folder`, which is emptied; it takes from the one `before` what has not changed since."""
        remove(folder)
        folder.mkdir()
        return cls(folder, step, before)

    def put(self, name: str, state: dict[str, Any], grows: Collection[str] = (), version: int | None = None) -> None:
        """Save a part.

        Args:
            grows: the entries of `state`, lists of plain values or arrays [n, ...], that only ever get longer.
            version: where it equals the last checkpoint's, the other entries are the same and are not written again;
                where it differs, what grows has begun anew. None: write the other entries each time.
        """
        before = self._before._parts.get(name) if self._before else None
        if before is not None and before["version"] != version:
            before = None
        part: dict[str, Any] = {"version": version, "grows": {}, "rest": None}
        for key in grows:
            part["grows"][key] = self._grow(f"{name}-{key}", state[key], before["grows"].get(key) if before else None)
        rest = {key: value for key, value in state.items() if key not in grows}
        if before is not None and before["rest"] and version is not None:
            self._link(before["rest"]["file"])
            part["rest"] = before["rest"]
        elif rest:
            part["rest"] = self._write(name, rest)
        self._parts[name] = part

    def put_file(self, name: str, write: Callable[[Path], None]) -> None:
        """Save a file that never changes: `write` is called once with its path, later checkpoints link to it."""
        before = self._before._files.get(name) if self._before else None
        if before is not None:
            self._link(before["file"])
            self._files[name] = before
            return
        path = self.folder / f"{name}.bin"
        write(path)
        size = path.stat().st_size
        digest = _digest(path, size).hexdigest()
        self._files[name] = {"file": path.name, "bytes": size, "sha256": digest}

    def finish(self) -> None:
        """Write the manifest, after everything that it speaks of is on the disk."""
        for path in self.folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        manifest = json.dumps(
            {"format": FORMAT, "step": self.step, "parts": self._parts, "files": self._files}
        ).encode()
        with (self.folder / MANIFEST).open("xb") as file:
            file.write(manifest + b"\n" + hashlib.sha256(manifest).hexdigest().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._before = None

    def _write(self, name: str, state: dict[str, Any]) -> dict[str, Any]:
        if _has_tensors(state):
            import torch

            buffer = io.BytesIO()  # torch's own writing to a full disk ends in errors of its own kind
            torch.save(state, buffer)
            content, file = buffer.getvalue(), f"{name}.pt"
        else:
            content, file = json.dumps(state).encode(), f"{name}.json"
        (self.folder / file).write_bytes(content)
        return {"file": file, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def _grow(self, stem: str, value: Any, before: dict[str, Any] | None) -> dict[str, Any]:
        """Append what `value` has beyond `before` to the file that holds it so far."""
        listed = isinstance(value, Sequence)
        file = f"{stem}.jsonl" if listed else f"{stem}.bin"
        entry = before or {"file": file, "count": 0, "bytes": 0, "kind": "list" if listed else _kind(value)}
        new = value[entry["count"] :]
        if listed:
            content = "".join(json.dumps(item) + "\n" for item in new).encode()
        else:
            content = _as_array(new).tobytes()
        digest = self._before._hashes[file].copy() if before and self._before else hashlib.sha256()
        digest.update(content)
        if before:
            self._link(file)
        with (self.folder / file).open("r+b" if before else "wb") as target:
            target.truncate(entry["bytes"])  # an append that was cut off may have left more
            target.seek(entry["bytes"])
            target.write(content)
        self._hashes[file] = digest
        shape = None if listed else list(value.shape[1:])
        return entry | {
            "count": len(value),
            "shape": shape,
            "bytes": entry["bytes"] + len(content),
            "sha256": digest.hexdigest(),
        }

    def _link(self, file: str) -> None:
        assert self._before is not None
        source, target = self._before.folder / file, self.folder / file
        try:
            os.link(source, target)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, target)

    # -- reading -----------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path) -> Checkpoint | None:
        """The checkpoint in `folder`, every file of it checked and read; None where there is none, or a damaged one."""
        try:
            manifest = _manifest(folder)
            checkpoint = cls(folder, manifest["step"])
            checkpoint._parts = manifest["parts"]
            checkpoint._files = manifest.get("files", {})
            for entry in checkpoint._files.values():
                _checked(folder, entry)
            for name, part in checkpoint._parts.items():
                for entry in [*part["grows"].values(), *filter(None, [part["rest"]])]:
                    checkpoint._hashes[entry["file"]] = _checked(folder, entry)
                checkpoint._states[name] = checkpoint._state(part)
        except DAMAGED:
            return None
        return checkpoint

    @classmethod
    def peek(cls, folder: Path, name: str) -> dict[str, Any]:
        """The part `name` of the checkpoint in `folder`, plain values, nothing else read; empty where it has none."""
        try:
            entry = _manifest(folder)["parts"][name]["rest"]
            _checked(folder, entry)
            return dict(json.loads((folder / entry["file"]).read_text(encoding="utf-8")))
        except DAMAGED:
            return {}

    def get(self, name: str) -> dict[str, Any]:
        """The part `name` as it was put, once; empty where there is none."""
        return self._states.pop(name, {})

    def has(self, name: str) -> bool:
        """Whether a part of this name was put."""
        return name in self._parts

    def part_sha256(self, *names: str) -> str:
        """A hash of what these parts hold."""
        parts = {name: self._parts.get(name) for name in names}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def files(self) -> dict[str, Path]:
        """The files that `put_file` has saved, by name."""
        return {name: self.folder / entry["file"] for name, entry in self._files.items()}

    def _state(self, part: dict[str, Any]) -> dict[str, Any]:
        state = self._read(part["rest"]["file"]) if part["rest"] else {}
        return state | {key: self._read_grown(entry) for key, entry in part["grows"].items()}

    def _read(self, file: str) -> dict[str, Any]:
        path = self.folder / file
        if path.suffix == ".json":
            return dict(json.loads(path.read_text(encoding="utf-8")))
        import torch

        return dict(torch.load(path, map_location="cpu", weights_only=True))

    def _read_grown(self, entry: dict[str, Any]) -> Any:
        path = self.folder / entry["file"]
        if entry["kind"] == "list":
            with path.open("rb") as file:
                return [json.loads(line) for line in file.read(entry["bytes"]).splitlines()]
        import numpy as np

        library, _, dtype = entry["kind"].partition(":")
        array = np.fromfile(path, dtype, entry["bytes"] // np.dtype(dtype).itemsize)
        array = array.reshape(entry["count"], *entry["shape"])
        if library == "torch":
            import torch

            return torch.from_numpy(array)
        return array


def remove(path: Path) -> None:
    """Delete a folder of ours or whatever lies in its place; of a link the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _manifest(folder: Path) -> dict[str, Any]:
    """What manifest.json says. Raises one of DAMAGED where it is not as it was written."""
    if folder.is_symlink():
        raise ValueError("a folder elsewhere")
    line, digest = (folder / MANIFEST).read_bytes().split(b"\n")[:2]
    if hashlib.sha256(line).hexdigest().encode() != digest:
        raise ValueError("damaged")
    manifest: dict[str, Any] = json.loads(line)
    if manifest["format"] != FORMAT or type(manifest["step"]) is not int:
        raise ValueError("of another format")
    return manifest


def _checked(folder: Path, entry: dict[str, Any]) -> Any:
    """The running hash of a file's first `bytes`. Raises ValueError where it is not what the manifest says."""
    path = folder / entry["file"]
    if path.parent != folder or path.is_symlink():
        raise ValueError("a file elsewhere, which must not be appended to")
    digest = _digest(path, entry["bytes"])
    if digest.hexdigest() != entry["sha256"]:
        raise ValueError("damaged")
    return digest


def _digest(path: Path, length: int) -> Any:
    """The running hash of a file's first `length` bytes. Raises ValueError where it has fewer."""
    digest, left = hashlib.sha256(), length
    with path.open("rb") as file:
        while left and (block := file.read(min(left, 2**20))):
            digest.update(block)
            left -= len(block)
    if left:
        raise ValueError("cut")
    return digest


def _has_tensors(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_tensors, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_tensors, value))
    return _is_tensor(value)


def _is_tensor(value: Any) -> bool:
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor)


def _kind(value: Any) -> str:
    return f"{'torch' if _is_tensor(value) else 'numpy'}:{_as_array(value[:0]).dtype.str}"


def _as_array(value: np.ndarray | torch.Tensor) -> np.ndarray:
    return value.detach().cpu().numpy() if _is_tensor(value) else value  # type: ignore[union-attr,return-value]
