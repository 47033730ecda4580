"""The process that runs model-written scripts; started by runner.py behind a protection, standard library only.

It imports what scripts use, says "ready", and then answers each JSON line {"code": ...} with one line {"answer": ...}
or {"error": ...}, or {"ended": ...} where something outside ended the script; other requests go to the tools module's
own `serve(request, kernel)`. Every script runs in a fork of its own,
which can only write its answer into a pipe: whatever the script does to its Python, the worker reads text from that
pipe and nothing else.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import io
import json
import math
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

MAX_RESULT = 50_000  # bytes of an answer or error, as JSON
MAX_DEPTH = 20  # lists within lists in an answer
MAX_ERROR = 1_000  # characters of an error shown to the model
OPEN_FILES = 64


class Silence(io.TextIOBase):
    """Where a script's output goes."""

    def write(self, text: str) -> int:
        return len(text)


def main() -> None:
    settings = json.loads(sys.argv[1])
    sys.path += settings["path"]
    sys.modules["pyarrow"] = None  # pandas works without it and starts in half the time
    module = importlib.import_module(settings["tools"])
    names = module.tools(Path(settings["folder"]))
    importlib.import_module("lifeline").end_with(os.getppid())
    seccomp = importlib.import_module("seccomp")
    if settings["strict"] and not seccomp.available():
        raise OSError(f"system calls cannot be refused on {sys.platform} {os.uname().machine}")
    kernel = seccomp if seccomp.available() else None
    limit(resource.RLIMIT_CORE, 0)
    with contextlib.suppress(ValueError):  # macOS cannot limit it
        limit(resource.RLIMIT_AS, settings["memory"])
    gc.freeze()
    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if "code" in request:
            say(run_apart(request["code"], names, settings["seconds"], kernel))
        else:
            say(module.serve(request, kernel))


def say(reply: dict[str, Any]) -> None:
    print(json.dumps(reply), flush=True)


def limit(kind: int, value: int) -> None:
    resource.setrlimit(kind, (value, value))


def run_apart(code: str, names: dict[str, Any], seconds: int, kernel: ModuleType | None) -> dict[str, Any]:
    """Run `code` in a fork and return its result."""
    read_end, write_end = os.pipe()
    worker, child = os.getpid(), os.fork()
    if child == 0:
        try:
            confine(write_end, seconds, kernel, worker)
            result = run_script(code, names)
            with open(write_end, "w", encoding="utf-8") as pipe:
                pipe.write(result)
        finally:
            os._exit(0)  # whatever happened: only the worker goes on from here
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        text = pipe.read(MAX_RESULT + 1)
    if len(text) > MAX_RESULT:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    if kernel and len(text) <= MAX_RESULT and ended_from_outside(status, usage.ru_utime + usage.ru_stime, seconds):
        return {"ended": f"signal {os.WTERMSIG(status)}"}
    return read_result(text, status)


def ended_from_outside(status: int, cpu_seconds: float, limit_seconds: int) -> bool:
    """Whether a signal ended the script that it could not send itself and that its CPU limit did not send either."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return number in (signal.SIGTERM, signal.SIGHUP) or number == signal.SIGKILL and cpu_seconds < 0.9 * limit_seconds


def confine(pipe: int, seconds: int, kernel: ModuleType | None, worker: int) -> None:
    """Leave the script its pipe, its limits and the calls that computing needs."""
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), Silence(), Silence()
    for low, high in ((0, pipe), (pipe + 1, 1024)):
        os.closerange(low, high)
    for _ in range(3):
        os.open(".", os.O_RDONLY)  # SQLite wants the first three numbers taken; this can be neither read nor written
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # SIGXCPU, and SIGKILL for those deaf to it
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    importlib.import_module("lifeline").end_with(worker)
    if kernel:
        kernel.give_up_calls()


def run_script(code: str, names: dict[str, Any]) -> str:
    """The script's result as JSON: {"answer": the variable `answer`, as plain values} or {"error": what went wrong}."""
    namespace = {"__name__": "__main__", "__builtins__": builtins} | names
    try:
        exec(compile(code, "<script>", "exec"), namespace)
        if "answer" not in namespace:
            raise NameError("the script did not set the variable `answer`")
        return json.dumps({"answer": plain(namespace["answer"])})
    except BaseException as error:  # a script may raise anything, SystemExit included
        return json.dumps({"error": plain(describe(error, code))})


def plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """`value` in JSON's types: numpy's and pandas' values by their contents, sets sorted, anything else as text."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if not depth:
        raise ValueError(f"the answer has more than {MAX_DEPTH} lists within each other")
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth - 1)
    if hasattr(value, "to_numpy"):
        return plain(value.to_numpy(), depth - 1)
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, depth - 1) for item in value), key=str)
    if isinstance(value, Iterable) and not isinstance(value, (bytes, dict)):
        return [plain(item, depth - 1) for item in value]
    return str(value)


def describe(error: BaseException, code: str) -> str:
    """Type, message and the script's line, as the model is shown them."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<script>":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = code.splitlines()
    where = f"\nin line {line}: {lines[line - 1].strip()}" if line and line <= len(lines) else ""
    message = f"{type(error).__name__}: {error}"
    return message[:MAX_ERROR] + where[:MAX_ERROR]


def read_result(text: bytes, status: int) -> dict[str, Any]:
    """The result in what a fork wrote, believed only where it is one."""
    if len(text) > MAX_RESULT:
        return {"error": f"the answer is longer than {MAX_RESULT} bytes"}
    with contextlib.suppress(ValueError, RecursionError):
        result = json.loads(text)
        if isinstance(result, dict) and len(result) == 1:
            return {kind: plain(value) for kind, value in result.items() if kind in ("answer", "error")}
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    ended = "used up its CPU time" if number in (signal.SIGXCPU, signal.SIGKILL) else f"was ended by signal {number}"
    return {"error": f"the script {ended}" if number else "the script ended without an answer"}


if __name__ == "__main__":
    main()
