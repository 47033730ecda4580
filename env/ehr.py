"""Questions over hospital records, answered by scripts (EHRAgent on MIMIC-III), in up to five tries.

Each try sees the error of the one before. A script runs in the sandbox, which has the tables and five functions to
read them with, and nothing else of the machine. What is retained is the script that gave the right answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import Ask, Env, twin_of
from .parsing import last_code_block, python_literal
from .prompts import ehr_prompt
from .tools import ehr_tables
from .tools.sandbox import Outcome, Sandbox

if TYPE_CHECKING:
    from config import Config
    from llm import LLM

TRIES = 5
TOOLS = Path(__file__).resolve().parent / "tools"
_TRUTH = {"true": "1", "false": "0"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE)


class EHR(Env):
    """The reward is 1 where the script's `answer` says the same as the label (see `atoms`)."""

    name = "ehr"
    single_turn = False
    fields = {"task": str, "label": (str, int, float, bool, list)}
    prompts = ehr_prompt
    packages = ("pandas", "numpy")  # what scripts compute with

    def __init__(self) -> None:
        super().__init__()
        self.allow_unsandboxed = False
        self._latest: tuple[str, Outcome] | None = None  # the script that ran last and what it came to
        self._sandboxes: list[Sandbox] = []  # those of further instances too

    def prepare(self, config: Config, make_llm: Callable[[Config], LLM]) -> None:
        self.allow_unsandboxed = config.allow_unsandboxed

    def details(self) -> dict[str, Any]:
        return {"sandbox": self.sandbox.protection}

    def another(self) -> EHR:
        """The same questions with a sandbox of its own."""
        twin = twin_of(self)
        twin.__dict__.pop("sandbox", None)
        twin._latest = None
        return twin

    def close(self) -> None:
        for sandbox in self._sandboxes:
            sandbox.close()

    def init_env(self) -> None:
        super().init_env()
        self.tables  # noqa: B018  (missing tables are found now, not at the first question)

    def check_row(self, row: dict[str, Any]) -> str | None:
        return None if atoms(row["label"]) else "the label says nothing"

    @cached_property
    def tables(self) -> dict[str, Path]:
        """The tables' CSV files by name."""
        return ehr_tables.find_tables(self.data_file.folder / "source")

    @cached_property
    def sandbox(self) -> Sandbox:
        files = {f"{name}.csv": path for name, path in self.tables.items()}
        files[ehr_tables.DATABASE] = ehr_tables.find_database(self.data_file.folder / "source", self.tables)
        modules = [TOOLS / "sql_worker.py"]
        made = Sandbox(TOOLS / "ehr_tools.py", modules, files, self.data_file.path, self.allow_unsandboxed)
        self._sandboxes.append(made)
        return made

    # -- one step --------------------------------------------------------------------------------------------------

    def interact(self, prompt: str, ask: Ask) -> str:
        """Ask for a script until one leaves an answer, at most five times; each try sees the last one and its error."""
        self.turns = []
        question = {"role": "user", "content": prompt}
        messages = [question]
        for _ in range(TRIES):
            text = ask(messages)
            outcome = self._run(self.extraction(text))
            self.turns.append({"output": text, "answer": outcome.answer, "error": outcome.error})
            if outcome.error is None:
                break
            retry = ehr_prompt.RETRY_PROMPT.format(error=outcome.error)
            messages = [question, {"role": "assistant", "content": text}, {"role": "user", "content": retry}]
        return text

    def extraction(self, text: str) -> str | None:
        """The last ```python block, or else an unlabelled one."""
        return last_code_block(text, "python") or last_code_block(text, "")

    def reward_function(self, answer: str) -> int:
        outcome = self._run(answer)
        return int(outcome.error is None and atoms(outcome.answer) == atoms(self.row["label"]))

    def _run(self, script: str | None) -> Outcome:
        if script is None:
            return Outcome(error="there is no script in a ```python block")
        if self._latest is None or self._latest[0] != script:
            self._latest = script, self.sandbox.run(script)
        return self._latest[1]

    def get_ground_truth(self) -> str:
        """A script that is right: the row's own where it has one, else one that states the label."""
        return self.row.get("script") or f"answer = {self.row['label']!r}"

    def format_answer(self, answer: str) -> str:
        return f"```python\n{answer}\n```"

    def prompt_context(self) -> dict[str, str]:
        return {"tables": self._table_list}

    @cached_property
    def _table_list(self) -> str:
        """Every table and its columns, one table a line."""
        columns = ehr_tables.read_columns(self.tables)
        return "\n".join(f"- {name}: {', '.join(names)}" for name, names in columns.items())


def atoms(value: Any) -> list[str]:
    """What an answer says, in a form to compare: its single values, numbers to two decimals, in an order of their own.

    Lists and texts come apart at every level and comma, because GetValue joins values by commas and SQL gives rows:
    "a, b", ["b", "a"] and [("a",), ("b",)] say the same. True is 1 and False is 0.
    """
    if isinstance(value, str) and value.strip().startswith("["):
        listed = python_literal(value, list)
        value = value if listed is None else listed
    if isinstance(value, list):
        return sorted(atom for item in value for atom in atoms(item))
    parts = (part.strip() for part in str(value).split(","))
    return sorted(_normal_form(part) for part in parts if part)


def _normal_form(text: str) -> str:
    text = _TRUTH.get(text.lower(), text)
    if not _NUMBER.fullmatch(text):
        return text
    try:
        return str(round(Decimal(text), 2) + 0)  # + 0 turns -0.00 into 0.00
    except InvalidOperation:  # more digits than Decimal rounds
        return text
