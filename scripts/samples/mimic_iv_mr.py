"""The mimic-iv-mr sample: invented admissions and the medication classes that their conditions call for."""

from __future__ import annotations

import random
from pathlib import Path

from .mimic_iv_mr_facts import BASICS, CHRONIC, CLASSES, PRINCIPAL, Condition
from .patients import Patient, draw_patient, listing, sentence

ROWS = 200
USUAL, SOMETIMES = 0.85, 0.3  # how often a class of each kind is given
FEWEST, MOST = 4, 15  # classes of an admission


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """200 admissions; each principal condition comes up about equally often."""
    reasons = [PRINCIPAL[number % len(PRINCIPAL)] for number in range(ROWS)]
    rng.shuffle(reasons)
    return [draw_row(rng, reason) for reason in reasons]


def draw_row(rng: random.Random, reason: Condition) -> dict:
    patient = draw_patient(rng, reason.ages, {"F": 1.0, "M": 0.0}.get(reason.sex, 0.5))
    conditions = [reason]
    for condition in rng.sample(CHRONIC, len(CHRONIC)):
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
    chances = list(BASICS.items())
    for condition in conditions:
        chances += [(key, USUAL) for key in condition.usual.split()]
        chances += [(key, SOMETIMES) for key in condition.sometimes.split()]
    given = {key: None for key, chance in chances if rng.random() < chance}  # a dict, for its stable order
    for key in BASICS:
        if len(given) < FEWEST:
            given[key] = None
    return sorted(CLASSES[key] for key in list(given)[-MOST:])


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
