"""A task of one's own: as a class in this process, and as files that a process of their own loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import env as envs
from env.base import Env
from helpers.fake_server import FakeServer

ROWS = [{"task": f"number {i}", "label": "odd" if i % 2 else "even"} for i in range(12)]


class Parity(Env):
    """Even or odd; the rows belong to this module."""

    name = "parity"

    def __init__(self) -> None:
        super().__init__()
        self.ZERO_SHOT_PROMPT = "even or odd? {task}"
        self.CASE_PROMPT = "{task}: {answer}"
        self.CBR_PROMPT = "{case_prompt}\neven or odd? {task}"

    def init_env(self) -> None:
        self.dataset = ROWS


def use(monkeypatch: pytest.MonkeyPatch, task: type[Env]) -> None:
    """Let `--env lfd` be `task`: the names that `--env` takes are read once."""
    monkeypatch.setitem(envs.ENV_DICT, "lfd", task)


def right(prompt: str) -> str:
    """The right answer to each of `Parity`'s tasks."""
    return "odd" if int(prompt.split()[-1]) % 2 else "even"


def argv(server: FakeServer, output: Path, *more: object) -> list[str]:
    """main.py's arguments for a run on `use`'s task."""
    where = ("--llm", "m", "--port", server.port, "--output_dir", output)
    return [str(word) for word in ("--env", "lfd", *where, *more)]


TASK = """
from env.base import Env
from my_prompts import CBR, OPENING

ROWS = [{"task": f"number {i}", "label": "odd" if i % 2 else "even"} for i in range(12)]


class Parity(Env):
    def __init__(self):
        super().__init__()
        self.ZERO_SHOT_PROMPT = OPENING + " {task}"
        self.CASE_PROMPT, self.CBR_PROMPT = "{task}: {answer}", CBR
        self.dataset = ROWS
"""
PROMPTS = """
OPENING = "even or odd?"
CBR = "{case_prompt} even or odd? {task}"
"""
MAIN = "import sys, env; env.ENV_DICT['parity'] = 'my_task:Parity'; import main; sys.exit(main.main(sys.argv[1:]))"


def write_task(folder: Path, task: str = TASK, prompts: str = PROMPTS) -> Path:
    """my_task.py and my_prompts.py in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "my_task.py").write_text(task, encoding="utf-8")
    (folder / "my_prompts.py").write_text(prompts, encoding="utf-8")
    return folder


def play(folder: Path, server: FakeServer, *more: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """main.py as a process on the task in `folder`; runs go to results/ there."""
    where: tuple[Any, ...] = (
        "--env",
        "parity",
        "--llm",
        "m",
        "--port",
        server.port,
        "--output_dir",
        folder / "results",
    )
    path = os.pathsep.join([str(ROOT), str(folder)])
    settings = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | variables
    command = [sys.executable, "-c", MAIN, *map(str, (*where, *more))]
    return subprocess.run(command, capture_output=True, text=True, env=settings, timeout=120)
