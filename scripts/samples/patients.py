"""Invented people for the medical samples, and the few words that depend on who they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

ADULT = 18


@dataclass(frozen=True)
class Patient:
    """A person of `months` of age; sex is "F" or "M"."""

    months: int
    sex: str

    @property
    def years(self) -> int:
        return self.months // 12

    @property
    def age(self) -> str:
        """Such as "7-month-old" or "43-year-old"."""
        return f"{self.months}-month-old" if self.months < 24 else f"{self.years}-year-old"

    @property
    def noun(self) -> str:
        """woman, man, girl or boy."""
        if self.years >= ADULT:
            return "woman" if self.sex == "F" else "man"
        return "girl" if self.sex == "F" else "boy"

    @property
    def pronoun(self) -> str:
        return "she" if self.sex == "F" else "he"

    @property
    def possessive(self) -> str:
        return "her" if self.sex == "F" else "his"

    @property
    def description(self) -> str:
        """With its article: "an 84-year-old man"."""
        return f"{article(self.age)} {self.age} {self.noun}"


def draw_patient(rng: random.Random, ages: tuple[float, float], female: float = 0.5) -> Patient:
    """Draw a patient between two ages in years; `female` is the share of women."""
    low, high = (round(12 * age) for age in ages)
    return Patient(rng.randint(low, high), "F" if rng.random() < female else "M")


def article(words: str) -> str:
    """The indefinite article that `words` (which may begin with a number) takes."""
    return "an" if words.startswith(("8", "11-", "18-")) or words[0].lower() in "aeiou" else "a"


def bare(phrase: str) -> str:
    """`phrase` without its indefinite article, as charts write it."""
    return phrase.removeprefix("an ").removeprefix("a ")


def listing(items: Sequence[str], last: str = "and") -> str:
    """Join items as prose does: "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}."
