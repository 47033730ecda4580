"""Whether code that a run folder names may be loaded.

A run's config.yaml names its task, agent and policy, and where these lie outside the checkout it names a Python file.
A results folder may come from anyone, and to read it must not be to run what it names. So such a file is loaded only
where the user says so (--trust_code); without it the run's figures are all there, its prompts are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from config import FIELDS
from errors import UserError
from plugins import is_outside

from .folders import Run

PLACES = tuple(name for name, spec in FIELDS.items() if "places" in spec.metadata)
_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusting(trust: bool = True) -> Iterator[None]:
    """While this lasts, code that runs name is loaded, or is not."""
    token = _trusted.set(trust)
    try:
        yield
    finally:
        _trusted.reset(token)


def places_of(options: Mapping[str, Any]) -> list[str]:
    """The files and modules outside the project's tables that `options` name."""
    named = [options.get(name) for name in PLACES]
    return [name for name in named if isinstance(name, str) and is_outside(name)]


def check_trusted(options: Mapping[str, Any]) -> None:
    """Raise UserError where `options`, of a run folder, name code that the user has not said to trust."""
    places = places_of(options)
    if places and not _trusted.get():
        raise UserError(f"the run names code, {', '.join(places)}, which only --trust_code loads")


def left_out(runs: Iterable[Run]) -> str:
    """A line on the code that `runs` name and that is not loaded; "" where there is none."""
    named = [places for run in runs if (places := places_of(run.options))]
    if not named or _trusted.get():
        return ""
    together = ", ".join(dict.fromkeys(place for found in named for place in found))
    who = f"{len(named)} runs name" if len(named) > 1 else "1 run names"
    return f"not loaded: code that {who} ({together}), so their prompts are left out; --trust_code loads it"
