"""How the embedded reader plays a task with search tools.

It asks the first tool with the question, then with the name that the best passage gives where the question is most
alike, and answers with a span of what came back: the name or date in the clause that is most like what is left of the
question. Shown cases do not help it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from llm import Message, Reply

Encode = Callable[[list[str]], np.ndarray]
HOPS = 2  # tool calls it makes
AROUND = 5  # words on either side of a span that say what it is
DATE, NAME = r".*\d.*", r"\D+"  # shapes of an answer
_SPAN = re.compile(r"\d{1,2} [A-Z]\w+ \d{4}|\d{4}|[A-Z][\w'-]*(?: (?:(?:of|the) )?[A-Z][\w'-]*)*")
_RESULT = re.compile(r"^\[\d+\] ", re.MULTILINE)
_CLAUSE = re.compile(r"[^.;]+")


def search_reply(task: str, messages: list[Message], tools: list[dict[str, Any]], encode: Encode) -> Reply:
    """The next tool call, or the answer once HOPS are made, no tools are offered or there is no name to follow."""
    found = [_best_passage(message["content"]) for message in messages if message["role"] == "tool"]
    if tools and not found:
        return _call(tools[0], task)
    bridge = best_span(found[0], task, task, NAME, encode) if found else None
    if tools and bridge and len(found) < HOPS:
        return _call(tools[0], bridge)
    if not found:
        return Reply("I have no tool to look this up with.")
    known = {_stem(word) for word in re.findall(r"\w+", found[0])} if len(found) > 1 else set()
    open_question = " ".join(word for word in re.findall(r"\w+", task) if _stem(word) not in known)
    answer = best_span(found[-1], open_question, task, shape_of(task), encode)
    return Reply(f"\\boxed{{{answer}}}" if answer else "I found nothing that answers this.")


def _call(tool: dict[str, Any], query: str) -> Reply:
    arguments = json.dumps({"query": query}, ensure_ascii=False)
    function = {"name": tool["function"]["name"], "arguments": arguments}
    return Reply("", tool_calls=[{"type": "function", "function": function}])


def _best_passage(result: str) -> str:
    """The first of a tool's results, title line and text; empty where it has none."""
    return next((text for text in _RESULT.split(result)[1:]), "")


def shape_of(question: str) -> str:
    """A pattern that the answer should match, by the question word."""
    return DATE if re.match(r"when\b|in (?:which|what) year\b", question, re.IGNORECASE) else NAME


def best_span(passage: str, wanted: str, question: str, shape: str, encode: Encode) -> str | None:
    """The span of this shape, neither in the question nor in the title, whose clause is most like what is wanted."""
    title, _, text = passage.partition("\n")
    given = f"{question}\n{title}".casefold()
    spans = [
        (match[0], _surroundings(clause[0], match))
        for clause in _CLAUSE.finditer(text)
        for match in _SPAN.finditer(clause[0])
        if match[0].casefold() not in given and re.fullmatch(shape, match[0]) and not _opens(clause[0], match)
    ]
    if not spans:
        return None
    similarity = encode([around for _, around in spans]) @ encode([wanted])[0]
    return spans[int(np.argmax(similarity))][0]


def _opens(clause: str, match: re.Match[str]) -> bool:
    """Whether a single word is capital because it is the first of its sentence."""
    return " " not in match[0] and not clause[: match.start()].strip()


def _surroundings(clause: str, match: re.Match[str]) -> str:
    before, after = clause[: match.start()].split()[-AROUND:], clause[match.end() :].split()[:AROUND]
    return " ".join([*before, *after])


def _stem(word: str) -> str:
    return word.casefold()[:5]
