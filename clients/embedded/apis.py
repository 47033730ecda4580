"""The APIs that a prompt documents, as the embedded reader takes them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_API = re.compile(r"^API: (.+)\nDocumentation: (.*)$", re.MULTILINE)
_ARGUMENT = re.compile(r'"(\w+)" ?: ?(string|integer|number)')


@dataclass(frozen=True)
class Argument:
    """An argument of an API. `default` is None where the documentation gives none."""

    name: str
    kind: str
    default: Any = None
    needed: bool = True


@dataclass(frozen=True)
class ShownAPI:
    """`text` is what its documentation says in words."""

    name: str
    text: str
    arguments: tuple[Argument, ...]


def read_apis(section: str) -> list[ShownAPI]:
    return [_read(name, documentation) for name, documentation in _API.findall(section)]


def _read(name: str, documentation: str) -> ShownAPI:
    """An API whose documentation is a JSON object with descriptions and parameters, or else prose with a schema."""
    title = re.sub(r"[%_]+", " ", name)
    try:
        parts = json.loads(documentation)
    except ValueError:
        arguments = tuple(Argument(*found) for found in _ARGUMENT.findall(documentation))
        return ShownAPI(name, f"{title}. {documentation.partition('Your input should be')[0]}", arguments)
    said = [str(parts.get(key) or "") for key in ("description", "parent_tool_description")]
    arguments = tuple(
        Argument(str(one.get("name")), str(one.get("type")).lower(), one.get("default") or None, group[0] == "r")
        for group in ("required_parameters", "optional_parameters")
        for one in parts.get(group) or []
    )
    return ShownAPI(name, " ".join([f"{title}.", *said]), arguments)
