"""Helpers of the tests that run scripts/run_experiments.py: a small figure against a server, as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import ROOT

from command_line import config_of
from helpers.fake_server import FakeServer, choose_option
from helpers.runs import run_folders, steps

SIZE = 16
METHODS = "method=zero-shot,method=icrl,method=icrl-plus"  # they need no encoder, so they start quickly


def slowly(prompt: str) -> str:
    """An answer that leaves a test the time to kill what asked."""
    time.sleep(0.2)
    return choose_option(prompt)


def very_slowly(prompt: str) -> str:
    """An answer that leaves a runner the time to stop what asked, however busy the machine is."""
    time.sleep(1)
    return choose_option(prompt)


def figure_argv(server: FakeServer, output: Path, *more: object) -> list[str]:
    """The runner's arguments for figure 3 on lfd, seeds 0 and 1, on the stream beside `output`: six runs."""
    where = ("--data", output.parent / "stream.jsonl", "--output_dir", output, "--llm", "m", "--port", server.port)
    return [str(word) for word in ("3", "--only", f"env=lfd,{METHODS}", "--seeds", "0-1", *where, *more)]


def start_runner(*argv: object, **options: Any) -> subprocess.Popen[str]:
    """`python scripts/run_experiments.py ARGV`, its output in pipes."""
    command = [sys.executable, str(ROOT / "scripts" / "run_experiments.py"), *map(str, argv)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def run_figure(*argv: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The runner from start to end."""
    process = start_runner(*argv, **options)
    stdout, stderr = process.communicate(timeout=200)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def wait_until(true: Callable[[], Any], seconds: float = 90) -> Any:
    """What `true` returns, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
    return value


def logged(output: Path) -> int:
    """How many steps the runs below `output` have logged."""
    return sum(len(steps(folder)) for folder in _begun(output))


def _begun(output: Path) -> list[Path]:
    return [folder for folder in run_folders(output) if (folder / "steps.jsonl").exists()]


def all_steps(output: Path) -> dict[str, list[dict[str, Any]]]:
    """The steps of every run below `output`, without times, by agent / llm / seed."""
    return {"/".join(folder.parts[-3:]): steps(folder) for folder in _begun(output)}


def processes(output: Path) -> dict[int, Path]:
    """The processes that carry out runs below `output`, by /proc, each with its run's folder."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")[:-1]
        except (OSError, ValueError):
            continue
        if len(words) > 2 and words[1].endswith("child.py") and str(output) in words:
            found[int(folder.name)] = output / config_of(words[3:]).run_name()
    return found


def in_the_middle(output: Path) -> int | None:
    """A process whose run has logged a few of its steps."""
    for process, folder in processes(output).items():
        if folder in _begun(output) and 3 <= len(steps(folder)) <= SIZE // 2:
            return process
    return None


def parent(process: int) -> int:
    """The process that started `process`."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.partition("PPid:")[2].split()[0])


def alive(process: int) -> bool:
    return os.path.exists(f"/proc/{process}")
