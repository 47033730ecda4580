"""Invented people for the medical samples, and the few words that depend on who they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .wording import article

ADULT = 18
FEMALE = {"F": 1.0, "M": 0.0, "": 0.5}  # the share of women where one sex has something, or both


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
    def description(self) -> str:
        """With its article: "an 84-year-old man"."""
        return f"{article(self.age)} {self.age} {self.noun}"


def draw_patient(rng: random.Random, ages: Sequence[float], female: float = 0.5) -> Patient:
    """Draw a patient between two ages in years; `female` is the share of women."""
    low, high = (round(12 * age) for age in ages)
    return Patient(rng.randint(low, high), "F" if rng.random() < female else "M")


def bare(phrase: str) -> str:
    """`phrase` without its indefinite article, as charts write it."""
    return phrase.removeprefix("an ").removeprefix("a ")


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}."
