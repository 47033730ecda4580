"""Label names of the classification tasks, one text file a task, one label a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_labels(task: str) -> list[str]:
    """The label names of `task`, in the order of its file."""
    path = Path(__file__).with_name(f"{task}.txt")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def fold(text: str) -> str:
    """What `text` is compared by: its words, whatever their case and spacing."""
    return " ".join(text.split()).casefold()


class LabelSet:
    """The labels of a task, found whatever the case and spacing they are written in."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.names = load_labels(task)
        self._by_fold = {fold(name): name for name in self.names}

    def find(self, text: Any) -> str | None:
        """The label that `text` spells, or None."""
        return self._by_fold.get(fold(text)) if isinstance(text, str) else None

    def unknown(self, label: Any) -> str:
        """What to say of a row whose `label` is none of these."""
        return f"unknown label {label!r}; the labels are in env/labels/{self.task}.txt"
