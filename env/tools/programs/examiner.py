"""The worker that has the test: it makes the inputs, knows the answers, and compares. Standard library only.

A request is {"test", "program", "imports", "seconds"}. The test is code that defines `test_execution(program)`, and
perhaps `test_string(program)`, as DS-1000 has it; wherever it would run the program with `exec`, this asks for the
result instead: it says {"exec": code, "input": pickled} and is told {"value": ...} or {"error": ...}. It ends with
{"passed": true or false, "error": why not}. The program is to this process nothing but a text.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import math
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

MAX_FILE = 2**25  # bytes that a test may write: pictures
MAX_VERDICT = 4_000


class ProgramFailed(Exception):
    """The program gave no result."""


def tools(folder: Path) -> dict[str, Any]:
    """Nothing; but this worker's own folder is where it works."""
    return importlib.import_module("student").tools(folder)


def serve(request: dict[str, Any], kernel: ModuleType | None) -> dict[str, Any]:
    """Let a fork go through the test; it speaks for itself until it knows the verdict."""
    student = importlib.import_module("student")
    student.import_all(request["imports"])
    desk = Path(os.environ["MPLCONFIGDIR"]) / "desk"
    shutil.rmtree(desk, ignore_errors=True)
    desk.mkdir()
    read_end, write_end = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        try:
            os.close(read_end)
            verdict = examine(request, desk, parent)
            os.write(write_end, json.dumps(verdict).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        return read_verdict(read_end, child, request["wait"])
    finally:
        os.close(read_end)


def read_verdict(pipe: int, child: int, wait: float) -> dict[str, Any]:
    deadline, data = time.monotonic() + wait, b""
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(pipe, MAX_VERDICT) if ready else b""
        data += piece
        if not piece:
            break
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        return json.loads(data)
    except ValueError:
        return {"passed": False, "error": "the comparison did not end"}


# -- in the fork -------------------------------------------------------------------------------------------------------


def examine(request: dict[str, Any], desk: Path, parent: int) -> dict[str, Any]:
    """Run the test on the program's text. Raises nothing."""
    channel = Channel()
    worker, student = importlib.import_module("worker"), importlib.import_module("student")
    importlib.import_module("lifeline").end_with(parent)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), worker.Silence(), worker.Silence()
    os.chdir(desk)
    limit = math.ceil(request["seconds"])
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    worker.limit(resource.RLIMIT_FSIZE, MAX_FILE)
    warnings.simplefilter("ignore")
    student.seed()
    try:
        run_test(request["test"], request["program"], channel)
        return {"passed": True}
    except BaseException as error:  # an assertion, most of the time; its text may hold the answer
        known = isinstance(error, (ProgramFailed, importlib.import_module("transfer").Unreadable))
        said = student.describe(error).decode() if known else f"the test ends with {type(error).__name__}"
        return {"passed": False, "error": said}


def run_test(test: str, program: str, channel: Channel) -> None:
    """Raises where the program fails the test."""
    names: dict[str, Any] = {"__name__": "test", "exec": channel.run}
    exec(compile(test, "<test>", "exec"), names)
    names["test_execution"](program)
    if not channel.asked:
        raise ProgramFailed("the test has not run it")
    if "test_string" in names:
        names["test_string"](program)


class Channel:
    """The way to whoever runs the program. `run` stands in for `exec`."""

    def __init__(self) -> None:
        self._out, self._in = os.dup(1), os.dup(0)
        self.asked = 0

    def run(self, code: str, names: dict[str, Any]) -> None:
        """Have `code` run elsewhere on names["test_input"], and put its result into `names`."""
        transfer = importlib.import_module("transfer")
        self.asked += 1
        data = pickle.dumps(names.get("test_input"), protocol=4)
        self._say({"exec": code, "input": base64.b64encode(data).decode()})
        told = json.loads(self._hear())
        if "value" not in told:
            raise ProgramFailed(told["error"])
        value = transfer.loads(base64.b64decode(told["value"]), self.expects_masks())
        if not isinstance(value, dict):
            raise ProgramFailed("it sent no result")
        if isinstance(value.get("drawn"), dict) and value["drawn"]:
            transfer.show(value["drawn"])
        if "result" in value:
            names["result"] = value["result"]

    def expects_masks(self) -> bool:
        """Whether the answer that the test has is a masked array, so that a result may be one too."""
        numpy = sys.modules.get("numpy")
        frame = sys._getframe(2)
        answers = [frame.f_locals.get("expected_result")]
        answers += answers[0] if isinstance(answers[0], (list, tuple)) else []
        return numpy is not None and any(isinstance(answer, numpy.ma.MaskedArray) for answer in answers)

    def _say(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._out, data) :]

    def _hear(self) -> bytes:
        pieces: list[bytes] = []
        while not pieces or not pieces[-1].endswith(b"\n"):
            piece = os.read(self._in, 2**20)
            if not piece:
                os._exit(0)  # nobody is there any more
            pieces.append(piece)
        return b"".join(pieces)
