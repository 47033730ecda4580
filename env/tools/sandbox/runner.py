"""The run's side of the sandbox: start a worker, send it a script, wait no longer than the deadline."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import UserError

from . import protection
from .interpreter import Interpreter, current

MAX_CODE = 100_000  # characters
START_SECONDS = 60.0  # for a worker to import its libraries, on a busy machine
ENVIRONMENT = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class Outcome:
    """What a script came to: its answer in JSON's types, or why it has none."""

    answer: Any = None
    error: str | None = None


class WorkerFailed(Exception):
    """The worker did not start or ended; the message is what it wrote about that."""


class Sandbox:
    """Runs one script at a time.

    Args:
        tools: the module whose function `tools(folder)` returns the names that scripts may use; it and `modules` are
            all of the project that the worker sees.
        files: what `folder` holds, by name.
        secret: the file that no script may reach; it must not lie in what is shown.
        seconds: deadline of a script, wall-clock and CPU.
        memory: address space of a script, bytes.
        python: the interpreter that the worker runs in (default: this one).
        writable: whether the worker has an empty folder of its own to write into; scripts may not.
    """

    def __init__(
        self,
        tools: Path,
        modules: list[Path],
        files: Mapping[str, Path],
        secret: Path,
        allow_unsandboxed: bool = False,
        seconds: float = 60.0,
        memory: int = 2 * 2**30,
        python: Interpreter | None = None,
        writable: bool = False,
    ) -> None:
        own = [protection.HERE / "worker.py", protection.HERE / "seccomp.py", protection.HERE.parent / "lifeline.py"]
        code = {path.name: path for path in [*own, tools, *modules]}
        self._python = python or current()
        self._tree = protection.make_tree(code, files, self._python, writable)
        self._tree.check_hides(secret)
        self._secret = secret.resolve()
        self._tools = tools.stem
        self._memory = memory
        self._candidates = protection.candidates(allow_unsandboxed)
        self._protection: str | None = None
        self._worker: subprocess.Popen[bytes] | None = None
        self._scratch: tempfile.TemporaryDirectory | None = None  # for a worker that nothing hides the machine from
        self._unread = b""
        self.seconds = seconds

    @property
    def protection(self) -> str:
        """The active protection: bubblewrap, namespaces, or UNPROTECTED. Raises UserError where none is allowed."""
        if self._protection is None:
            self._protection = self._first_that_works()
        return self._protection

    def run(self, code: str) -> Outcome:
        """Run a script in a process of its own and return what it came to.

        Raises UserError where no worker starts, or something outside ends the script or its worker again and again:
        no script can do that, so it is none's fault.
        """
        if len(code) > MAX_CODE:
            return Outcome(error=f"the script is longer than {MAX_CODE} characters")
        try:
            return self._run_once(code)
        except WorkerFailed:
            pass
        try:
            return self._run_once(code)
        except WorkerFailed as error:
            raise UserError(
                f"a script's process was ended twice from outside ({error}): has the machine {self._memory >> 20} MiB "
                "of memory for it? Nothing of this step was scored"
            ) from None

    def _run_once(self, code: str) -> Outcome:
        try:
            return Outcome(**self.ask({"code": code}, self.seconds))
        except TimeoutError:
            return Outcome(error=f"the script was stopped after {self.seconds:g} seconds")

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The worker's reply to a request that its tools module knows (`serve`), or to a script.

        Raises TimeoutError where there is none after `seconds`, WorkerFailed where something outside ended the worker
        or what it ran, UserError where no worker starts. The worker is then closed.
        """
        self._ensure_worker()
        try:
            self._send(request)
            reply = self._receive(time.monotonic() + seconds)
        except BaseException:  # an interrupt, say: this request's reply must not be taken for the next one's
            self.close()
            raise
        if "ended" in reply:
            raise WorkerFailed(reply["ended"])
        return reply

    def close(self) -> None:
        """End the worker and all that it started; the next script starts another."""
        worker, self._worker, self._unread = self._worker, None, b""
        if worker is not None:
            _end(worker)
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def _ensure_worker(self) -> None:
        """Have a worker that is alive; one that was ended between two scripts is no fault of the next one."""
        name = self.protection
        if self._worker is not None and self._worker.poll() is not None:
            self.close()
        if self._worker is None:
            try:
                self._start(name)
            except (WorkerFailed, TimeoutError) as error:
                self.close()
                raise UserError(f"the sandbox ({name}) does not start any more: {error}") from None

    def _first_that_works(self) -> str:
        reasons = []
        for name in self._candidates:
            try:
                self._start(name)
                self._send({"code": f"import os\nanswer = os.path.exists({str(self._secret)!r})"})
                reached = self._receive(time.monotonic() + START_SECONDS).get("answer")
                if reached is False or name == protection.UNPROTECTED:
                    return name
                reasons.append(f"{name}: it does not hide {self._secret}")
            except (WorkerFailed, TimeoutError) as error:
                reasons.append(f"{name}: {error}")
            self.close()
        tried = "; ".join(reasons) or "it has neither bubblewrap nor Linux namespaces"
        raise UserError(
            f"no sandbox for model-written Python works on this machine ({tried}). Install bubblewrap, or run in a "
            "throw-away machine with --allow_unsandboxed, which lets scripts read what you can read"
        )

    def _start(self, name: str) -> None:
        settings = {
            "path": [protection.CODE, *self._python.folders],
            "tools": self._tools,
            "folder": protection.FILES,
            "seconds": max(1, round(self.seconds)),
            "memory": self._memory,
            "strict": name != protection.UNPROTECTED,
        }
        command = [str(self._python.executable), "-I", "-S", f"{protection.CODE}/worker.py", json.dumps(settings)]
        folder = Path("/")
        if name == protection.UNPROTECTED:
            self._scratch = tempfile.TemporaryDirectory(prefix="scripts-")
            folder = Path(self._scratch.name)
        self._worker = subprocess.Popen(
            protection.PROTECTIONS[name](self._tree, command, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT | {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ},
            cwd=folder,
            start_new_session=True,  # Ctrl-C at the terminal is for the run to handle
        )
        weakref.finalize(self, _end, self._worker)
        self._receive(time.monotonic() + START_SECONDS)

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._worker.stdin.write(json.dumps(request).encode() + b"\n")
            self._worker.stdin.flush()
        except BrokenPipeError:
            raise WorkerFailed("it ended") from None

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The worker's next line. Raises TimeoutError at the deadline, WorkerFailed where no line comes."""
        output, pieces = self._worker.stdout, [self._unread]
        ready = select.poll()  # select() knows no file beyond the 1,024th that a process has open
        ready.register(output, select.POLLIN)
        while b"\n" not in pieces[-1]:
            if not ready.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
                raise TimeoutError("no answer in time")
            data = os.read(output.fileno(), 2**16)
            if not data:
                _kill(self._worker)
                message = self._worker.stderr.read().decode(errors="replace").strip()
                raise WorkerFailed(message.splitlines()[-1] if message else "it ended")
            pieces.append(data)
        last, _, self._unread = pieces.pop().partition(b"\n")
        return json.loads(b"".join([*pieces, last]))


def _kill(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def _end(worker: subprocess.Popen[bytes]) -> None:
    _kill(worker)
    for stream in (worker.stdin, worker.stdout, worker.stderr):
        with contextlib.suppress(BrokenPipeError):  # a request that was never read
            stream.close()
