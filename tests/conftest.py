"""What the tests share: one load of the embedded encoder, and main.py as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]  # the second for `_path`, which a script finds beside itself
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models here are small: threads would wait for each other


@pytest.fixture(scope="session")
def text_encoder() -> TextEncoder:
    import torch

    from memory.encoders import EMBEDDED, TextEncoder

    return TextEncoder(EMBEDDED, torch.device("cpu"))


def run_cli(*arguments: object, timeout: float = 120, **options: object) -> subprocess.CompletedProcess[str]:
    """`python main.py ARGUMENTS` as a process of its own."""
    command = [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
