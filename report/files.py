"""The files of a report: each under a name of its own, written whole, and listed, so that a later report leaves none.

A report into the folder of an earlier one removes what that one wrote and this one does not: only files that its list
(files.json) names, that lie in the folder, and that are still as they were written.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import plots
from .tables import Table

LIST = "files.json"


@dataclass(frozen=True)
class Link:
    """Something that lies beside the page: its title, and for each file its kind and path from the report's folder."""

    title: str
    files: tuple[tuple[str, str], ...]


class Files:
    """Writes tables, plots and other files below the report's folder.

    Names are made of titles, and two titles may have one: gpt-4.1 and gpt-4-1 differ in signs, which a file's name does
    not have. The later one gets a number. `links` has what was written, by what it is of: a stream's title, or "".
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._taken: set[str] = set()
        self._written: dict[str, str] = {}  # path -> sha256
        self.links: dict[str, list[Link]] = defaultdict(list)

    def _own(self, folder: str, name: str) -> str:
        names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
        own = next(candidate for candidate in names if f"{folder}/{candidate}" not in self._taken)
        self._taken.add(f"{folder}/{own}")
        return own

    def write(self, path: str, content: bytes | str) -> None:
        """Write the file `path`. A text is UTF-8; half a character, as a folder's name can hold, becomes a "?"."""
        content = content if isinstance(content, bytes) else content.encode(errors="replace")
        with replacing(self._out / path) as temporary:
            temporary.write_bytes(content)
        self._written[path] = hashlib.sha256(content).hexdigest()

    def write_unseen(self, folder: str, name: str, kind: str, content: bytes | str) -> None:
        """Write a file that the report does not show."""
        self.write(f"{folder}/{self._own(folder, name)}.{kind}", content)

    def write_table(self, table: Table, of: str = "", said: frozenset[str] = frozenset()) -> str:
        """Write `table` as CSV and LaTeX; returns it as Markdown without the notes that are `said`, with links."""
        table = replace(table, name=self._own("tables", table.name))
        paths = tuple((kind, f"tables/{table.name}.{end}") for kind, end in (("CSV", "csv"), ("LaTeX", "tex")))
        for (_, path), content in zip(paths, (table.csv(), table.latex())):
            self.write(path, content)
        self.links[of].append(Link(table.title, paths))
        return f"{table.markdown(said)}\n{' · '.join(f'[{kind}]({path})' for kind, path in paths)}"

    def write_plot(self, figure: plots.Figure | None, name: str, title: str, of: str = "") -> list[str]:
        """Write `figure` as PNG and SVG; returns it as Markdown, nothing where there is none."""
        if figure is None:
            return []
        name = self._own("plots", name)
        paths = tuple((kind, f"plots/{name}.{kind.lower()}") for kind in ("PNG", "SVG"))
        for kind, path in paths:
            self.write(path, plots.picture(figure, kind.lower()))
        self.links[of].append(Link(title, paths))
        return [f"![{title}]({paths[0][1]})\n\n[SVG]({paths[1][1]})"]

    @contextmanager
    def listed(self) -> Iterator[list[str]]:
        """While this lasts a report is written; then its files are listed, and an earlier report's others removed.

        Gives what was removed, known at the end. After an error nothing is, and the list has the files of both.
        """
        earlier, removed = read_list(self._out), []
        try:
            yield removed
            for path in list(earlier):
                if path not in self._written and _remove(self._out, path, earlier[path]):
                    removed.append(path)
            earlier = {}
        finally:
            if self._written:
                files = dict(sorted((earlier | self._written).items()))
                with replacing(self._out / LIST) as temporary:
                    temporary.write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")


def read_list(out: Path) -> dict[str, str]:
    """path -> sha256 of the files that an earlier report wrote into `out`; {} where that is not known."""
    try:
        files = json.loads((out / LIST).read_text(encoding="utf-8"))["files"]
        return {str(path): str(sha256) for path, sha256 in files.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _remove(out: Path, path: str, sha256: str) -> bool:
    """Remove a file that a list names, and its folder where that is empty then; False where it is not the report's.

    A list may come from anyone, so it is believed only of plain files inside the folder.
    """
    file = out / path
    try:
        inside = file.resolve().is_relative_to(out.resolve()) and not file.is_symlink()
        if not inside or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            return False
        file.unlink()
        for folder in file.parents:
            if folder == out or any(folder.iterdir()):
                break
            folder.rmdir()
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` once all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    yield temporary
    temporary.replace(path)
