"""The mimic-iv-msr sample: invented notes of patients to be referred, and the specialties that may take them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .facts import load_facts
from .patients import FEMALE, bare, draw_patient, sentence
from .wording import listing

facts = load_facts("mimic-iv-msr")
ROWS = 200


@dataclass(frozen=True)
class Presentation:
    """A reason to refer; `specialties` are their short names, the first the most fitting."""

    specialties: Sequence[str]
    ages: Sequence[int]
    complaints: Sequence[str]
    symptoms: Sequence[str]
    history: Sequence[str]
    findings: Sequence[str]
    sex: str = ""  # "F" or "M" where only they have it


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """200 notes; each presentation comes up about equally often."""
    cases = [Presentation(**case) for case in facts.presentations]
    drawn = [cases[number % len(cases)] for number in range(ROWS)]
    rng.shuffle(drawn)
    return [{"task": describe(rng, case), "label": label(case)} for case in drawn]


def label(case: Presentation) -> list[str]:
    """The specialties that may take the case, the most fitting first."""
    return [facts.specialties[key] for key in case.specialties]


def describe(rng: random.Random, case: Presentation) -> str:
    """One patient with this presentation, as a note in one of three styles."""
    patient = draw_patient(rng, case.ages, FEMALE[case.sex])
    complaint = rng.choice(case.complaints)
    symptoms, history, findings = (
        rng.sample(items, rng.randint(1, min(2, len(items)))) for items in (case.symptoms, case.history, case.findings)
    )
    remark = rng.choice(facts.remarks)
    style = rng.randrange(3)
    if style == 0:
        return "\n".join(
            (
                f"Patient: {patient.age} {patient.noun}",
                f"Reason for visit: {bare(complaint)}",
                f"Also reports: {'; '.join(bare(item) for item in symptoms)}",
                f"History: {'; '.join(bare(item) for item in history)}. {remark}",
                f"Findings: {'; '.join(findings)}",
            )
        )
    if style == 1:
        return (
            f"{sentence(f'{patient.description} comes to the clinic with {complaint}')} "
            f"{patient.pronoun.title()} also reports {listing(symptoms)}. Relevant history: {listing(history)}. "
            f"{remark} Examination and tests: {'; '.join(findings)}."
        )
    return " ".join(
        (
            f"{patient.years}{patient.sex} with {bare(complaint)}.",
            f"Associated: {', '.join(bare(item) for item in symptoms)}.",
            f"PMH: {', '.join(bare(item) for item in history)}. {remark}",
            f"On exam/labs: {', '.join(findings)}.",
        )
    )
