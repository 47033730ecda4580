"""Options that a task or a policy of one's own declares; main.py takes them beside its own.

A task declares them as a dataclass, `Settings`, whose fields are made by `setting`; a policy as keywords of its
constructor that have a default. Those that are off their default are kept as one text, `tolerance=0.1 lang=de`, which
is part of a run's identity and name.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from errors import UsageError, unknown_choice

KINDS = (bool, int, float, str)


@dataclass(frozen=True)
class Setting:
    """One option: its name, what kind of value it takes, its default, a line of help, and what limits it."""

    name: str
    kind: type
    default: Any
    help: str = ""
    choices: tuple[Any, ...] = ()
    at_least: float | None = None
    at_most: float | None = None

    def read(self, text: Any) -> Any:
        """The value that `text` spells. Raises UsageError."""
        try:
            value = _truth(text) if self.kind is bool else self.kind(text)
        except ValueError:
            raise UsageError(f"--{self.name} {text}: not {self.kind.__name__}") from None
        if self.choices and value not in self.choices:
            raise unknown_choice(f"--{self.name}", str(value), map(str, self.choices))
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{self.name} must be a finite number, not {value}")
        if self.at_least is not None and value < self.at_least:
            raise UsageError(f"--{self.name} must be at least {self.at_least}, not {value}")
        if self.at_most is not None and value > self.at_most:
            raise UsageError(f"--{self.name} must be at most {self.at_most}, not {value}")
        return value


def setting(default: Any, help: str, **limits: Any) -> Any:
    """A field of a task's `Settings`. `limits`: choices, at_least, at_most."""
    return field(default=default, metadata={"help": help, **limits})


def of_class(declared: type | None) -> dict[str, Setting]:
    """What the fields of a task's `Settings` say, by name. Raises UsageError for what is no option."""
    if declared is None:
        return {}
    if not dataclasses.is_dataclass(declared):
        raise UsageError(f"{declared.__qualname__} has to be a dataclass: write @dataclass(frozen=True) above it")
    hints, found = get_type_hints(declared), {}
    for spec in dataclasses.fields(declared):
        kind, default = hints[spec.name], spec.default
        if kind not in KINDS or default is dataclasses.MISSING:
            kinds = ", ".join(kind.__name__ for kind in KINDS)
            raise UsageError(f"{declared.__qualname__}.{spec.name} needs a default, and one of the types {kinds}")
        found[spec.name] = Setting(spec.name, kind, default, **spec.metadata)
    return found


def of_constructor(made: type, others: Collection[str]) -> dict[str, Setting]:
    """The keywords of a constructor that are options of its own: with a default, and none of `others`."""
    found = {}
    for name, parameter in inspect.signature(made).parameters.items():
        kind = type(parameter.default)
        if name not in others and kind in KINDS:
            found[name] = Setting(name, kind, parameter.default, f"of {made.__name__}")
    return found


def read(text: str | None, declared: Mapping[str, Setting], whose: str) -> dict[str, Any]:
    """The values of all `declared` settings, as `text` says or at their default. Raises UsageError."""
    values = {name: setting.default for name, setting in declared.items()}
    try:
        words = shlex.split(text or "")
    except ValueError as error:
        raise UsageError(f"the settings {text!r} of {whose} cannot be read: {error}") from None
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"the settings {text!r} of {whose} have to be NAME=VALUE, with blanks between them")
        if name not in declared:
            known = ", ".join(declared) or "it declares none"
            raise UsageError(f"{whose} has no setting {name!r}; those of its own: {known}")
        values[name] = declared[name].read(value)
    return values


def write(values: Mapping[str, Any], declared: Mapping[str, Setting]) -> str | None:
    """Those of `values` that are off their default as one text, always the same for the same; None without any."""
    words = [f"{name}={value}" for name, value in sorted(values.items()) if value != declared[name].default]
    return shlex.join(words) or None


def _truth(text: Any) -> bool:
    known = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    if str(text).lower() not in known:
        raise ValueError
    return known[str(text).lower()]
