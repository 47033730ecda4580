"""The worker that runs programs: it has a program and its input, and neither test nor answers. Standard library only.

A request is {"program", "input", "imports", "seconds", "wait"}; the reply {"value", "seconds"} or {"error", "seconds"},
the seconds being the program's own. Every program runs in a fork. Libraries that the row needs are imported before it,
in the worker; those that only the program needs, in the fork, before its time begins.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import gc
import importlib
import math
import os
import pickle
import resource
import select
import signal
import struct
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = {
    *("numpy", "pandas", "scipy", "sklearn", "matplotlib", "mpl_toolkits", "torch", "tensorflow", "seaborn", "PIL"),
    *("statsmodels", "gensim", "xgboost", "yaml", "lightgbm", "torchvision", "dateutil", "pytz"),
}
MAX_VALUE = 2**24  # bytes of a result
MAX_ERROR = 500  # characters
IMPORTING = 30.0  # seconds for a program's own imports, on a busy machine
MARK = struct.Struct("=4sd")  # what a fork writes before the program runs: a word, and its CPU time so far
SEED = 0


def tools(folder: Path) -> dict[str, Any]:
    """Nothing that programs would find defined; where libraries may write while they are imported."""
    os.environ["MPLCONFIGDIR"] = os.getcwd()
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    quietly_import("pandas")  # without pyarrow, which the worker has hidden: as DS-1000's programs know it
    sys.modules.pop("pyarrow", None)  # scikit-learn asks only whether it is there
    return {}


def serve(request: dict[str, Any], kernel: ModuleType | None) -> dict[str, Any]:
    """Run a program in a fork, for at most so many seconds of its own and so long a wait."""
    import_all(request["imports"])
    worker = importlib.import_module("worker")
    read_end, write_end = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        try:
            run(request, write_end, lambda seconds: worker.confine(write_end, seconds, kernel, parent))
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        data, stopped = read_all(read_end, request["wait"])
    finally:
        os.close(read_end)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # whatever it still does: what it had to say was said
    _, status, usage = os.wait4(child, 0)
    return reply(data, stopped, usage.ru_utime + usage.ru_stime, request["seconds"])


def import_all(names: list[str]) -> None:
    """Import what can be; what cannot is for the program to find out."""
    missing = [name for name in names if name not in sys.modules]
    for name in missing:
        quietly_import(name)
    if missing:
        gc.freeze()


def quietly_import(name: str) -> None:
    worker = importlib.import_module("worker")
    with contextlib.redirect_stdout(worker.Silence()), contextlib.redirect_stderr(worker.Silence()):
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            importlib.import_module(name)


# -- in the fork -------------------------------------------------------------------------------------------------------


def run(request: dict[str, Any], pipe: int, confine: Callable[[int], None]) -> None:
    """Run the program and write its mark and its result; `confine` gives up for good what it may not do."""
    transfer = importlib.import_module("transfer")
    figures = transfer.Figures()
    environment = {"test_input": pickle.loads(base64.b64decode(request["input"]))}  # the examiner's, who is trusted
    for name in imported_by(request["program"]):
        quietly_import(name)
    figures.watch()
    seed()
    warnings.simplefilter("ignore")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = usage.ru_utime + usage.ru_stime
    confine(math.ceil(used + request["seconds"]))
    os.write(pipe, MARK.pack(b"mark", used))
    try:
        exec(compile(request["program"], "<program>", "exec"), environment)
        result = {"result": environment["result"]} if "result" in environment else {}
        text = b"V" + transfer.dumps(result | {"drawn": figures.state()})
    except BaseException as error:  # a program may raise anything, SystemExit included
        text = b"E" + describe(error)
    with open(pipe, "wb", closefd=False) as file:
        file.write(text)


def imported_by(program: str) -> list[str]:
    """The modules of known libraries that a program imports."""
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return [name for name in names if name.partition(".")[0] in LIBRARIES]


def seed() -> None:
    """Let what is random be the same in every run."""
    import random

    random.seed(SEED)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(SEED)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(SEED)


def describe(error: BaseException) -> bytes:
    try:
        return f"{type(error).__name__}: {error}"[:MAX_ERROR].encode(errors="replace")
    except BaseException:  # an error that cannot be printed
        return type(error).__name__.encode(errors="replace")


# -- in the worker -----------------------------------------------------------------------------------------------------


def read_all(pipe: int, wait: float) -> tuple[bytes, bool]:
    """What the fork writes until it ends, and whether it was stopped: late, or with more to say than anyone reads.

    The wait begins with the mark, which is written before the program can do anything.
    """
    data, deadline, begun = b"", time.monotonic() + IMPORTING, False
    pieces = []
    size = 0
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return b"".join(pieces), True
        data = os.read(pipe, 2**20)
        if not data:
            return b"".join(pieces), False
        pieces.append(data)
        size += len(data)
        if size > MAX_VALUE:
            return b"".join(pieces), True
        if not begun and size >= MARK.size:
            begun, deadline = True, time.monotonic() + wait


def reply(data: bytes, stopped: bool, cpu: float, seconds: float) -> dict[str, Any]:
    """What is said of a program that wrote `data`; only the mark in it is to be believed."""
    if len(data) < MARK.size:
        return {"error": "its imports did not end", "seconds": 0.0}
    _, before = MARK.unpack(data[: MARK.size])
    own, text = max(0.0, cpu - before), data[MARK.size :]
    if len(data) > MAX_VALUE:
        return {"error": f"its result is larger than {MAX_VALUE >> 20} MiB", "seconds": own}
    if stopped or own > seconds:
        return {"error": "it took too long", "seconds": own}
    if text[:1] == b"V":
        return {"value": base64.b64encode(text[1:]).decode(), "seconds": own}
    message = text[1 : 1 + MAX_ERROR].decode(errors="replace") if text[:1] == b"E" else "it ended without a result"
    return {"error": message, "seconds": own}
