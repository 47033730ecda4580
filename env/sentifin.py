"""Entity sentiment (SEntFiN): what a financial headline means for each entity that it mentions."""

from __future__ import annotations

import re
from typing import Any

from .base import Env
from .parsing import python_literal
from .prompts import sentifin_prompt

SENTIMENTS = ("positive", "negative", "neutral")
# One entry of an answer. Its quotes are whichever the writer took, and an apostrophe in the name may be left unescaped.
# The repeats are bounded so that no text takes long; a name has no braces, nor half characters, which cannot be stored.
ENTRY = re.compile(
    r"""\{\s{0,4}(['"])entity\1\s{0,4}:\s{0,4}(['"])([^{}\n\ud800-\udfff]{1,300}?)\2\s{0,4},"""
    rf"""\s{{0,4}}(['"])label\4\s{{0,4}}:\s{{0,4}}(['"])({"|".join(SENTIMENTS)})\5\s{{0,4}}\}}""",
    re.IGNORECASE,
)


class SEntFiN(Env):
    name = "sentifin"
    fields = {"task": str, "label": list}
    prompts = sentifin_prompt

    def check_row(self, row: dict[str, Any]) -> str | None:
        if not row["label"]:
            return "the label names no entity"
        for entry in row["label"]:
            if not isinstance(entry, dict) or not isinstance(entry.get("entity"), str) or not entry["entity"].strip():
                return f"the label's entry {entry!r} names no entity"
            if entry.get("label") not in SENTIMENTS:
                return f"unknown label {entry.get('label')!r} of {entry['entity']!r}: none of {', '.join(SENTIMENTS)}"
        return None

    def extraction(self, text: str) -> list[dict[str, str]] | None:
        """Every entry in the text, in order; None where there is none."""
        entries = [_entry(_unescape(match[3], match[2]), match[6]) for match in ENTRY.finditer(text)]
        return [entry for entry in entries if entry["entity"]] or None

    def reward_function(self, answer: list[dict[str, str]]) -> int:
        return int(answer == self.get_ground_truth())

    def get_ground_truth(self) -> list[dict[str, str]]:
        return [_entry(entry["entity"], entry["label"]) for entry in self.row["label"]]

    def format_answer(self, answer: list[dict[str, str]]) -> str:
        return "\n".join(map(repr, answer))


def _entry(entity: str, label: str) -> dict[str, str]:
    return {"entity": " ".join(entity.split()), "label": label.lower()}


def _unescape(entity: str, quote: str) -> str:
    """Undo the backslashes of a string literal; a name that is no valid literal stays as it is written."""
    literal = python_literal(f"[{quote}{entity}{quote}]") if "\\" in entity else None
    return literal[0] if literal else entity
