"""The mimic-iv-mr sample: invented admissions and the medication classes that their conditions call for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .facts import load_facts
from .patients import FEMALE, Patient, draw_patient, sentence
from .wording import listing

facts = load_facts("mimic-iv-mr")
ROWS = 200
USUAL, SOMETIMES = 0.85, 0.3  # how often a class of each kind is given
FEWEST, MOST = 4, 15  # classes of an admission


@dataclass(frozen=True)
class Condition:
    """A diagnosis: `usual` and `sometimes` are short names of classes."""

    names: Sequence[str]
    usual: Sequence[str]
    sometimes: Sequence[str] = ()
    ages: Sequence[int] = (25, 92)
    sex: str = ""  # "F" or "M" where only they have it
    procedures: Sequence[str] = ()
    findings: Sequence[str] = ()
    group: str = ""  # conditions of one group exclude each other


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """200 admissions; each principal condition comes up about equally often."""
    reasons = [facts.principal[number % len(facts.principal)] for number in range(ROWS)]
    rng.shuffle(reasons)
    return [draw_row(rng, Condition(**reason)) for reason in reasons]


def draw_row(rng: random.Random, reason: Condition) -> dict:
    patient = draw_patient(rng, reason.ages, FEMALE[reason.sex])
    conditions = [reason]
    for chronic in rng.sample(facts.chronic, len(facts.chronic)):
        condition = Condition(**chronic)
        if fits(condition, patient, conditions) and len(conditions) < 5 and rng.random() < 0.25:
            conditions.append(condition)
    return {"task": describe(rng, patient, conditions), "label": prescribe(rng, conditions)}


def fits(condition: Condition, patient: Patient, others: list[Condition]) -> bool:
    """Whether `patient`, who has the `others`, may have `condition` too."""
    youngest, oldest = condition.ages
    groups = {other.group for other in others if other.group}
    return youngest <= patient.years <= oldest and condition.sex in ("", patient.sex) and condition.group not in groups


def prescribe(rng: random.Random, conditions: list[Condition]) -> list[str]:
    """The classes that the conditions and a stay in hospital call for, in alphabetical order."""
    chances = list(facts.basics.items())
    for condition in conditions:
        chances += [(key, USUAL) for key in condition.usual]
        chances += [(key, SOMETIMES) for key in condition.sometimes]
    given = {key: None for key, chance in chances if rng.random() < chance}  # a dict, for its stable order
    for key in facts.basics:
        if len(given) < FEWEST:
            given[key] = None
    return sorted(facts.classes[key] for key in list(given)[-MOST:])


def describe(rng: random.Random, patient: Patient, conditions: list[Condition]) -> str:
    """The admission in one of two styles."""
    diagnoses = [rng.choice(condition.names) for condition in conditions]
    reason = conditions[0]
    procedures = [rng.choice(reason.procedures)] if reason.procedures and rng.random() < 0.75 else []
    findings = [rng.choice(condition.findings) for condition in conditions if condition.findings and rng.random() < 0.8]
    if rng.random() < 0.5:
        admission = rng.choice(("Emergency admission", "Urgent admission", "Transfer from another hospital"))
        lines = [f"{admission}: {patient.age} {patient.noun}", "Diagnoses:"]
        lines += [f"{number}. {name}" for number, name in enumerate(diagnoses, 1)]
        lines.append(f"Procedures: {'; '.join(procedures) or 'none'}")
        if findings:
            lines.append(f"Findings: {'; '.join(findings)}")
        return "\n".join(lines)
    admission = rng.choice(
        (
            "was admitted as an emergency",
            "came in through the emergency department",
            "was transferred from another hospital",
        )
    )
    parts = [
        sentence(f"{patient.description} {admission}"),
        f"Principal diagnosis: {diagnoses[0]}.",
        f"Other diagnoses: {'; '.join(diagnoses[1:]) or 'none'}.",
        f"Procedures performed: {listing(procedures)}." if procedures else "No procedures were performed.",
    ]
    if findings:
        parts.append(f"On admission: {listing(findings)}.")
    return " ".join(parts)
