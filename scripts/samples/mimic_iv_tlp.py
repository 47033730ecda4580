"""The mimic-iv-tlp sample: invented emergency visits and the level that the ESI algorithm gives them.

The Emergency Severity Index asks four questions in turn: does the patient need a life-saving intervention now? may the
patient not wait? how many kinds of resource will it take? are the vital signs in the danger zone? `esi_level` asks them
of the facts that the text is written from.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .facts import load_facts
from .patients import FEMALE, Patient, draw_patient
from .wording import listing

facts = load_facts("mimic-iv-tlp")
ROWS = 200
COLLAPSE = 0.12  # how often a patient who could collapse has
SEVERE_PAIN = 8
LOW_SATURATION = 92


@dataclass(frozen=True)
class AgeGroup:
    """Vital signs from `youngest` years of age: the danger zone begins above the limits, the ranges are usual."""

    youngest: float
    heart_limit: int
    breath_limit: int
    heart_range: Sequence[int]
    breath_range: Sequence[int]
    systolic_range: Sequence[int]


@dataclass(frozen=True)
class Detail:
    """Something in the history. Where it adds resources or makes the case high-risk, it is the whole story."""

    text: str
    resources: int = 0
    high_risk: bool = False

    @property
    def decisive(self) -> bool:
        return self.high_risk or self.resources > 0


@dataclass(frozen=True)
class Visit:
    """A reason to come. `resources` is how many kinds of resource (laboratory, imaging, fluids, injections,
    procedures, consultations) it usually takes; `high_risk` that it should not wait, whatever the vital signs;
    `collapse` how such a patient looks when the life is in danger, where that can be."""

    complaint: str
    ages: Sequence[float]
    resources: int
    details: Sequence[str | dict]  # texts, or the fields of a Detail
    high_risk: bool = False
    pain: Sequence[int] = (0, 0)  # from, to out of 10
    sex: str = ""
    collapse: str = ""
    weight: int = 2  # how often it comes up, relative to the others


@dataclass(frozen=True)
class Vitals:
    """Vital signs; `alertness` is A, V, P or U: alert, responds to voice, to pain, not at all."""

    heart_rate: int
    breaths: int
    saturation: int
    systolic: int
    diastolic: int
    temperature: float
    alertness: str


@dataclass(frozen=True)
class Case:
    """The facts of one visit."""

    patient: Patient
    visit: Visit
    details: list[Detail]
    vitals: Vitals
    pain: int
    arrival: str  # a key of the arrivals


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """200 visits; complaints come up in proportion to their weight."""
    visits = [Visit(**visit) for visit in facts.visits]
    drawn = rng.choices(visits, weights=[visit.weight for visit in visits], k=ROWS)
    cases = [draw_case(rng, visit) for visit in drawn]
    return [{"task": describe(rng, case), "label": esi_level(case)} for case in cases]


def esi_level(case: Case) -> int:
    """1 to 5 by the ESI algorithm."""
    vitals, visit, details = case.vitals, case.visit, case.details
    if vitals.alertness in "PU" or vitals.systolic < 70 or vitals.saturation < 85:
        return 1
    high_risk = visit.high_risk or any(detail.high_risk for detail in details)
    if high_risk or vitals.alertness == "V" or case.pain >= SEVERE_PAIN:
        return 2
    resources = visit.resources + sum(detail.resources for detail in details)
    if resources >= 2:
        return 2 if in_danger_zone(case.patient, vitals) else 3
    return 5 - resources


def in_danger_zone(patient: Patient, vitals: Vitals) -> bool:
    """Whether heart rate, breathing or oxygen saturation is beyond the limit for the age."""
    group = age_group(patient)
    return (
        vitals.heart_rate > group.heart_limit
        or vitals.breaths > group.breath_limit
        or vitals.saturation < LOW_SATURATION
    )


def age_group(patient: Patient) -> AgeGroup:
    groups = (AgeGroup(**group) for group in facts.age_groups)
    return next(group for group in groups if patient.months >= 12 * group.youngest)


def draw_case(rng: random.Random, visit: Visit) -> Case:
    patient = draw_patient(rng, visit.ages, FEMALE[visit.sex])
    if visit.collapse and rng.random() < COLLAPSE:
        return Case(patient, visit, [Detail(visit.collapse)], collapsed_vitals(rng, patient), 0, "ambulance")
    details = [
        Detail(detail) if isinstance(detail, str) else Detail(**detail)
        for detail in rng.sample(visit.details, rng.randint(1, 2))
    ]
    details = next(([detail] for detail in details if detail.decisive), details)
    ways = [way for way in facts.arrivals if way != "ambulance" or visit.resources >= 2]
    if patient.years < 12:
        ways.remove("walk-in")
    return Case(patient, visit, details, draw_vitals(rng, patient, visit), rng.randint(*visit.pain), rng.choice(ways))


def collapsed_vitals(rng: random.Random, patient: Patient) -> Vitals:
    """Those of a patient whose life is in danger."""
    group = age_group(patient)
    return Vitals(
        heart_rate=group.heart_limit + rng.randint(20, 50),
        breaths=group.breath_limit + rng.randint(8, 18),
        saturation=rng.randint(74, 84),
        systolic=rng.randint(52, 69),
        diastolic=rng.randint(28, 40),
        temperature=round(rng.uniform(35.4, 36.9), 1),
        alertness=rng.choice("VPU"),
    )


def draw_vitals(rng: random.Random, patient: Patient, visit: Visit) -> Vitals:
    """Usual ones; in an illness that takes resources, now and then some in the danger zone."""
    group = age_group(patient)
    heart_rate, breaths = rng.randint(*group.heart_range), rng.randint(*group.breath_range)
    saturation, alertness = rng.randint(95, 100), "A"
    strain = rng.random() if visit.resources >= 2 else 1.0
    if strain < 0.1:
        heart_rate = group.heart_limit + rng.randint(6, 30)
    elif strain < 0.16:
        breaths, saturation = group.breath_limit + rng.randint(3, 10), rng.randint(86, 91)
    elif strain < 0.2 and patient.years >= 65:
        alertness = "V"
    fever = "fever" in visit.complaint.lower()
    systolic = rng.randint(*group.systolic_range)
    return Vitals(
        heart_rate,
        breaths,
        saturation,
        systolic,
        diastolic=round(systolic * rng.uniform(0.52, 0.64)),
        temperature=round(rng.uniform(38.3, 39.8) if fever else rng.uniform(36.3, 37.4), 1),
        alertness=alertness,
    )


def describe(rng: random.Random, case: Case) -> str:
    """The triage note in one of two styles."""
    patient, vitals = case.patient, case.vitals
    story = ". ".join(detail.text for detail in case.details)
    pain = "cannot be rated" if vitals.alertness in "PU" or patient.years < 1 else f"{case.pain}/10"
    pressure = f"{vitals.systolic}/{vitals.diastolic}"
    if rng.random() < 0.5:
        return "\n".join(
            (
                f"Chief complaint: {case.visit.complaint}",
                f"Patient: {patient.age} {patient.noun}",
                f"Arrival: {case.arrival}",
                f"Vital signs: T {vitals.temperature} °C, HR {vitals.heart_rate}, RR {vitals.breaths}, "
                f"SpO2 {vitals.saturation} %, BP {pressure}",
                f"Pain: {pain}",
                f"Mental state: {facts.alertness[vitals.alertness]}",
                f"History: {story}.",
            )
        )
    opening = f"{patient.description} {facts.arrivals[case.arrival]}"
    signs = (
        f"temperature {vitals.temperature} °C",
        f"heart rate {vitals.heart_rate}/min",
        f"respiratory rate {vitals.breaths}/min",
        f"oxygen saturation {vitals.saturation} %",
        f"blood pressure {pressure} mmHg",
    )
    return (
        f"{opening[0].upper()}{opening[1:]}. Complaint: {case.visit.complaint.lower()}. {story}. Pain {pain}; "
        f"{facts.alertness[vitals.alertness]}. On arrival: {listing(signs)}."
    )
