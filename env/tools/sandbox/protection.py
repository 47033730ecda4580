"""What stands between a script and the machine, by what the machine can do.

In order: bubblewrap; Linux namespaces made by our own namespaces.py; nothing, which must be asked for. The first two
show the worker the same tree, all of it read-only: Python and its libraries, the system's shared libraries, the files
that were given, and an empty working folder. There is no /proc, /dev, /home or /tmp, no network, and no process of
the machine to be seen.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from errors import UserError

from .interpreter import Interpreter, current

HERE = Path(__file__).resolve().parent
CODE, FILES, WORK = "/sandbox", "/files", "/work"  # where the worker finds its code, its files and itself
SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/alternatives")
DEVICES = ("/dev/null", "/dev/urandom")  # torch is not imported without them
UNPROTECTED = "none: scripts can read what you can read"


@dataclass(frozen=True)
class Tree:
    """What a worker may see: path inside -> file or folder outside, and symbolic links inside."""

    shown: Mapping[str, Path]
    links: Mapping[str, str]
    writable: bool = (
        False  # the working folder, in memory, for what libraries write when they are imported; and DEVICES
    )

    def check_hides(self, secret: Path) -> None:
        """Raises UserError where a folder that is shown as a whole holds `secret`."""
        for inside, source in self.shown.items():
            if source.is_dir() and secret.resolve().is_relative_to(source.resolve()):
                raise UserError(f"{secret} lies in {inside}, which scripts may read: move it elsewhere")


def interpreter() -> Path:
    """The real Python executable of this process."""
    return current().executable


def make_tree(
    code: Mapping[str, Path], files: Mapping[str, Path], python: Interpreter | None = None, writable: bool = False
) -> Tree:
    """The tree with modules `code` and data `files` by name, and all that `python` (default: this one) needs."""
    python = python or current()
    base = python.executable.parent.parent
    needed = [python.executable, *(base / name for name in ("lib", "lib64")), *map(Path, python.folders)]
    paths = {str(path): path for path in needed if os.path.exists(path)}
    links = {path: os.readlink(path) for path in SYSTEM if Path(path).is_symlink()}
    paths |= {path: Path(path) for path in SYSTEM if path not in links and Path(path).exists()}
    covered = [p for p in paths if any(Path(p) != q and Path(p).is_relative_to(q) for q in paths.values())]
    shown = {inside: path for inside, path in paths.items() if inside not in covered}
    shown |= {device: Path(device) for device in DEVICES if writable}
    shown |= {f"{CODE}/{name}": path for name, path in code.items()}
    shown |= {f"{FILES}/{name}": path for name, path in files.items()}
    return Tree({inside: path.resolve() for inside, path in shown.items()}, links, writable)


def bubblewrap(tree: Tree, command: list[str], scratch: Path) -> list[str]:
    """`command` behind bwrap."""
    options = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for inside, path in tree.shown.items():
        options += ["--dev-bind" if path.is_char_device() else "--ro-bind", str(path), inside]
    for inside, target in tree.links.items():
        options += ["--symlink", target, inside]
    work = ["--tmpfs" if tree.writable else "--dir", WORK]
    return [shutil.which("bwrap"), *options, *work, "--remount-ro", "/", "--chdir", WORK, "--", *command]


def namespaces(tree: Tree, command: list[str], scratch: Path) -> list[str]:
    """`command` behind namespaces.py."""
    shown = {inside: str(path) for inside, path in tree.shown.items()}
    plan = json.dumps(
        {"shown": shown, "links": dict(tree.links), "work": WORK, "writable": tree.writable, "command": command}
    )
    return [str(interpreter()), "-I", "-S", str(HERE / "namespaces.py"), plan]


def unprotected(tree: Tree, command: list[str], scratch: Path) -> list[str]:
    """`command` with the whole machine in view, in a tree of links below `scratch`."""
    own = {inside: path for inside, path in tree.shown.items() if inside.startswith((f"{CODE}/", f"{FILES}/"))}
    for inside, path in own.items():
        link = scratch / inside.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return [word.replace(CODE, f"{scratch}{CODE}").replace(FILES, f"{scratch}{FILES}") for word in command]


PROTECTIONS: dict[str, Callable[[Tree, list[str], Path], list[str]]] = {
    "bubblewrap": bubblewrap,
    "namespaces": namespaces,
    UNPROTECTED: unprotected,
}


def candidates(allow_unsandboxed: bool) -> list[str]:
    """The protections to try on this machine, best first."""
    names = ["bubblewrap"] if shutil.which("bwrap") else []
    names += ["namespaces"] if sys.platform == "linux" else []
    return [*names, UNPROTECTED] if allow_unsandboxed else names
