"""What the tests share: one load of the embedded encoder, main.py as a process, and which tests are quick."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]  # the second for `_path`, which a script finds beside itself
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models here are small: threads would wait for each other

# What starts a process or a server of its own, loads a model, or plays a stream. A test is `quick` when nothing that
# it or its fixtures call in tests/ names one of these.
SLOW = {
    *("subprocess", "Popen", "run_cli", "OwnService", "MCPToolServer", "Sandbox", "sandbox", "SQLRunner"),
    *("TextEncoder", "text_encoder", "save_model", "save_chat_model", "sync_playwright", "ray"),
    *("run_seed", "lfd_stream", "open_index", "needs_real_data"),
}
SLOW_FILES = {"test_alfworld.py", "test_scienceworld.py", "test_ehr.py", "test_benchmark.py", "test_report_prompts.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests; keep tests that share a module's fixture on one worker."""
    for item in items:
        if isinstance(item, pytest.Function):
            if item.path.name not in SLOW_FILES and not SLOW & set(names(item)):
                item.add_marker("quick")
            if any(definition.scope in ("class", "module") for definition in fixtures(item)):
                item.add_marker(pytest.mark.xdist_group(item.path.name))


def fixtures(item: pytest.Function) -> list[Any]:
    """The definitions of all fixtures that the test uses."""
    found = item._fixtureinfo.name2fixturedefs
    return [found[name][-1] for name in item.fixturenames if name in found]


def names(item: pytest.Function) -> Iterator[str]:
    """Every name in the code of a test, of its fixtures and of the functions in tests/ that they call."""
    yield from item.fixturenames
    todo = [item.function, *(definition.func for definition in fixtures(item))]
    seen = set()
    while todo:
        function = todo.pop()
        if function in seen or not isinstance(function, FunctionType):
            continue
        seen.add(function)
        for name in code_names(function.__code__):
            yield name
            value = function.__globals__.get(name)
            if str(getattr(value, "__module__", "")).startswith(("helpers", "conftest", "test_", "tests.")):
                todo.append(getattr(value, "__wrapped__", value))


def code_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_names(constant)


@pytest.fixture(scope="session")
def text_encoder() -> TextEncoder:
    import torch

    from memory.encoders import EMBEDDED, TextEncoder

    return TextEncoder(EMBEDDED, torch.device("cpu"))


def run_cli(*arguments: object, timeout: float = 200, **options: object) -> subprocess.CompletedProcess[str]:
    """`python main.py ARGUMENTS` as a process of its own."""
    command = [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
