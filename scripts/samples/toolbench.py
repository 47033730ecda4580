"""The toolbench sample: requests to invented APIs, and those APIs' documentation beside the rows."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from env.toolbench import APIS

from .facts import load_facts
from .wording import expand, start_upper

facts = load_facts("toolbench")
ROWS_PER_API = 10


def rows(rng: random.Random, folder: Path) -> list[dict[str, str]]:
    """Write the documentation to `folder` and return ten requests for each API, shuffled; none is there twice."""
    lines = []
    drawn: dict[str, dict[str, str]] = {}
    for api in facts.apis:
        documentation = _documentation(api["name"], api["documentation"])
        lines.append({"name": api["name"], "documentation": documentation, "exact": api["exact"]})
        wanted, turn = len(drawn) + ROWS_PER_API, 0
        while len(drawn) < wanted:
            values = _draw(rng)
            task = start_upper(expand(api["requests"][turn % len(api["requests"])], rng, values))
            arguments = {name: _typed(name, expand(text, rng, values), api) for name, text in api["input"].items()}
            drawn.setdefault(task, {"api_name": api["name"], "api_input": json.dumps(arguments, ensure_ascii=False)})
            turn += 1
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / APIS).write_text(text, encoding="utf-8")
    result = [{"task": task, **call} for task, call in drawn.items()]
    rng.shuffle(result)
    return result


def _draw(rng: random.Random) -> dict[str, str]:
    """One value for every name; of a pair, the first under the name and the second under name:code."""
    values = {}
    for name, choices in facts.values.items():
        value = rng.choice(choices)
        values |= {name: value} if isinstance(value, str) else {name: value[0], f"{name}:code": value[1]}
    return values


def _documentation(name: str, said: str | dict[str, Any]) -> str:
    """Prose as it is; of a description and parameters, the JSON object that API directories give."""
    if isinstance(said, str):
        return said
    parameters = [
        {"name": parameter, "type": "STRING", "description": text, "default": ""}
        for parameter, text in said["required"].items()
    ]
    tool = name.partition("%%")[0]
    described = {"description": said["description"], "required_parameters": parameters, "optional_parameters": []}
    return json.dumps(described | {"parent_tool_name": tool, "parent_tool_description": tool})


def _typed(name: str, text: str, api: dict[str, Any]) -> str | int:
    """The number where the documentation says that the argument is an integer."""
    return int(text) if f'"{name}" : integer' in str(api["documentation"]) else text
