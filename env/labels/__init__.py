"""Label names of the classification tasks, one text file a task, one label a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from errors import DataError

ROOT = Path(__file__).resolve().parent.parent.parent


def load_labels(task: str, folder: Path | None = None) -> list[str]:
    """The label names of `task`, in the order of its file, here or in `folder`.

    Raises DataError where there is no such file, or it names none or one twice.
    """
    path = (folder or Path(__file__).parent) / f"{task}.txt"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        advice = f"write them to {_shown(path)}, one a line"
        raise DataError(f"the task {task} has no labels yet: {advice}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{_shown(path)}: not UTF-8 ({error.reason})") from None
    names = [line.strip() for line in text.splitlines() if line.strip()]
    twice = [name for number, name in enumerate(names) if fold(name) in map(fold, names[:number])]
    if twice or not names:
        raise DataError(f"{_shown(path)} {f'has {twice[0]!r} twice' if twice else 'names no label'}")
    return names


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def fold(text: str) -> str:
    """What `text` is compared by: its words, whatever their case and spacing."""
    return " ".join(text.split()).casefold()


class LabelSet:
    """The labels of a task, found whatever the case and spacing they are written in."""

    def __init__(self, task: str, folder: Path | None = None) -> None:
        self.names = load_labels(task, folder)
        self._place = f"env/labels/{task}.txt" if folder is None else str(folder / f"{task}.txt")
        self._by_fold = {fold(name): name for name in self.names}

    def find(self, text: Any) -> str | None:
        """The label that `text` spells, or None."""
        return self._by_fold.get(fold(text)) if isinstance(text, str) else None

    def unknown(self, label: Any) -> str:
        """What to say of a row whose `label` is none of these."""
        return f"unknown label {label!r}; the labels are in {self._place}"
