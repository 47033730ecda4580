"""What makes a task the task it is: hashes of its code, prompts, labels and own rows.

They are part of a run's identity: one that was begun with others is another run.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import plugins
from step import as_plain

from .base import Env
from .labels import LabelSet

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ("ZERO_SHOT_PROMPT", "CASE_PROMPT", "CBR_PROMPT")
# What tasks have in common is the project's, and the commit in config.yaml says which it was.
SHARED = {f"env.{name}" for name in ("base", "blocks", "data", "labels", "parsing", "sources", "prompts.layout")}


def templates_of(env: Env) -> dict[str, str]:
    """The task's prompt templates by name, those that it has."""
    found = {name: getattr(env, name, None) or getattr(env, name.lower(), None) for name in TEMPLATES}
    return {name: template for name, template in found.items() if isinstance(template, str)}


def task_code(env: Env) -> dict[str, str]:
    """Hashes by name: the modules of the task's class with those that they import, its prompt templates, its labels."""
    hashes = code_of(part.__module__ for part in type(env).__mro__ if issubclass(part, Env) and part is not Env)
    hashes["prompts"] = sha256(json.dumps(templates_of(env), sort_keys=True))[:16]
    labels = getattr(env, "labels", None)
    if isinstance(labels, LabelSet):
        hashes["labels"] = sha256(json.dumps(labels.names))[:16]
    return hashes


def code_of(modules: Iterable[str]) -> dict[str, str]:
    """Hashes by path of the `modules` and of those beside them, or of their package, that they import."""
    hashes: dict[str, str] = {}
    todo, seen = list(modules), {Env.__module__}
    while todo:
        name = todo.pop()
        module = sys.modules[name]
        if name in seen or not str(getattr(module, "__file__", None)).endswith(".py"):
            continue
        seen.add(name)
        path, code_hash, imported = _read(module)
        hashes[path] = code_hash
        todo += imported
    return dict(sorted(hashes.items()))


@functools.cache
def _read(module: ModuleType) -> tuple[str, str, tuple[str, ...]]:
    """(path, hash, the task's modules that it imports) of a module, as it was when this process first asked.

    What runs is what was loaded: a file that is edited between the seeds of one process is not what they are played by.
    """
    path = Path(str(module.__file__)).resolve()
    source = path.read_bytes()
    shown = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    imported = {name for name in _imports(ast.parse(source), module.__package__) if _is_the_tasks(name, module)}
    return shown, hashlib.sha256(source).hexdigest()[:16], tuple(sorted(imported))


@functools.cache
def hash_file(path: Path) -> str:
    """The hash of a file that is no module (the rules of an agent), as it was when this process first asked."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def is_of_checkout(place: str) -> bool:
    """Whether a place package.module:Class is the project's own: the commit in config.yaml says which it was."""
    path, _ = plugins.split(place)
    file = getattr(sys.modules[plugins.module_of(place)], "__file__", None)
    return not path.endswith(".py") and Path(str(file)).resolve().is_relative_to(ROOT)


def _imports(tree: ast.Module, package: str | None) -> Iterator[str]:
    """The full names that the module's top imports; some are of what is in a module, not of modules."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            origin = importlib.util.resolve_name(relative, package) if node.level else relative
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _is_the_tasks(name: str, task: ModuleType) -> bool:
    """Whether the module `name`, which `task` imports, is of the same package or beside it, and not what all share."""
    module = sys.modules.get(name)
    if module is None or hasattr(module, "__path__") or name in SHARED or name.startswith("env.tools."):
        return False
    folder, file = Path(str(task.__file__)).resolve().parent, getattr(module, "__file__", None)
    beside = file is not None and Path(file).resolve().parent == folder != ROOT
    return beside or name.partition(".")[0] == task.__name__.partition(".")[0]


def hash_rows(rows: list[dict[str, Any]]) -> str:
    """sha256 of rows that a task loads itself, the same in every process; what is no plain value counts by its text."""
    return sha256(json.dumps(rows, ensure_ascii=False, default=_stable))


def _stable(value: Any) -> Any:
    return as_plain(value) if isinstance(value, set | frozenset) else str(value)


def sha256(text: str) -> str:
    """The hash of a text, whatever characters it has."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
