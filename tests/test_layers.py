"""Imports go one way: a module imports only what is in its own layer or below, and no two import each other.

Read from the source: imports inside functions count too, those for type hints alone do not.
"""

from __future__ import annotations

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

# Low to high. Those of one line are one layer.
LAYERS = """
stopping
errors version
plugins settings
options
registry
step env
config
command_line
llm memory runs
clients bandit agent agents pool
main
experiments report
serve
scripts
"""
RANK = {name: rank for rank, line in enumerate(LAYERS.strip().splitlines()) for name in line.split()}


@functools.cache
def modules() -> dict[str, Path]:
    """The project's modules by name: memory.bank, env (its __init__), scripts.report."""
    folders = [path for path in ROOT.iterdir() if path.name in RANK and path.is_dir()]
    files = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    return {_name(path): path for path in files}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports(name: str) -> frozenset[str]:
    """What the module imports: modules of ours by full name, libraries by their first name."""
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = _imports(ast.parse(path.read_text(encoding="utf-8")), package)
    return frozenset(found - {name})


def _imports(node: ast.AST, package: str) -> set[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return set()
    if isinstance(node, ast.Import):
        return {_known(alias.name) for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        origin = ".".join([*above, *([node.module] if node.module else [])])
        return {_known(f"{origin}.{alias.name}") for alias in node.names}
    return {found for child in ast.iter_child_nodes(node) for found in _imports(child, package)}


def _known(name: str) -> str:
    """The module of ours that `name` is, or is something in; else the library's first name."""
    while name not in modules() and "." in name:
        name = name.rpartition(".")[0]
    return name


def edges() -> Iterator[tuple[str, str]]:
    return ((name, other) for name in modules() for other in imports(name) if other in modules())


def reach(name: str) -> set[str]:
    """All that importing the module's whole code can import, libraries too."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        new = imports(todo.pop()) - seen
        seen |= new
        todo += new & modules().keys()
    return seen


def layer(name: str) -> int:
    return RANK[name.partition(".")[0]]


def test_every_module_has_a_layer() -> None:
    assert len(modules()) > 100
    assert {name.partition(".")[0] for name in modules()} <= RANK.keys()


def test_nothing_imports_what_is_above_it() -> None:
    assert [f"{name} imports {other}" for name, other in sorted(edges()) if layer(other) > layer(name)] == []


def test_no_modules_import_each_other() -> None:
    graph = {name: imports(name) & modules().keys() for name in modules()}
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_policies_import_no_model_code() -> None:
    assert not reach("bandit") & {"transformers", "sentence_transformers"}
    assert not {name for name in reach("bandit") if name.startswith(("memory.encoders", "memory.pair_encoders"))}


def test_tasks_import_no_agent() -> None:
    for name in modules():
        if name.partition(".")[0] == "env":
            assert not {other.partition(".")[0] for other in imports(name)} & {"agent", "agents", "bandit"}, name
