"""Tasks that a package of its own decides name it, so that a run's record can hold its version."""

from __future__ import annotations

import importlib.metadata
import re

import pytest
from conftest import ROOT

from env import find_env

NAMED = {
    "alfworld": {"alfworld", "textworld"},
    "alfworld-react": {"alfworld", "textworld"},
    "scienceworld": {"scienceworld"},
    "scienceworld-react": {"scienceworld"},
    "2wiki": {"mcp", "bm25s", "faiss-cpu"},
}


@pytest.mark.parametrize("task", NAMED)
def test_a_task_names_the_packages_that_decide_its_steps(task: str) -> None:
    packages = find_env(task).packages
    assert NAMED[task] <= set(packages)
    listed = re.findall(r"^[\w-]+", (ROOT / "requirements-envs.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert NAMED[task] <= set(listed)
    try:
        importlib.metadata.version(packages[0])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{packages[0]} of requirements-envs.txt is missing")
    for package in packages:  # as it is called where versions are asked for
        assert importlib.metadata.version(package)
