"""The invented databases of the bird sample: coded, mixed and missing values, as in records that people keep."""

from __future__ import annotations

import random

from .text_to_sql import Tables

CLINIC = """
CREATE TABLE patient (
    pid INTEGER PRIMARY KEY, fname TEXT, lname TEXT, sex TEXT, birth TEXT, blood TEXT, insurer TEXT
);
CREATE TABLE visit (
    vid INTEGER PRIMARY KEY, pid INTEGER REFERENCES patient(pid), admitted TEXT, discharged TEXT, ward TEXT, fee TEXT
);
CREATE TABLE lab (
    lid INTEGER PRIMARY KEY, vid INTEGER REFERENCES visit(vid), code TEXT, value REAL, flag TEXT
);
"""

HARBOUR = """
CREATE TABLE vessel (
    imo INTEGER PRIMARY KEY, name TEXT, flag TEXT, type TEXT, built INTEGER, tonnage TEXT
);
CREATE TABLE port_call (
    call_id INTEGER PRIMARY KEY, imo INTEGER REFERENCES vessel(imo), berth TEXT, arrived TEXT, departed TEXT, dues REAL
);
CREATE TABLE cargo (
    cargo_id INTEGER PRIMARY KEY, call_id INTEGER REFERENCES port_call(call_id), goods TEXT, kg REAL,
    direction TEXT, haz TEXT
);
"""

DISTRICT = """
CREATE TABLE schools (
    code TEXT PRIMARY KEY, name TEXT, county TEXT, level TEXT, charter INTEGER, phone TEXT, opened TEXT
);
CREATE TABLE scores (
    code TEXT REFERENCES schools(code), year INTEGER, takers INTEGER, avg_math REAL, avg_read REAL,
    PRIMARY KEY (code, year)
);
CREATE TABLE meals (
    code TEXT PRIMARY KEY REFERENCES schools(code), enrollment INTEGER, free_count INTEGER
);
"""


def date(rng: random.Random, first_year: int, last_year: int) -> str:
    return f"{rng.randint(first_year, last_year)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def untidy(rng: random.Random, text: str) -> str:
    """The same text as different clerks type it."""
    return rng.choice([text, text, text.upper(), text.lower(), f" {text}"])


def clinic(rng: random.Random) -> Tables:
    first = "Agnes Bo Celia Dario Edda Femi Gil Hedda Idris Joan Kiran Livia Milan Nora Otis Pia".split()
    last = "Alvarez Berg Cho Dietz Ellery Faber Gupta Haas Ito Jansen Keller Lopez Mbeki Neri".split()
    patients = [
        (
            100 + i,
            rng.choice(first),
            rng.choice(last),
            rng.choice(["F", "M", "F", "M", None]),
            date(rng, 1934, 2008),
            rng.choice(["A+", "A-", "B+", "O+", "O-", None]),
            untidy(rng, rng.choice(["Nordcare", "Vita", "Union Health"])),
        )
        for i in range(48)
    ]
    visits = []
    for i in range(80):
        year, month, day = rng.randint(2019, 2023), rng.randint(1, 12), rng.randint(1, 18)
        leaves = f"{year}-{month:02}-{day + rng.randint(0, 10):02}" if rng.random() < 0.85 else None
        admitted = f"{year}-{month:02}-{day:02}"
        ward = rng.choice(["CAR", "NEU", "ORT", "PED"])
        visits.append((1000 + i, rng.randint(100, 140), admitted, leaves, ward, f"${rng.randint(180, 4900):,}"))
    labs = []
    for i in range(80):
        code, low, high = rng.choice([("GLU", 3.2, 15.0), ("CRE", 40.0, 210.0), ("HGB", 7.0, 18.0)])
        value = round(rng.uniform(low, high), 1) if rng.random() < 0.9 else None
        labs.append((i + 1, rng.randint(1000, 1079), code, value, rng.choice(["+", "-", "-", None])))
    return {"patient": patients, "visit": visits, "lab": labs}


def harbour(rng: random.Random) -> Tables:
    names = "Albatross,Beacon Star,Coral Dawn,Delfin,Eastern Grace,Fjord Queen,Gannet,Horizon,Isla Verde,Jade Wind"
    names += ",Kingfisher,Lodestar,Meridian,Nautilus,Orient Pearl,Polar Tern,Quicksilver,Ravenna,Sea Lark,Thistle,Umbra"
    vessels = [
        (
            9_100_000 + 137 * i,
            untidy(rng, name),
            rng.choice(["PA", "LR", "NO", "MT"]),
            rng.choice(["BLK", "CON", "TNK"]),
            rng.choice([None, *range(1984, 2021)]),
            f"{rng.randint(2, 98)},{rng.randint(0, 999):03} t",
        )
        for i, name in enumerate(names.split(","))
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
    goods = ["coal", "coffee", "fertiliser", "grain", "solvents", "steel"]
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


def district(rng: random.Random) -> Tables:
    places = (
        "Ashford Bellview Cedar Dalton Elmwood Fairmont Glenrose Harlan Inverness Juniper Kirkland Lakeside".split()
    )
    kinds = [("Primary School", "P"), ("Middle School", "M"), ("High School", "H")]
    schools, scores, meals = [], [], []
    for i, (place, (kind, level)) in enumerate(rng.sample([(p, k) for p in places for k in kinds], 36)):
        code, county = f"{rng.randint(10, 58)}-{4100 + i:05}", rng.choice(["Amador", "Butte", "Colusa", "Del Norte"])
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


DATABASES = {"clinic": (CLINIC, clinic), "harbour": (HARBOUR, harbour), "school_district": (DISTRICT, district)}
