"""The run's side: carry messages between examiner and student, and hand back the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from errors import UserError

from ..sandbox import Sandbox
from ..sandbox.interpreter import Interpreter
from ..sandbox.runner import MAX_CODE, WorkerFailed

HERE = Path(__file__).resolve().parent
MEMORY = 4 * 2**30  # address space; the libraries alone take more than one of the four
PATIENCE = 3.0  # how much longer than its own time a program may take by the clock, on a busy machine
EXAMINING = 30.0  # CPU seconds of a test: to make its inputs, and to compare
WAITING = 200.0  # seconds by the clock for a test, libraries' imports included
GRACE = 20.0  # more than that, and the worker itself is gone


@dataclass(frozen=True)
class Verdict:
    """Whether a program has passed its test, or why not."""

    passed: bool
    error: str | None = None


class Harness:
    """Runs one program at a time.

    Args:
        python: the interpreter of programs and tests.
        secret: the file with tests and answers, which no program may reach.
        seconds: what a program may take of CPU time in all its runs on a test's inputs, imports of libraries apart.
    """

    def __init__(
        self, python: Interpreter, secret: Path, allow_unsandboxed: bool = False, seconds: float = 3.0
    ) -> None:
        def worker(tools: str, *modules: str) -> Sandbox:
            paths = [HERE / f"{name}.py" for name in (*modules, "transfer")]
            return Sandbox(
                HERE / f"{tools}.py",
                paths,
                {},
                secret,
                allow_unsandboxed,
                memory=MEMORY,
                python=python,
                writable=True,
            )

        self.student, self.examiner = worker("student"), worker("examiner", "student")
        self.seconds = seconds

    @property
    def protection(self) -> str:
        """What keeps programs from the machine. Raises UserError where nothing does that is allowed."""
        return self.student.protection

    def check(self, test: str, program: str, imports: Sequence[str] = ()) -> Verdict:
        """Whether `program` passes `test`.

        Raises UserError where no worker starts or one is ended from outside again and again: no program can do that.
        """
        if len(program) > MAX_CODE:
            return Verdict(False, f"the program is longer than {MAX_CODE} characters")
        try:
            return self._check_once(test, program, list(imports))
        except (WorkerFailed, TimeoutError):
            pass
        try:
            return self._check_once(test, program, list(imports))
        except (WorkerFailed, TimeoutError) as error:
            raise UserError(
                f"a program's process was ended twice from outside, or not answered ({error}): has the machine "
                f"{MEMORY >> 20} MiB of memory for it? Nothing of this step was scored"
            ) from None

    def close(self) -> None:
        """End the workers; the next program starts others."""
        self.student.close()
        self.examiner.close()

    def _check_once(self, test: str, program: str, imports: list[str]) -> Verdict:
        left = self.seconds
        self._start()
        request = {"test": test, "program": program, "imports": imports, "seconds": EXAMINING, "wait": WAITING}
        try:
            said = self.examiner.ask(request, WAITING + GRACE)
            while "exec" in said:
                told = self._run(said, imports, left)
                left = max(0.0, left - told.pop("seconds"))
                said = self.examiner.ask(told, WAITING + GRACE)
        except BaseException:  # the examiner waits for an answer that will not come
            self.close()
            raise
        return Verdict(bool(said["passed"]), said.get("error"))

    def _run(self, asked: dict, imports: list[str], seconds: float) -> dict:
        request = {"program": asked["exec"], "input": asked["input"], "imports": imports, "seconds": seconds}
        return self.student.ask(request | {"wait": PATIENCE * self.seconds}, WAITING + GRACE)

    def _start(self) -> None:
        """Find the protections before the first program: looking for one starts workers."""
        self.student.protection  # noqa: B018
        self.examiner.protection  # noqa: B018
