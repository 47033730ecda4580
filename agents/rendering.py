"""How a prompt shows cases: (env, query, cases) -> prompt. Without a case it is the task's zero-shot prompt.

`framed` keeps what a method's prompt says around its cases where there are none: the control of what that alone is
worth.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from env.base import Env
from step import Case

View = dict[str, Any]
REASONS_FIRST = (
    "Before you answer, think step by step: what is given, what follows from it, and which answers that leaves. Then "
    "end with the answer itself, in the form that is asked for above."
)


def of_cases(show: Callable[[Env, str, list[View]], str]) -> Callable[..., str]:
    """A rendering rule out of what shows cases."""

    @functools.wraps(show)
    def render(env: Env, query: str, cases: list[Case], framed: bool = False) -> str:
        if not cases and not framed:
            return env.get_zero_shot_prompt(query)
        return show(env, query, [case.view() for case in cases])

    return render


@of_cases
def as_cases(env: Env, query: str, cases: list[View]) -> str:
    return env.get_case_based_prompt(query, cases)


@of_cases
def with_feedback(env: Env, query: str, cases: list[View]) -> str:
    return env.get_case_based_prompt_reflexion(query, cases)


@of_cases
def good_and_bad(env: Env, query: str, cases: list[View]) -> str:
    return env.get_case_based_prompt_in_groups(query, cases)


def reasoned(env: Env, query: str, cases: list[Case], framed: bool = False) -> str:
    """The zero-shot prompt, and at its end the wish that reasons come before the answer."""
    return f"{env.get_zero_shot_prompt(query)}\n\n{REASONS_FIRST}"


@of_cases
def as_notes(env: Env, query: str, cases: list[View]) -> str:
    return env.get_prompt_with_notes(query, cases)


@of_cases
def cases_with_notes(env: Env, query: str, cases: list[View]) -> str:
    return env.get_prompt_with_notes(query, cases, whole=True)
