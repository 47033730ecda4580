"""The ddxplus sample: invented patients with one of 49 diseases.

A disease gives each patient most of its profile, worded at random; complaints that mean nothing, denied ones and first
impressions are mixed in. So two patients with one disease differ, and yet share enough for a past case to help.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .facts import load_facts
from .patients import Patient, bare, draw_patient, sentence
from .wording import listing

facts = load_facts("ddxplus")
TYPICAL, POSSIBLE, HISTORY = 0.95, 0.1, 0.7  # how often a patient has an item of each kind
PAIN, DENIED, IMPRESSION = 0.4, 0.25, 0.4  # how often a text says how it hurts, what is absent, what somebody suspects
USUAL = 0.5  # how often the first wording is taken without a draw
CHILD = 10  # up to this age a parent speaks
CHILD_QUESTIONS = 4  # how many of the questions concern a child
WORDS = (30, 100)  # a task is at least and at most so long


@dataclass(frozen=True)
class Pain:
    """How the pain is described: its character, where it sits, where it spreads, how it began, how bad it is."""

    character: Sequence[str]
    place: Sequence[str]
    onset: Sequence[str]
    spread: Sequence[str] = ()
    rating: Sequence[int] = (2, 6)  # from, to out of 10


@dataclass(frozen=True)
class Disease:
    """A disease's profile; symptoms and history are keys of the tables of the facts."""

    label: str
    patients: int  # how many rows of the sample
    ages: Sequence[float]
    course: str  # a key of the durations
    complaints: Sequence[str]  # what may bring the patient in
    typical: Sequence[str]  # most patients have it
    possible: Sequence[str]  # some have it
    history: Sequence[str]
    impressions: Sequence[str]
    female: float = 0.5
    pain: dict[str, Sequence] | None = None  # the fields of a Pain


@dataclass(frozen=True)
class Presentation:
    """What is known about one patient; every item is a noun phrase, `pain` what follows "the pain is"."""

    patient: Patient
    complaint: str
    symptoms: list[str]
    pain: str | None
    history: list[str]
    denied: list[str]
    began: str
    impression: str | None


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """300 rows, shuffled; each disease has the number of patients that its facts say."""
    drawn = [
        {"task": draw_task(rng, disease), "label": disease.label}
        for disease in (Disease(**disease) for disease in facts.diseases)
        for _ in range(disease.patients)
    ]
    rng.shuffle(drawn)
    return drawn


def draw_task(rng: random.Random, disease: Disease) -> str:
    """A patient with `disease` in one of the styles, of a length within WORDS."""
    while True:
        text = rng.choice(STYLES)(present(rng, disease), rng)
        if WORDS[0] <= len(text.split()) <= WORDS[1]:
            return text


def present(rng: random.Random, disease: Disease) -> Presentation:
    """Draw one patient with `disease`."""
    patient = draw_patient(rng, disease.ages, disease.female)
    child = patient.years < CHILD
    typical, possible, complaints = (
        [key for key in keys if facts.min_age.get(key, 0) <= patient.years]
        for keys in (disease.typical, disease.possible, disease.complaints)
    )
    complaint = rng.choice(complaints)
    present_keys = [key for key in typical if key != complaint and rng.random() < TYPICAL]
    present_keys += [key for key in possible if key not in (complaint, *typical) and rng.random() < POSSIBLE]
    known = {complaint, *typical, *possible}
    questions = list(facts.questions.items())[: CHILD_QUESTIONS if child else None]
    absent = [words for key, words in questions if key not in known]
    noise = facts.child_noise_symptoms if child else facts.noise_symptoms
    symptoms = [usual(rng, facts.symptoms[key]) for key in present_keys]
    symptoms += rng.sample(noise, rng.choice((0, 0, 1)) if symptoms else 1)
    rng.shuffle(symptoms)
    return Presentation(
        patient=patient,
        complaint=usual(rng, facts.symptoms[complaint]),
        symptoms=symptoms,
        pain=describe_pain(rng, Pain(**disease.pain))
        if disease.pain and patient.years >= 4 and rng.random() < PAIN
        else None,
        history=draw_history(rng, disease, patient),
        denied=rng.sample(absent, min(len(absent), rng.choice((1, 2)))) if rng.random() < DENIED else [],
        began=rng.choice(facts.durations[disease.course]),
        impression=rng.choice(disease.impressions) if rng.random() < IMPRESSION else None,
    )


def usual(rng: random.Random, wordings: Sequence[str]) -> str:
    """One of `wordings`; the first, which is what most people say, half of the time."""
    return wordings[0] if rng.random() < USUAL else rng.choice(wordings)


def draw_history(rng: random.Random, disease: Disease, patient: Patient) -> list[str]:
    """One to four pieces of history, one of which may mean nothing."""
    keys = [key for key in disease.history if facts.min_age.get(key, 0) <= patient.years]
    young_woman = patient.sex == "F" and patient.years < 50
    items = []
    for key in keys:
        wordings = [words for words in facts.history[key] if young_woman or words not in facts.women_under_50]
        if wordings and rng.random() < HISTORY:
            items.append(usual(rng, wordings))
    noise = facts.child_noise_history if patient.years < CHILD else facts.noise_history
    items = items[:3] + rng.sample(noise, rng.choice((0, 1)) if items else 1)
    rng.shuffle(items)
    return items


