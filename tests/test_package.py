"""What makes the checkout a package, and its paper trail: one version, the requirements once, every module."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from helpers.fake_server import serving
from helpers.runs import argv, lfd_stream, run_folder
from version import VERSION

BUILD = """
import pathlib, setuptools.build_meta as backend
print(backend.prepare_metadata_for_build_editable("built"))
"""


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an installer learns of the project, made without a network."""
    pytest.importorskip("setuptools")
    root = tmp_path_factory.mktemp("package")
    ignored = shutil.ignore_patterns(".*", "__pycache__", "results", "data", "tests", "docs")
    shutil.copytree(ROOT, root, ignore=ignored, dirs_exist_ok=True)
    (root / "built").mkdir()
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=root, capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (found,) = (root / "built").glob("*.dist-info")
    return found


def test_the_metadata_have_the_version_the_requirements_and_the_licence(metadata: Path) -> None:
    text = (metadata / "METADATA").read_text()
    assert f"\nVersion: {VERSION}\n" in text and "\nLicense-Expression: MIT\n" in text
    needed = set(re.findall(r"^Requires-Dist: ([\w.-]+)", text, re.M))
    listed = set(re.findall(r"^([\w.-]+)", (ROOT / "requirements.txt").read_text(), re.M))
    assert needed == listed and "torch" in needed
    assert "Requires-Dist: torch==2.13.0" in text


def test_the_command_is_main(metadata: Path) -> None:
    (name, module, function) = re.search(r"(\w+) = (\w+):(\w+)", (metadata / "entry_points.txt").read_text()).groups()
    assert (name, callable(getattr(importlib.import_module(module), function))) == ("dtl", True)


def test_every_module_at_the_root_is_part_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    listed = re.findall(r'"([\w*]+)"', text[text.index("py-modules") : text.index("[tool.setuptools.dynamic]")])
    packages = {path.parent.name + "*" for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"}
    assert set(listed) == {path.stem for path in ROOT.glob("*.py")} | packages


def test_there_is_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert citation["version"] == VERSION == newest[1]
    assert "Copyright (c) 2026 the authors of" in (ROOT / "LICENSE").read_text()


def test_the_citation_has_every_paper_that_the_documentation_names() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    cited = {reference["url"].rpartition("/")[2] for reference in citation["references"]}
    named = re.findall(r"\d{4}\.\d{5}", "".join((ROOT / page).read_text() for page in ("README.md", "docs/methods.md")))
    assert set(named) <= cited and len(cited) >= 6
    for reference in citation["references"]:
        assert reference["title"] and reference["authors"] and reference["type"] == "article"


def test_every_start_of_a_run_records_the_version(tmp_path: Path) -> None:
    import main

    lfd_stream(tmp_path, 2)
    with serving() as server:
        assert main.main(argv(server, tmp_path / "out", "--agent", "icrl")) == 0
    (start,) = yaml.safe_load((run_folder(tmp_path / "out") / "config.yaml").read_text())["starts"]
    assert start["version"] == VERSION


def test_the_image_needs_only_files_that_are_there() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert lines[2].startswith("FROM python:3.")
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied and all((ROOT / path).exists() for path in copied)
    assert any("-e ." in line for line in lines) and 'ENTRYPOINT ["python", "main.py"]' in lines
