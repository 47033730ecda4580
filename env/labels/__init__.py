"""Label names of the classification tasks, one text file a task, one label a line."""

from __future__ import annotations

from pathlib import Path


def load_labels(task: str) -> list[str]:
    """The label names of `task`, in the order of its file."""
    path = Path(__file__).with_name(f"{task}.txt")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
