"""Reads ever longer hostile answers with every parser, each within a limit of processor time.

    python tests/helpers/long_answers.py

It runs as a process of its own, because the system ends it at the limit even inside a regular expression or a C
function; what was being read stands last in its output. Each length is twice the one before. At the longest one the
quadratic parsers that there were took minutes, and a linear one takes a sixth of a second at most: far enough apart
that the limit says nothing about the speed of the machine.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from env import ENV_DICT, find_env  # noqa: E402
from env.families.game import read_reply  # noqa: E402
from env.labels import fold  # noqa: E402
from env.twowiki import normalise, read_call  # noqa: E402

LENGTHS = [2**15, 2**16, 2**17]
SECONDS = 10  # of processor time for one text
PIECES = [
    *"{ [ [] {a} {'a': \\boxed{ \\text{ ``` ```json ```sql \\\" ' [1, 1+ -".split(),
    *(
        '{"a":',
        '{"action":',
        '{"action": "a", "action_input": "{',
        '{"answer": "',
        "{'entity': '",
        "{'entity': 'a', 'label': ",
        "'label': 'positive'}",
        "[Action]",
        "[Thought]: *",
        "{  ",
    ),
]
# Repeated inside a frame: spaces, and accents in and out of order, some of which are accents only once taken apart.
FILLINGS = [" ", "\t ", "\u3000", " \n", "\u0301", "\u0301\u0323", "\u0f73", "\uff9e\u0301", "é\u0323"]
FRAMES = [("", ""), ("```", "!\nx"), ("```sql", "x"), ("['a", "]"), ("{'a': a", "}"), ("{'a': f'{a", "}'}")]
FRAMES += [("\\boxed{a", "}"), ("\\boxed", "{"), ("\\boxed{\\text", "{x}}"), ("[Action]", "")]


def texts(length: int) -> Iterator[str]:
    for piece in PIECES:
        yield piece * (length // len(piece))
    for before, after in FRAMES:
        for filling in FILLINGS:
            yield before + filling * (length // len(filling)) + after
    yield from ("[" * length + "]" * length, "\\boxed{" * length + "}" * length, "[[{" * 900 + "}]]" * 900)
    yield from (f"[{'9' * length}]", f"[{'-' * length}1]", f"{{'a': {'(' * 150}{' ' * length}{')' * 150}}}")


def parsers() -> dict[str, Callable[[str], Any]]:
    tasks = {find_env(name).extraction: find_env(name)() for name in ENV_DICT}  # many tasks share theirs
    return {env.name: env.extraction for env in tasks.values()} | {
        "normalise": normalise,
        "fold": fold,
        "read_reply": lambda text: read_reply(text, []),
        "read_call": lambda text: read_call({"function": {"name": text, "arguments": text}}, [text]),
    }


def main() -> None:
    for name, parse in parsers().items():
        for length in LENGTHS:
            for text in texts(length):
                print(f"{name} reads {length} characters like {text[:20]!r}...", flush=True)
                limit = int(time.process_time()) + SECONDS
                resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
                parse(text)
    print("all are read")


if __name__ == "__main__":
    main()