def describe_pain(rng: random.Random, pain: Pain) -> str:
    """Such as "stabbing, in the middle of the chest, spreading to the jaw; it began suddenly and is rated 6/10"."""
    words = f"{rng.choice(pain.character)}, in {rng.choice(pain.place)}"
    if pain.spread and rng.random() < 0.6:
        words += f", spreading to {rng.choice(pain.spread)}"
    return f"{words}; it {rng.choice(pain.onset)} and is rated {rng.randint(*pain.rating)}/10"


def chart(case: Presentation, rng: random.Random) -> str:
    """A list as a clinic's form has it."""
    lines = [
        f"Patient: {case.patient.age} {case.patient.noun}",
        f"Presenting complaint: {bare(case.complaint)}, began {case.began}",
        *([f"Pain: {case.pain}"] if case.pain else []),
        "Symptoms:",
        *(f"- {bare(symptom)}" for symptom in case.symptoms),
        f"Background: {'; '.join(bare(item) for item in case.history)}",
        *([f"Absent: {'; '.join(case.denied)}"] if case.denied else []),
    ]
    if case.impression:
        lines.append(f"{rng.choice(('Working impression', 'First impression', 'Suspected'))}: {case.impression}")
    return "\n".join(lines)


def own_words(case: Presentation, rng: random.Random) -> str:
    """The patient, or a small child's parent, speaks."""
    patient = case.patient
    if patient.years < CHILD:
        child = "daughter" if patient.sex == "F" else "son"
        opening = f"My {patient.age} {child} has {case.complaint}, which began {case.began}."
        also, pain, no = f"{patient.pronoun.title()} also has", "The pain", f"{patient.pronoun.title()} has had no"
        history = f"What else I can say about {'her' if patient.sex == 'F' else 'him'}"
    else:
        opening = rng.choice(
            (
                f"I am {patient.description} and I have {case.complaint}, which began {case.began}.",
                f"I came in because of {case.complaint}, which began {case.began}. I am {patient.description}.",
            )
        )
        also = rng.choice(("I also have", "I have noticed", "On top of that I have"))
        pain, no = "My pain", "I have had no"
        history = rng.choice(("As for my background", "What may matter about me"))
    parts = [opening, f"{also} {listing(case.symptoms)}."]
    if case.pain:
        parts.append(f"{pain} is {case.pain}.")
    parts.append(f"{history}: {listing(case.history)}.")
    if case.denied:
        parts.append(f"{no} {listing(case.denied, last='or')}.")
    if case.impression:
        who = rng.choice(("The nurse on the phone", "Our pharmacist", "The practice nurse"))
        parts.append(f"{who} {rng.choice(('thought of', 'suspected', 'spoke of'))} {case.impression}.")
    return " ".join(parts)


def triage_note(case: Presentation, rng: random.Random) -> str:
    """Terse, as a nurse writes it."""
    patient = case.patient
    age = f"{patient.months}mo" if patient.months < 24 else str(patient.years)
    denies = "No" if patient.years < CHILD else "Denies"
    parts = [
        f"{age}{patient.sex}, c/o {bare(case.complaint)}, began {case.began}.",
        f"{rng.choice(('Reports', 'Associated with', 'Also'))} {', '.join(bare(item) for item in case.symptoms)}.",
    ]
    if case.pain:
        parts.append(f"Pain {case.pain}.")
    parts.append(f"Hx: {', '.join(bare(item) for item in case.history)}.")
    if case.denied:
        parts.append(f"{denies} {listing(case.denied, last='or')}.")
    if case.impression:
        parts.append(f"{rng.choice(('Impression:', 'Query', 'Suspect'))} {bare(case.impression)}.")
    return " ".join(parts)


def letter(case: Presentation, rng: random.Random) -> str:
    """Full sentences, as a doctor would refer a patient."""
    patient = case.patient
    subject = patient.pronoun.title()
    also = ("also has",) if patient.years < CHILD else ("also describes", "has further noticed", "also reports")
    background = rng.choice(("Of note in the history", "Relevant background", "The history includes"))
    colon = "" if background.endswith("includes") else ":"
    parts = [
        sentence(
            f"{patient.description} {rng.choice(('presents with', 'is seen for', 'comes in with'))} "
            f"{case.complaint}, which began {case.began}"
        ),
        f"{subject} {rng.choice(also)} {listing(case.symptoms)}.",
    ]
    if case.pain:
        parts.append(f"The pain is {case.pain}.")
    parts.append(f"{background}{colon} {listing(case.history)}.")
    if case.denied:
        parts.append(f"{subject} has had no {listing(case.denied, last='or')}.")
    if case.impression:
        suspect = rng.choice(("We suspect", "I suspect", "My first impression is", "I would think of"))
        parts.append(f"{suspect} {case.impression}.")
    return " ".join(parts)


STYLES: Sequence[Callable[[Presentation, random.Random], str]] = (chart, own_words, triage_note, letter)
