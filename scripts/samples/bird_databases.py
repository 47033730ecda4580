"""The rows of the bird sample's databases: coded, mixed and missing values, as in records that people keep."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .text_to_sql import Tables

Words = Sequence[str]


def date(rng: random.Random, first_year: int, last_year: int) -> str:
    return f"{rng.randint(first_year, last_year)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def untidy(rng: random.Random, text: str) -> str:
    """The same text as different clerks type it."""
    return rng.choice([text, text, text.upper(), text.lower(), f" {text}"])


def clinic(
    rng: random.Random,
    first_names: Words,
    last_names: Words,
    blood: Words,
    insurers: Words,
    wards: Words,
    labs: Sequence[tuple[str, float, float]],
) -> Tables:
    patients = [
        (
            100 + i,
            rng.choice(first_names),
            rng.choice(last_names),
            rng.choice(["F", "M", "F", "M", None]),
            date(rng, 1934, 2008),
            rng.choice(blood),
            untidy(rng, rng.choice(insurers)),
        )
        for i in range(48)
    ]
    visits = []
    for i in range(80):
        year, month, day = rng.randint(2019, 2023), rng.randint(1, 12), rng.randint(1, 18)
        leaves = f"{year}-{month:02}-{day + rng.randint(0, 10):02}" if rng.random() < 0.85 else None
        admitted = f"{year}-{month:02}-{day:02}"
        ward = rng.choice(wards)
        visits.append((1000 + i, rng.randint(100, 140), admitted, leaves, ward, f"${rng.randint(180, 4900):,}"))
    results = []
    for i in range(80):
        code, low, high = rng.choice(labs)
        value = round(rng.uniform(low, high), 1) if rng.random() < 0.9 else None
        results.append((i + 1, rng.randint(1000, 1079), code, value, rng.choice(["+", "-", "-", None])))
    return {"patient": patients, "visit": visits, "lab": results}


def harbour(rng: random.Random, ships: Words, flags: Words, types: Words, goods: Words) -> Tables:
    vessels = [
        (
            9_100_000 + 137 * i,
            untidy(rng, name),
            rng.choice(flags),
            rng.choice(types),
            rng.choice([None, *range(1984, 2021)]),
            f"{rng.randint(2, 98)},{rng.randint(0, 999):03} t",
        )
        for i, name in enumerate(ships)
    ]
    calls = []
    for i in range(70):
        month, day = rng.randint(1, 12), rng.randint(1, 20)
        arrived = f"2023-{month:02}-{day:02} {rng.randint(0, 23):02}:{rng.choice(['00', '15', '40'])}"
        departed = (
            f"2023-{month:02}-{day + rng.randint(1, 7):02} {rng.randint(0, 23):02}:30" if rng.random() < 0.85 else None
        )
        calls.append(
            (i + 1, rng.choice(vessels[:-3])[0], rng.choice("ABCD"), arrived, departed, rng.randint(300, 9000) / 2)
        )
    cargoes = [
        (
            i + 1,
            rng.randint(1, 70),
            untidy(rng, rng.choice(goods)),
            1000.0 * rng.randint(4, 900) if rng.random() < 0.9 else None,
            rng.choice(["I", "O"]),
            rng.choice(["Y", "N", "N", "", None]),
        )
        for i in range(80)
    ]
    return {"vessel": vessels, "port_call": calls, "cargo": cargoes}


def district(rng: random.Random, places: Words, kinds: Sequence[tuple[str, str]], counties: Words) -> Tables:
    schools, scores, meals = [], [], []
    for i, (place, (kind, level)) in enumerate(rng.sample([(p, k) for p in places for k in kinds], 36)):
        code, county = f"{rng.randint(10, 58)}-{4100 + i:05}", rng.choice(counties)
        phone = (
            f"({rng.randint(200, 989)}) {rng.randint(200, 999)}-{rng.randint(0, 9999):04}"
            if rng.random() < 0.8
            else None
        )
        charter = rng.choice([0, 0, 1, None])
        schools.append((code, f"{place} {kind}", untidy(rng, county), level, charter, phone, date(rng, 1951, 2012)))
        for year in rng.sample([2021, 2022, 2023], 2):
            math, read = (round(rng.uniform(380, 690), 1) if rng.random() < 0.9 else None for _ in range(2))
            scores.append((code, year, rng.randint(8, 260), math, read))
        enrollment = rng.randint(90, 1900)
        meals.append((code, enrollment, rng.randint(5, enrollment) if rng.random() < 0.9 else None))
    return {"schools": schools, "scores": scores, "meals": meals}


FILLERS = {"clinic": clinic, "harbour": harbour, "school_district": district}  # each takes its database's words
