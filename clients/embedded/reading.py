"""What the embedded reader finds in a prompt: its parts, by their tags, and how alike they are to the task."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from memory.bank import Embedder

from .apis import read_apis

SAME_PROFILE = 0.8  # correlation of two texts' similarities to the options from which they count as alike
_CASE = re.compile(
    r"<case>\s*(?:<paragraphs>.*?</paragraphs>\s*)?<task>(.*?)</task>\s*<answer>(.*?)</answer>\s*</case>"
    r"(\s*Feedback: this answer was wrong)?",
    re.S,
)
_TASK = re.compile(r"<task>(.*?)</task>", re.S)
_OPTIONS = re.compile(r"<options>(.*?)</options>", re.S)
_SCHEMA = re.compile(r"<schema>(.*?)</schema>", re.S)
_PARAGRAPHS = re.compile(r"<paragraphs>(.*?)</paragraphs>", re.S)
_APIS = re.compile(r"<apis>(.*?)</apis>", re.S)


@dataclass(frozen=True)
class Reading:
    """What the reader found in a prompt. `case` is the shown case most similar to the task, (task, answer).

    Where a prompt documents APIs, what is said of each is an option.
    """

    task: str
    options: list[str]
    similarity: np.ndarray  # of each option to the task, [n options]
    schema: str
    case: tuple[str, str] | None
    case_similarity: float
    case_profile: float  # correlation of the case's and the task's similarities to the options
    apis: str = ""
    paragraphs: str = ""

    @property
    def ranked(self) -> list[str]:
        """The options, most similar first."""
        return [self.options[i] for i in np.argsort(-self.similarity, kind="stable")]

    @property
    def follows_case(self) -> bool:
        """Whether a shown case resembles the task more than any option does, and the same options as the task."""
        if self.case is None or not self.options:
            return self.case is not None
        return self.case_similarity > float(self.similarity.max()) and self.case_profile > SAME_PROFILE


def read_prompt(prompt: str, encoder: Embedder) -> Reading:
    """Find the prompt's parts and compare them with its task."""
    cases = [(task.strip(), answer.strip()) for task, answer, wrong in _CASE.findall(prompt) if not wrong]
    tasks = _TASK.findall(_CASE.sub("", prompt))
    task = tasks[-1].strip() if tasks else prompt
    listed = _OPTIONS.search(prompt)
    options = [line[2:].strip() for line in listed[1].splitlines() if line.startswith("- ")] if listed else []
    apis = _part(_APIS, prompt)
    options = options or [api.text for api in read_apis(apis)]
    query = encoder.encode([task])[0]
    similarity = encoder.encode(options) @ query
    case, case_similarity = None, -1.0
    for shown in cases:
        value = float(encoder.encode([shown[0]])[0] @ query)
        if value >= case_similarity:
            case, case_similarity = shown, value
    profile = 0.0
    if case is not None and len(options) > 1:
        profile = _correlation(similarity, encoder.encode(options) @ encoder.encode([case[0]])[0])
    schema, paragraphs = _part(_SCHEMA, prompt), _part(_PARAGRAPHS, _CASE.sub("", prompt))
    return Reading(task, options, similarity, schema, case, case_similarity, profile, apis, paragraphs)


def _part(pattern: re.Pattern[str], prompt: str) -> str:
    found = pattern.search(prompt)
    return found[1] if found else ""


def instruction_of(prompt: str) -> str:
    """What a prompt says before its first case, without its task and what it refers to."""
    head = prompt.partition("<case>")[0]
    for part in (_TASK, _OPTIONS, _SCHEMA, _APIS, _PARAGRAPHS):
        head = part.sub("", head)
    return head


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))
