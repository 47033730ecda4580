"""Completing programs of data-science libraries (DS-1000): pass@1, by running them in a sandbox.

A row is the benchmark's own: its `code_context` holds the program with the part to insert, what makes the inputs and
the right answers, and the test. A prompt shows the first of these and nothing of the others; where they are run, and
why no program can reach them, is said in env/tools/programs. Which Python runs them is --ds1000_python: the benchmark's
libraries are older than this project's, and with newer ones some reference answers are wrong. So each start says how
many are right, which bounds what any agent can score, and leaves out the rows whose libraries are not installed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import DataError, UserError

from .base import Env, twin_of
from .prompts import ds1000_prompt
from .tools.programs import Harness, Verdict
from .tools.programs.references import References
from .tools.sandbox.interpreter import Interpreter, ask

if TYPE_CHECKING:
    from config import Config
    from llm import LLM

OPTION = "--ds1000_python"
SECONDS = 3.0
INSERT = "[insert]"
MODULES = {"Sklearn": "sklearn", "Pytorch": "torch"}  # of a library, where it has another name than in lower case
PACKAGES = {  # that bring a module, where they have another name
    "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "PIL": ("pillow",),
    "yaml": ("PyYAML",),
    "mpl_toolkits": ("matplotlib",),
    "dateutil": ("python-dateutil",),
}
_ANSWER = re.compile(r"^A:[ \t]*$", re.MULTILINE)  # what follows is not the problem but the beginning of its answer
_SOLUTION = re.compile(r"^[#\s]*(?:BEGIN SOLUTION|SOLUTION START)\b.*", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"```[ \t]{0,8}(?:python3?|py)?[ \t]{0,8}\r?\n", re.IGNORECASE)
_CLOSING = re.compile(r"(?:\A|\n)[ \t]{0,80}```")
_TIDY = re.compile(r"\A(?:[ \t\r]*\n)+")


class DS1000(Env):
    """The reward is 1 where the program passes its row's test: `test_execution`, and `test_string` where there is one.

    A case is found by the problem's text alone, and shown with the part that was inserted.
    """

    name = "ds1000"
    fields = {"prompt": str, "reference_code": str, "code_context": str, "metadata": dict}
    prompts = ds1000_prompt
    labels_may_fail = True

    def __init__(self) -> None:
        super().__init__()
        self.allow_unsandboxed = False
        self.python: str | None = None
        self._harnesses: list[Harness] = []  # those of further instances too
        self.left_out: Counter[str] = Counter()  # absent module -> rows that need it

    def prepare(self, config: Config, make_llm: Callable[[Config], LLM]) -> None:
        self.allow_unsandboxed, self.python = config.allow_unsandboxed, config.ds1000_python

    def init_env(self) -> None:
        """Load the rows and leave out those that the interpreter cannot run.

        Raises UserError for an interpreter that does not run, DataError where it has none of the libraries.
        """
        super().init_env()
        kept = []
        for row in self.dataset:
            absent = self._absent(row)
            self.left_out.update(absent[:1])
            kept += [] if absent else [row]
        if not kept:
            raise DataError(
                f"{self.interpreter.executable} lacks {', '.join(self.left_out)}, so no row of {self.data_file.name} "
                f"can be run: install these there, or name another Python with {OPTION}"
            )
        self.dataset = kept

    def check_row(self, row: dict[str, Any]) -> str | None:
        if not isinstance(row["metadata"].get("library"), str):
            return "metadata has no text in the field 'library'"
        if read_test(row["code_context"]) is None:
            return f"code_context has no test_execution, or no exec_context with {INSERT}"
        return None if tidy(row["reference_code"]) else "the reference code is empty"

    # -- the interpreter -------------------------------------------------------------------------------------------

    @functools.cached_property
    def interpreter(self) -> Interpreter:
        """The Python that runs programs, with the versions of the modules that the rows need. Raises UserError."""
        found = shutil.which(os.path.expanduser(self.python)) if self.python else sys.executable
        if found is None:
            raise UserError(f"{OPTION} {self.python}: there is no such program; name a Python interpreter")
        needed = sorted({module.partition(".")[0] for row in self.dataset for module in modules_of(row)})
        packages = {module: PACKAGES.get(module, (module,)) for module in needed}
        return ask(Path(os.path.abspath(found)), packages, OPTION)

    def _absent(self, row: dict[str, Any]) -> list[str]:
        roots = dict.fromkeys(module.partition(".")[0] for module in modules_of(row))
        return [module for module in roots if module not in self.interpreter.found]

    @functools.cached_property
    def harness(self) -> Harness:
        made = Harness(self.interpreter, self.data_file.path, self.allow_unsandboxed, SECONDS)
        self._harnesses.append(made)
        return made

    def conditions(self) -> dict[str, Any]:
        """Python's and the libraries' versions: with others, other programs are right."""
        return {"ds1000_versions": {"python": self.interpreter.version, **dict(self.interpreter.found)}}

    def another(self) -> DS1000:
        """The same problems with a harness of its own, which runs one program at a time."""
        twin = twin_of(self)
        twin.__dict__.pop("harness", None)
        return twin

    def close(self) -> None:
        for harness in self._harnesses:
            harness.close()

    # -- what is told at the start ---------------------------------------------------------------------------------

    def details(self) -> dict[str, Any]:
        """The sandbox, the interpreter, and how many reference answers are right, library by library."""
        said: dict[str, Any] = {"sandbox": self.harness.protection}
        versions = ", ".join(f"{name} {version}" for name, version in self.interpreter.found.items())
        said["interpreter"] = f"Python {self.interpreter.version} ({self.interpreter.executable}), {versions}"
        right: dict[str, list[bool]] = defaultdict(list)
        wrong = []
        for row, verdict in self.references():
            right[row["metadata"]["library"]].append(verdict.passed)
            wrong += [] if verdict.passed else [str(row["metadata"].get("problem_id", "?"))]
        said["reference answers"] = [f"{name} {sum(each)} of {len(each)} right" for name, each in right.items()]
        if wrong:
            share = 1 - len(wrong) / len(self.dataset)
            ids = ", ".join(wrong[:20]) + ", ..." * (len(wrong) > 20)
            said["ceiling"] = f"{share:.3f}, for with these libraries the reference is wrong in the problems {ids}"
        if self.left_out:
            absent = ", ".join(f"{rows} for want of {module}" for module, rows in self.left_out.items())
            said["left out"] = f"{self.left_out.total()} rows: {absent}"
        return said

    def references(self) -> Iterator[tuple[dict[str, Any], Verdict]]:
        """Every row of the stream with the verdict on its reference, which is kept from one start to the next."""
        known = References(self.interpreter, SECONDS)
        todo = sum(row_hash(row) not in known for row in self.dataset)
        with known.progress(todo) as advance:
            for row in self.dataset:
                key = row_hash(row)
                if key not in known:
                    known.add(key, self._check(row, tidy(row["reference_code"])))
                    advance()
                yield row, known[key]

    # -- one step --------------------------------------------------------------------------------------------------

    def observe(self) -> str:
        """The problem alone, without the beginning of its answer."""
        return read_prompt(self.row["prompt"])[0]

    def prompt_context(self) -> dict[str, str]:
        test, given = read_test(self.row["code_context"]), read_prompt(self.row["prompt"])[1]
        program = test.program.strip("\n")
        if given:
            program = ds1000_prompt.GIVEN.format(given=given, program=program)
        drawn = self.row["metadata"]["library"] == "Matplotlib"
        inputs = f"{test.inputs} inputs" if test.inputs and test.inputs > 1 else "an input"
        lines = [ds1000_prompt.DRAWN if drawn else ds1000_prompt.COMPARED.format(inputs=inputs)]
        lines += [ds1000_prompt.TEXT] if test.reads_text else []
        return {"program": program, "test": "\n".join([*lines, ds1000_prompt.LIMIT.format(seconds=SECONDS)])}

    def extraction(self, text: str) -> str | None:
        """The first block of Python, or one without a language, its indentation kept; where there is none, the text."""
        text = text.encode(errors="replace").decode()  # halves of characters cannot be stored
        opening = _FENCE.search(text)
        return tidy(_CLOSING.split(text[opening.end() :], maxsplit=1)[0] if opening else text) or None

    def reward_function(self, answer: str) -> int:
        """Raises DataError where the interpreter lacks what the row needs, UserError where no sandbox works."""
        absent = self._absent(self.row)
        if absent:
            raise DataError(f"{self.interpreter.executable} has no {absent[0]}, which this row needs")
        return int(self._check(self.row, answer).passed)

    def _check(self, row: dict[str, Any], program: str) -> Verdict:
        return self.harness.check(row["code_context"], program, modules_of(row))

    def get_ground_truth(self) -> str:
        return tidy(self.row["reference_code"])

    def format_answer(self, answer: str) -> str:
        text = f"```python\n{answer}\n```"
        return text if self.extraction(text) == answer else answer


# -- reading a row -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Test:
    """What a prompt may say of a test: the program around the answer, how many inputs, whether text is checked."""

    program: str
    inputs: int | None
    reads_text: bool


@functools.lru_cache(maxsize=4096)
def read_test(context: str) -> Test | None:
    """The test in a `code_context`, read but not run; None where it is none."""
    tree = _parse(context)
    if tree is None:
        return None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    program = next((text for text in map(_assigned_program, tree.body) if text is not None), None)
    if program is None or INSERT not in program or "test_execution" not in functions:
        return None
    ranges = [
        node.iter.args[0].value
        for node in ast.walk(functions["test_execution"])
        if isinstance(node, ast.For)
        and isinstance(node.iter, ast.Call)
        and len(node.iter.args) == 1
        and isinstance(node.iter.args[0], ast.Constant)
    ]
    inputs = ranges[0] if ranges and isinstance(ranges[0], int) else None
    return Test(program, inputs, "test_string" in functions)


def _assigned_program(node: ast.stmt) -> str | None:
    """The text that `exec_context` is assigned, where the statement does that."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
        return None
    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    return node.value.value if "exec_context" in names and isinstance(node.value.value, str) else None


