"""Any chat as a task: the query is what the user said, the answer is what the assistant wrote.

A template says how cases go into the message; this is the one that is used where none is given. A file of the user's
may have either of its two entries.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import yaml

from env.base import Case, Env
from errors import UsageError

TEMPLATE = {
    "case": "<case>\n{query}\n<answer>\n{answer}\n</answer>\n</case>",
    "message": (
        "Earlier messages like the one below, with answers that turned out well. Use them where they fit, and do not "
        "mention them.\n\n{cases}\n\n{query}"
    ),
}
FIELDS = {"case": {"query", "answer"}, "message": {"cases", "query"}}


class Chat(Env):
    """One question, one answer, judged by whoever asked."""

    name = "chat"

    def __init__(self) -> None:
        super().__init__()
        self.use(TEMPLATE)

    def use(self, template: dict[str, str]) -> None:
        """Show cases as `template` says."""
        self.ZERO_SHOT_PROMPT = "{task}"
        self.CASE_PROMPT, self.CBR_PROMPT = template["case"], template["message"]

    def get_zero_shot_prompt(self, problem: str) -> str:
        return problem

    def _render_case(self, case: Case) -> str:
        return self.CASE_PROMPT.format(query=case["task"], answer=case["answer"])

    def _with_cases(self, template: str, problem: str, rendered: list[str]) -> str:
        return template.format(cases="\n\n".join(rendered), query=problem)


def read_template(path: Path) -> dict[str, str]:
    """The template in a YAML file. Raises UsageError for what is none, OSError where it cannot be read."""
    try:
        said: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--template {path}: not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(said, dict) or not said or not set(said) <= set(FIELDS):
        raise UsageError(f"--template {path}: it must hold {' and '.join(FIELDS)}, each a text, and nothing else")
    for name, text in said.items():
        _check_entry(path, name, text)
    return TEMPLATE | said


def _check_entry(path: Path, name: str, text: Any) -> None:
    wanted = " and ".join(f"{{{field}}}" for field in sorted(FIELDS[name]))
    try:
        found = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
    except (ValueError, TypeError):
        found = set()
    if found != FIELDS[name]:
        raise UsageError(f"--template {path}: {name} must be a text with {wanted} (a brace of its own is doubled)")
