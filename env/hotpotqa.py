"""Multi-hop questions over given paragraphs (HotpotQA, distractor setting): two hold the answer, the others do not."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .base import Case, Env
from .matching import normalise_words, word_f1
from .parsing import json_value
from .prompts import hotpotqa_prompt

if TYPE_CHECKING:
    from config import Config
    from llm import LLM

CLOSED = ("yes", "no")  # answers that a part of is nothing


class HotpotQA(Env):
    """The reward is 1 when the answer equals the label after SQuAD's normalisation; the metric `f1` is of its words.

    A case is found by its question, and shown without its paragraphs unless --case_paragraphs asks for them.
    """

    name = "hotpotqa"
    fields = {"task": str, "label": str, "paragraphs": list}
    prompts = hotpotqa_prompt

    def __init__(self) -> None:
        super().__init__()
        self._shows_paragraphs = False

    def prepare(self, config: Config, make_llm: Callable[[Config], LLM]) -> None:
        self._shows_paragraphs = config.case_paragraphs

    def check_row(self, row: dict[str, Any]) -> str | None:
        if not row["label"].strip():
            return "the label is empty"
        for paragraph in row["paragraphs"]:
            if not isinstance(paragraph, dict) or not all(
                isinstance(paragraph.get(part), str) for part in ("title", "text")
            ):
                return f"the paragraph {paragraph!r} has no title or no text"
        return None

    def prompt_context(self) -> dict[str, str]:
        return {"paragraphs": written(self.row)}

    def _render_case(self, case: Case) -> str:
        row = self._by_question.get(case["task"]) if self._shows_paragraphs else None
        if row is None:
            return super()._render_case(case)
        template, shown = hotpotqa_prompt.CASE_WITH_PARAGRAPHS, written(row)
        answer = "(no answer in the required form)" if case["answer"] is None else self.case_answer(case["answer"])
        return template.format(task=case["task"], answer=answer, paragraphs=shown)

    @functools.cached_property
    def _by_question(self) -> dict[str, dict[str, Any]]:
        return {row["task"]: row for row in self.dataset}

    # -- scoring ---------------------------------------------------------------------------------------------------

    def extraction(self, text: str) -> str | None:
        """The answer in the last JSON object that has one, else the whole text."""
        text = text.encode(errors="replace").decode()  # halves of characters cannot be stored
        found = json_value(text, dict)
        answer = found.get("answer") if found else None
        if isinstance(answer, int | float) and not isinstance(answer, bool):
            answer = str(answer)
        return (answer if isinstance(answer, str) else text).strip() or None

    def evaluate(self, generated_text: str) -> tuple[Any, int]:
        self.step_metrics["f1"] = 0.0
        return super().evaluate(generated_text)

    def reward_function(self, answer: str) -> int:
        given, right = normalise_words(answer), normalise_words(self.get_ground_truth())
        closed = given in CLOSED or right in CLOSED
        self.step_metrics["f1"] = float(given == right) if closed else word_f1(given, right)
        return int(given == right)

    def get_ground_truth(self) -> str:
        return str(super().get_ground_truth()).strip()

    def format_answer(self, answer: str) -> str:
        text = json.dumps({"answer": answer}, ensure_ascii=False)
        return text if self.extraction(text) == answer else answer


def written(row: dict[str, Any]) -> str:
    """A row's paragraphs as a prompt shows them, each a line of title and a line of text."""
    parts = ((" ".join(one["title"].split()), " ".join(one["text"].split())) for one in row["paragraphs"])
    return "\n\n".join(f"{title}\n{text}" for title, text in parts)
