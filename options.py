"""What an option of main.py is: a field's metadata, how a value is read and checked, and those values that have a form
of their own. config.py has the options themselves.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any, NoReturn

import plugins
from errors import UsageError, unknown_choice

NOT_SENT = "none"  # a setting that is left to the server
OF_THE_PROTOCOL = {"messages", "model", "tools", "stream"}  # no business of --extra_body


def option(default: Any, help: str, about: str, **metadata: Any) -> Any:
    """A Config field.

    Further metadata: `flag` (default: the field's name), `alias`, `metavar`, `choices`, `at_least`, `above`, `at_most`;
    `tasks`, the only tasks that an option has an effect on; `places`, the form of a place outside the checkout that is
    taken beside the choices; `shown`, how a value that is off its default shows in a run's name: "flag" (the default),
    "path" (its last part), "words" (itself), "hash" or "no"; `tuned`: whether the paper chooses it anew for each
    experiment, so that it makes no other method; `fixed`: whether a plan of experiments sets it itself; `later`:
    whether it came when there were runs of its agents, whose identity so stays what it was while it is at its default.
    """
    return field(default=default, metadata={"help": help, "about": about, **metadata})


def flag(spec: dataclasses.Field[Any]) -> str:
    """How the option is spelled on the command line, without the dashes."""
    return str(spec.metadata.get("flag", spec.name))


def words_of(spec: dataclasses.Field[Any], value: Any) -> list[str]:
    """How a command line says this value: none for a switch that is off."""
    spelled = f"--{flag(spec)}"
    return [spelled] * value if isinstance(value, bool) else [spelled, str(value)]


def check(spec: dataclasses.Field[Any], value: Any) -> None:
    name, limits = f"--{flag(spec)}", spec.metadata
    if value is None:
        return
    if "choices" in limits and value not in limits["choices"]:
        if "places" in limits and plugins.is_outside(str(value)):
            return
        raise unknown_choice(name, value, limits["choices"])
    if isinstance(value, str) and spec.name in ("temperature", "top_p"):
        if value == NOT_SENT:
            return
        raise UsageError(f"{name} must be a number or {NOT_SENT}, not {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} must be a finite number, not {value}")
    if "at_least" in limits and value < limits["at_least"]:
        raise UsageError(f"{name} must be at least {limits['at_least']}, not {value}")
    if "above" in limits and value <= limits["above"]:
        raise UsageError(f"{name} must be above {limits['above']}, not {value}")
    if "at_most" in limits and value > limits["at_most"]:
        raise UsageError(f"{name} must be at most {limits['at_most']}, not {value}")


def kind_of(hint: Any) -> type:
    """int, float or str: what a value of an option with this type hint is read as."""
    return next(kind for kind in (int, float, str) if kind is hint or kind in getattr(hint, "__args__", ()))


def number_or_none(text: str | float) -> float | str:
    """A setting that need not be sent. Raises ValueError."""
    return NOT_SENT if text == NOT_SENT else float(text)


def reader_of(hint: Any) -> Callable[[str], Any]:
    """What reads a value of an option with this type hint. It raises ValueError."""
    return number_or_none if {float, str} <= set(getattr(hint, "__args__", ())) else kind_of(hint)


def read_extra_body(text: str) -> dict[str, Any]:
    """The JSON object of --extra_body. Raises UsageError where it is none, or says what other options say."""
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--extra_body {text}: not JSON ({error}); write it as '{{\"name\": value}}'") from None
    if not isinstance(found, dict):
        raise UsageError(f"--extra_body {text}: not a JSON object; write it as '{{\"name\": value}}'")
    for name in sorted(OF_THE_PROTOCOL & found.keys()):
        raise UsageError(f"--extra_body: {name} is what the run itself says in a request")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def read_text(name: str, value: str) -> str:
    """A text, or that of the file named after an @; one that begins with an @ itself has two. Raises UsageError."""
    if value.startswith("@") and not value.startswith("@@"):
        try:
            text = Path(value[1:]).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UsageError(f"--{name} {value}: cannot be read ({reason})") from None
        value = f"@{text}" if text.startswith("@") else text
    if not value.strip():
        raise UsageError(f"--{name} is empty: drop it, or write a text")
    return value
