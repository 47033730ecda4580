"""Putting files where tasks look for them: whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from env.data import PROVENANCE


def install(source: IO[bytes], path: Path) -> None:
    """Write `source` to `path`, which keeps what it had until all of it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(source, file)
        os.chmod(temporary, 0o644)  # mkstemp's files are the owner's alone
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def install_bytes(content: bytes, path: Path) -> None:
    install(io.BytesIO(content), path)


def install_rows(content: bytes, path: Path, origin: str, source: str) -> None:
    """Write a task's rows and, beside them, a note of their origin; it counts while its hash agrees."""
    note = {
        "origin": origin,
        "source": source,
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": sum(1 for line in content.splitlines() if line.strip()),
    }
    install_bytes(content, path)
    install_bytes(json.dumps(note, indent=2).encode() + b"\n", path.with_name(PROVENANCE))