def read_prompt(prompt: str) -> tuple[str, str]:
    """(the problem, the beginning of its answer) of a `prompt`; the second is "" where the problem itself is code."""
    marks = list(_ANSWER.finditer(prompt))
    problem, given = (prompt[: marks[-1].start()], prompt[marks[-1].end() :]) if marks else (prompt, "")
    problem = re.sub(r"\A\s*Problem:[ \t]*\n", "", _SOLUTION.sub("", problem) if not marks else problem)
    given = _SOLUTION.sub("", given)
    return tidy(problem), tidy(given)


def modules_of(row: dict[str, Any]) -> tuple[str, ...]:
    """The modules that a row's test, program and reference import and Python itself has not; its library's first."""
    library = row["metadata"]["library"]
    test = read_test(row["code_context"])
    program = test.program.replace(INSERT, row["reference_code"]) if test else ""
    own = MODULES.get(library, library.lower())
    found = [own, *_imports(row["code_context"]), *_imports(program)]
    return tuple(dict.fromkeys(name for name in found if name.partition(".")[0] not in sys.stdlib_module_names))


@functools.lru_cache(maxsize=8192)
def _imports(code: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(_parse(code) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return tuple(names)


def _parse(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def tidy(code: str) -> str:
    """Code without blank lines around it; what stands before its first word on the line stays."""
    return _TIDY.sub("", code.rstrip()) if code.strip() else ""


def row_hash(row: dict[str, Any]) -> str:
    """What tells a reference answer and its test from others."""
    return hashlib.sha256(json.dumps([row["code_context"], row["reference_code"]]).encode()).hexdigest()
