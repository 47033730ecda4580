"""Code that a command line names by its place, so that a task, a policy or an agent needs no change of the checkout.

A place is `path/to/file.py:Class`, `package.module:Class`, or for agents also `path/to/file.yaml`. A file that is in a
package is imported as a part of it, any other as a module of its own, with its folder at the end of the path: it may
import the files beside it, and takes no name away from anyone.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from errors import UsageError, UserError

SUFFIXES = (".py", ".yaml", ".yml")


def is_outside(name: str | None) -> bool:
    """Whether `name` is a place, and not one of the names that the project's tables have."""
    return name is not None and (":" in name or name.endswith(SUFFIXES))


def resolve(name: str, folder: Path | None = None) -> str:
    """The place with its file's whole path, so that it holds in every folder; `folder` is where it was written."""
    path, attribute = split(name)
    if not path.endswith(SUFFIXES):
        return name
    whole = ((folder or Path.cwd()) / Path(path).expanduser()).resolve()
    return f"{whole}:{attribute}" if attribute else str(whole)


def split(name: str) -> tuple[str, str]:
    """(file or module, class or "") of a place."""
    if name.endswith(SUFFIXES):
        return name, ""
    place, _, attribute = name.rpartition(":")
    return place, attribute


def label(name: str) -> str:
    """How runs are called after it: file.Class, or the YAML file's stem; the same wherever the file lies."""
    if not is_outside(name):
        return name
    place, attribute = split(name)
    last = Path(place).stem if place.endswith(SUFFIXES) else place.rpartition(".")[2]
    return f"{last}.{attribute}" if attribute else last


def load(name: str) -> Any:
    """What the place names.

    Raises UsageError where there is no such file, module or class, UserError for a file that cannot be loaded, and
    ModuleNotFoundError for a package that it imports and that is not installed.
    """
    place, attribute = split(name)
    module = sys.modules[module_of(name)]
    if hasattr(module, attribute):
        return getattr(module, attribute)
    here = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    if not attribute:
        raise UsageError(f"{place} alone does not say which class: {place}:CLASS, with one of {', '.join(here)}")
    near = difflib.get_close_matches(attribute, here, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"{place} has no {attribute}.{hint} It has: {', '.join(here) or 'no class of its own'}")


def module_of(name: str) -> str:
    """The name of the place's module, which is imported now. Raises as `load`."""
    place, _ = split(name)
    return (_load_file(Path(place)) if place.endswith(".py") else _import(place)).__name__


def missing_package(name: str, error: ModuleNotFoundError) -> UserError:
    """The error for a place that imports a package which is not installed."""
    return UserError(f"{split(name)[0]} imports {error.name}, which is neither installed nor beside it")


def _import(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} is no module: name a class as path/to/file.py:Class or package.module:Class")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"there is no module {name}: {error.name} is not on the path of Python") from None


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{path} does not exist")
    name, folder = _in_package(path)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        return _as_part_of_package(name, path) if "." in name else _on_its_own(path)
    except (UserError, ModuleNotFoundError):
        raise
    except SyntaxError as error:
        raise UserError(f"{error.filename}:{error.lineno}: {error.msg}") from error
    except Exception as error:  # whatever the file does while it is loaded
        advice = ""
        if "relative import" in str(error):
            advice = ": outside the checkout, write `from env.base import Env` and name files beside it without a dot"
        raise UserError(f"{path} cannot be loaded ({type(error).__name__}: {error}){advice}") from error


def _in_package(path: Path) -> tuple[str, Path]:
    """The module's full name, and the folder that it is found from."""
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


def _as_part_of_package(name: str, path: Path) -> ModuleType:
    module = importlib.import_module(name)
    if Path(str(module.__file__)).resolve() != path:
        raise UsageError(f"{path} cannot be loaded: {name} is the name of {module.__file__} already")
    return module


@functools.cache
def _on_its_own(path: Path) -> ModuleType:
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"  # no other module's
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it is loaded
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
