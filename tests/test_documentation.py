"""Every command in README, CONTRIBUTING and docs/ runs, as printed, in a copy of the checkout.

A block of commands begins with ```bash. What cannot run here says so and why, as in ```bash no-ci: needs a GPU. LLM
servers are stood in for on loopback, and `python` is a script that makes runs short which name no length themselves.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

from helpers.fake_server import FakeServer, serving

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"bash", "python", ""}
NEEDS = {"2wiki": "mcp", "benchmark.py retrieval": "bm25s", "benchmark.py envs": "mcp", "solutions": "scienceworld"}
# `python` in the copy. A run without --limit gets a short one, a figure is planned only, and of the checks that
# scripts/test.sh starts only their presence is tried: they are what runs this.
PYTHON = """#!/usr/bin/env bash
case "$1 ${2:-}" in
    "main.py "*)
        [[ " $* " == *" --limit "* ]] || set -- "$@" --limit 4
        [[ " $* " != *" --llm "* ]] || set -- "$@" --server 127.0.0.1 --port "$STAND_IN" ;;
    "scripts/run_experiments.py "*) set -- "$@" --dry-run ;;
    "scripts/simulate.py"*) set -- "$@" --steps 8 --seeds 2 --policies zero-shot EvidenceLogUCB ;;
    "scripts/benchmark.py policies") set -- "$@" --steps 24 --policies Random LinLogUCB ;;
    "scripts/benchmark.py envs") set -- "$@" --steps 1 --envs 2wiki ;;
    "scripts/benchmark.py concurrency") set -- "$@" --tiny ;;
    "scripts/benchmark.py retrieval") set -- "$@" --methods bm25 --passages 1000 ;;
    "scripts/benchmark.py bank") set -- "$@" --cases 2000 --queries 5 ;;
    "scripts/benchmark.py solutions") set -- "$@" --variations 1 ;;
    "-m "*) set -- -m "$2" --version ;;
esac
exec {real} "$@"
"""


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, the words after its fence, and what it holds."""

    page: Path
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*) *([^\n]*)\n(.*?)^```$", text, re.S | re.M)
    return [Block(page, text.count("\n", 0, m.start()) + 1, m[1], m[2], m[3]) for m in found]


BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = [block for block in BLOCKS if block.language == "bash" and not block.note]
PART = re.compile(r"# \S+\.py\b")  # of a recipe: test_recipe.py puts it into the file that its first line names
SCRIPTS = [block for block in BLOCKS if block.language == "python" and not PART.match(block.text)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is shipped, whose .venv is this interpreter, with everything installed."""
    root = tmp_path_factory.mktemp("checkout") / "tree"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "results", "report-*")
    shutil.copytree(ROOT, root, ignore=ignored)
    for folder in (root / "data").iterdir():
        for other in folder.iterdir():
            if other.name != "sample":
                shutil.rmtree(other) if other.is_dir() else other.unlink()
    programs = root / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(PYTHON.replace("{real}", sys.executable), encoding="utf-8")
    (programs / "python").chmod(0o755)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n', encoding="utf-8")
    requirements = sorted(root.glob("requirements*.txt"))
    for path in requirements:
        stamp = "".join(path.read_text(encoding="utf-8") for path in requirements)
        (root / ".venv" / f".installed-{path.name}").write_text(stamp, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    """Answers as every LLM that the documentation names."""
    names = {name for block in BLOCKS for name in re.findall(r"--llm (\S+)", block.text)}
    with serving() as server:
        server.models["data"] = [{"id": name, "object": "model"} for name in sorted(names)]
        yield server


def run(command: list[str], copy: Path, server: FakeServer) -> None:
    environment = os.environ | {
        "PATH": f"{copy / '.venv' / 'bin'}:{os.environ['PATH']}",
        "STAND_IN": str(server.port),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{server.port}/v1",
    }
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_run(block: Block, copy: Path, server: FakeServer) -> None:
    for words, package in NEEDS.items():
        if words in block.text and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is missing")
    shutil.rmtree(copy / "results", ignore_errors=True)  # no run is finished before it begins
    run(["bash", "-euo", "pipefail", "-c", block.text], copy, server)


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_python_runs_after_the_commands_of_its_page(block: Block, copy: Path, server: FakeServer) -> None:
    shutil.rmtree(copy / "results", ignore_errors=True)
    for earlier in [other for other in COMMANDS if other.page == block.page and other.line < block.line][-1:]:
        run(["bash", "-euo", "pipefail", "-c", earlier.text], copy, server)
    run([str(copy / ".venv" / "bin" / "python"), "-c", block.text], copy, server)
    assert list((copy / "results").rglob("summary.json"))
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")))
    for log in (copy / "results").rglob("steps.jsonl"):
        assert json.loads(log.read_text(encoding="utf-8").splitlines()[-1]).keys() <= explained


def test_what_does_not_run_here_says_why() -> None:
    assert {block.language for block in BLOCKS} <= LANGUAGES
    notes = [block.note for block in BLOCKS if block.note]
    assert notes and all(re.fullmatch(r"no-ci: (needs|downloads|serves) .+", note) for note in notes)
    nowhere = [note for note in notes if not re.search(r"tests/test_\w+\.py runs it", note)]
    assert 2 * len(COMMANDS) > 3 * len(nowhere)  # most of what is printed is run


def test_readme_is_short_and_begins_with_the_two_commands() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 170
    commands = [line.partition("#")[0].strip() for line in blocks(readme)[0].text.splitlines()]
    assert commands == ["bash scripts/quickstart.sh", "bash scripts/test.sh"]


def test_links_lead_to_files() -> None:
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))]
    inside = [(page, link.partition("#")[0]) for page, link in links if "://" not in link]
    assert len(inside) > 20
    assert [f"{page.name}: {link}" for page, link in inside if not (page.parent / link).exists()] == []
