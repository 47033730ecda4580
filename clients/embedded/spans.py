"""How the embedded reader answers from paragraphs: with a name or a date near what is like the question.

It does not put facts together. To a question for yes or no it says what the shown case says, else yes; to one that
offers two things ("X or Y"), the one whose paragraph is more like the question.
"""

from __future__ import annotations

import json
import re

import numpy as np

from memory.bank import Embedder

from .reading import Reading
from .search import best_span, shape_of

_CLOSED = re.compile(r"(?:is|are|was|were|do|does|did|has|have|had|can|could)\b", re.IGNORECASE)
_EITHER = re.compile(r"\bor\b", re.IGNORECASE)
_ANSWER = re.compile(r'"answer": "(yes|no)"')


def write_span(reading: Reading, encoder: Embedder) -> str | None:
    paragraphs = [part.strip() for part in reading.paragraphs.split("\n\n") if part.strip()]
    if not paragraphs:
        return reading.case[1] if reading.case else None
    return json.dumps({"answer": _answer(reading, paragraphs, encoder)}, ensure_ascii=False)


def _answer(reading: Reading, paragraphs: list[str], encoder: Embedder) -> str:
    question = reading.task
    similarity = encoder.encode(paragraphs) @ encoder.encode([question])[0]
    ranked = [paragraphs[i] for i in np.argsort(-similarity, kind="stable")]
    titles = [paragraph.partition("\n")[0] for paragraph in ranked]
    named = [title for title in titles if title.casefold() in question.casefold()]
    if _EITHER.search(question) and named:
        return named[0]
    if _CLOSED.match(question):
        shown = _ANSWER.search(reading.case[1]) if reading.case else None
        return shown[1] if shown else "yes"
    spans = (best_span(paragraph, question, question, shape_of(question), encoder.encode) for paragraph in ranked[:2])
    return next((span for span in spans if span), titles[0])
