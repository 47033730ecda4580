"""The Python that runs what a model wrote: this one, or another that a task was told to use."""

from __future__ import annotations

import functools
import json
import os
import site
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from errors import UserError

OLDEST = (3, 9)  # what the sandbox's own code needs
SECONDS = 60.0  # for an interpreter to say what it is, on a busy machine
PROBE = """
import importlib.metadata as m, importlib.util as u, json, os, site, sys
found = {}
for name, packages in json.loads(sys.argv[1]).items():
    if u.find_spec(name) is None:
        continue
    found[name] = "unknown"
    for package in packages:
        try:
            found[name] = m.version(package)
            break
        except m.PackageNotFoundError:
            pass
folders = site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])
print(json.dumps({"executable": os.path.realpath(sys.executable), "version": sys.version.split()[0],
    "folders": [f for f in folders if os.path.isdir(f)], "found": found}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python and where its packages are.

    Attributes:
        executable: the real one; it finds its standard library by where it lies.
        folders: where installed packages are; the script folder and PYTHONPATH are not among them.
        found: the version of each module that was asked for and is there.
    """

    executable: Path
    folders: tuple[str, ...]
    version: str = sys.version.split()[0]
    found: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def current() -> Interpreter:
    """The one that runs this."""
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    return Interpreter(Path(sys.executable).resolve(), tuple(folder for folder in folders if os.path.isdir(folder)))


def ask(path: Path, modules: Mapping[str, Iterable[str]], option: str) -> Interpreter:
    """What the interpreter `path` says of itself and of `modules`: name -> the packages that may bring it.

    It runs as the user's own program. Raises UserError, which names the `option` that chose it, where it is no Python
    that can be used.
    """
    wanted = json.dumps({name: list(packages) for name, packages in modules.items()})
    try:
        done = subprocess.run(
            [str(path), "-c", PROBE, wanted], capture_output=True, text=True, timeout=SECONDS, cwd="/"
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{option} {path} does not run ({reason}): name a Python interpreter") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{option} {path} did not say what it is within {SECONDS:g} s: name a Python") from None
    try:
        said = json.loads(done.stdout)
        version = str(said["version"])
        executable, folders = Path(said["executable"]), tuple(map(str, said["folders"]))
        found = {str(name): str(text) for name, text in said["found"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{option} {path} is no Python interpreter of {'.'.join(map(str, OLDEST))} or later") from None
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise UserError(f"{option} {path} is Python {version}: {'.'.join(map(str, OLDEST))} or later is needed")
    return Interpreter(executable, folders, version, found)
