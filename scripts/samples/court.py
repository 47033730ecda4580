"""Invented people and details for the court samples, from the facts of mud.

A court record names the accused in full and everybody else by surname and "Mou", so-and-so.
"""

from __future__ import annotations

import random
from datetime import date, timedelta

from .facts import load_facts

facts = load_facts("mud")


def draw_names(rng: random.Random, number: int) -> list[str]:
    """Full names with different surnames."""
    return [f"{surname} {rng.choice(facts.given_names)}" for surname in rng.sample(facts.surnames, number)]


def draw_details(rng: random.Random, avoid: list[str]) -> dict[str, str]:
    """One value for each detail, a {month} and a later {day}, and two people beside `avoid`: {victim}, {witness}."""
    taken = {name.split()[0] for name in avoid}
    victim, witness = rng.sample([surname for surname in facts.surnames if surname not in taken], 2)
    details = {name: rng.choice(values) for name, values in facts.details.items()}
    month = date(rng.randint(2015, 2021), rng.randint(1, 12), 1)
    day = month + timedelta(days=rng.randint(90, 300))
    return details | {
        "victim": f"{victim} Mou",
        "witness": f"{witness} Mou",
        "month": f"{month:%B %Y}",
        "day": f"{day.day} {day:%B %Y}",
    }
