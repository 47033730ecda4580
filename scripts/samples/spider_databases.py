"""The invented databases of the spider sample, and the words in which people ask about them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .text_to_sql import Tables


@dataclass(frozen=True)
class Entity:
    """A table whose rows have names: how it is spoken of, its text columns and its number columns with their words."""

    table: str
    noun: str
    plural: str
    name: str
    texts: dict[str, str]
    numbers: dict[str, str]


@dataclass(frozen=True)
class Link:
    """`child`.`key` refers to `parent`.`key`."""

    child: str
    parent: str
    key: str


@dataclass(frozen=True)
class Database:
    name: str
    schema: str
    fill: Callable[[random.Random], Tables]
    entities: tuple[Entity, ...]
    links: tuple[Link, ...]


FIRST = "Ada Bruno Carla Dmitri Elif Farah Goran Hana Ivo Jana Kofi Lena Marek Nadia Omar Petra Rosa Stellan".split()
LAST = "Abara Brandt Castell Dorn Ekholm Falk Grassi Holm Ivers Juric Kaplan Lund Novak Okoye Prins Rossi Sato".split()


def people(rng: random.Random, count: int) -> list[str]:
    """Different full names."""
    return [f"{first} {last}" for first, last in rng.sample([(f, s) for f in FIRST for s in LAST], count)]


def titles(rng: random.Random, count: int) -> list[str]:
    """Different titles of books and films."""
    adjectives = "Silent Crooked Borrowed Salt Distant Paper Winter Seventh Hollow Golden Idle Northern".split()
    nouns = "Harbour Orchard Letters Machine Window River Choir Lantern Garden Compass Staircase Mirror".split()
    return [
        f"The {adjective} {noun}" for adjective, noun in rng.sample([(a, n) for a in adjectives for n in nouns], count)
    ]


def library(rng: random.Random) -> Tables:
    countries, genres = (
        ["Chile", "Ghana", "Japan", "Norway", "Poland"],
        ["crime", "history", "poetry", "science", "travel"],
    )
    districts = ["Harbour", "Hill", "Old Town", "Riverside"]
    births, years = rng.sample(range(1931, 1992), 16), rng.sample(range(1962, 2024), 44)
    pages, joined = rng.sample(range(84, 720), 44), [rng.randint(2008, 2023) for _ in range(30)]
    return {
        "author": [(i + 1, name, rng.choice(countries), births[i]) for i, name in enumerate(people(rng, 16))],
        "book": [
            (i + 1, title, rng.randint(1, 13), rng.choice(genres), years[i], pages[i])
            for i, title in enumerate(titles(rng, 44))
        ],
        "branch": [(i + 1, f"{d} Library", d, 1954 + 13 * i) for i, d in enumerate(districts)],
        "member": [(i + 1, name, rng.choice(districts), joined[i]) for i, name in enumerate(people(rng, 30))],
        "loan": [
            (i + 1, rng.randint(1, 38), rng.randint(1, 25), rng.randint(1, 4), rng.randint(2, 42)) for i in range(80)
        ],
    }


def bike_rental(rng: random.Random) -> Tables:
    districts, kinds = ["Campus", "Centre", "Docks", "Park"], ["cargo", "city", "electric", "tandem"]
    places = [
        "Anchor Square",
        "Botanic Gate",
        "City Hall",
        "Drummer Street",
        "East Station",
        "Fountain",
        "Glass Bridge",
        "Hospital",
        "Island Ferry",
        "Jubilee Pool",
        "King's Mill",
        "Law Faculty",
    ]
    docks, prices = rng.sample(range(8, 44), 12), rng.sample(range(380, 4200), 36)
    models = [
        f"{maker} {number}" for maker in ("Comet", "Finch", "Otter") for number in rng.sample(range(100, 999), 12)
    ]
    ages = [rng.randint(18, 74) for _ in range(24)]
    return {
        "station": [(i + 1, place, rng.choice(districts), docks[i]) for i, place in enumerate(places)],
        "bike": [
            (i + 1, model, rng.choice(kinds), rng.randint(2015, 2023), prices[i], rng.randint(1, 10))
            for i, model in enumerate(models)
        ],
        "customer": [
            (i + 1, name, rng.choice(["day pass", "monthly", "yearly"]), ages[i])
            for i, name in enumerate(people(rng, 24))
        ],
        "trip": [
            (i + 1, rng.randint(1, 31), rng.randint(1, 21), rng.randint(4, 130), round(rng.uniform(1, 19), 1))
            for i in range(80)
        ],
        "repair": [
            (i + 1, rng.randint(1, 36), rng.choice(["brake", "chain", "light", "tyre"]), rng.randint(5, 160))
            for i in range(30)
        ],
    }


def film_festival(rng: random.Random) -> Tables:
    countries, genres = ["Brazil", "Canada", "Egypt", "India", "Spain"], ["animation", "comedy", "documentary", "drama"]
    halls = ["Aurora", "Bijou", "Corso", "Delphi", "Elysium", "Forum", "Globe", "Helios", "Iris", "Jewel"]
    minutes, seats, ages = (
        rng.sample(span, n) for span, n in ((range(58, 190), 34), (range(70, 900), 10), (range(27, 81), 18))
    )
    return {
        "director": [(i + 1, name, rng.choice(countries), ages[i]) for i, name in enumerate(people(rng, 18))],
        "film": [
            (i + 1, title, rng.randint(1, 15), rng.choice(genres), minutes[i], rng.randint(2012, 2023))
            for i, title in enumerate(titles(rng, 34))
        ],
        "venue": [(i + 1, hall, rng.choice(["Lisbon", "Porto", "Braga"]), seats[i]) for i, hall in enumerate(halls)],
        "screening": [
            (
                i + 1,
                rng.randint(1, 29),
                rng.randint(1, 9),
                rng.choice(["Friday", "Saturday", "Sunday"]),
                rng.randint(20, 600),
            )
            for i in range(70)
        ],
        "prize": [
            (i + 1, rng.randint(1, 34), category, 1000 * rng.randint(1, 25))
            for i, category in enumerate(["best film", "best script", "best sound", "public choice", "best debut"] * 4)
        ],
    }


def farm_cooperative(rng: random.Random) -> Tables:
    villages = ["Alder", "Birchfield", "Cole", "Dunmore", "Eastwick"]
    farms = [
        "Amber",
        "Badger",
        "Clover",
        "Dove",
        "Elder",
        "Foxglove",
        "Gorse",
        "Heron",
        "Ivy",
        "Jackdaw",
        "Kestrel",
        "Linden",
    ]
    crops = [
        "barley",
        "beans",
        "beetroot",
        "carrots",
        "kale",
        "leeks",
        "oats",
        "onions",
        "peas",
        "rye",
        "squash",
        "wheat",
    ]
    hectares, prices = rng.sample(range(12, 260), 12), rng.sample(range(15, 420), 12)
    wages = rng.sample(range(1450, 3900), 32)
    return {
        "farm": [
            (i + 1, f"{f} Farm", rng.choice(villages), rng.choice(["organic", "conventional"]), hectares[i])
            for i, f in enumerate(farms)
        ],
        "crop": [(i + 1, c, rng.choice(["spring", "summer", "autumn"]), prices[i] / 100) for i, c in enumerate(crops)],
        "harvest": [
            (i + 1, rng.randint(1, 10), rng.randint(1, 10), rng.randint(2019, 2023), 10 * rng.randint(8, 950))
            for i in range(76)
        ],
        "worker": [
            (i + 1, name, rng.randint(1, 11), rng.choice(["driver", "foreman", "mechanic", "picker"]), wages[i])
            for i, name in enumerate(people(rng, 32))
        ],
    }


LIBRARY = Database(
    "library",
    """
CREATE TABLE author (
    author_id INTEGER PRIMARY KEY, name TEXT, country TEXT, birth_year INTEGER
);
CREATE TABLE book (
    book_id INTEGER PRIMARY KEY, title TEXT, author_id INTEGER REFERENCES author(author_id), genre TEXT,
    year INTEGER, pages INTEGER
);
CREATE TABLE branch (
    branch_id INTEGER PRIMARY KEY, name TEXT, district TEXT, opened INTEGER
);
CREATE TABLE member (
    member_id INTEGER PRIMARY KEY, name TEXT, district TEXT, joined INTEGER
);
CREATE TABLE loan (
    loan_id INTEGER PRIMARY KEY, book_id INTEGER REFERENCES book(book_id),
    member_id INTEGER REFERENCES member(member_id), branch_id INTEGER REFERENCES branch(branch_id), days INTEGER
);
""",
    library,
    (
        Entity("author", "author", "authors", "name", {"country": "country"}, {"birth_year": "year of birth"}),
        Entity("book", "book", "books", "title", {"genre": "genre"}, {"year": "year", "pages": "number of pages"}),
        Entity("member", "member", "members", "name", {"district": "district"}, {"joined": "joining year"}),
        Entity("loan", "loan", "loans", "loan_id", {}, {"days": "number of days"}),
    ),
    (Link("book", "author", "author_id"), Link("loan", "book", "book_id"), Link("loan", "member", "member_id")),
)

BIKE_RENTAL = Database(
    "bike_rental",
    """
CREATE TABLE station (
    station_id INTEGER PRIMARY KEY, name TEXT, district TEXT, docks INTEGER
);
CREATE TABLE bike (
    bike_id INTEGER PRIMARY KEY, model TEXT, kind TEXT, year INTEGER, price INTEGER,
    station_id INTEGER REFERENCES station(station_id)
);
CREATE TABLE customer (
    customer_id INTEGER PRIMARY KEY, name TEXT, plan TEXT, age INTEGER
);
CREATE TABLE trip (
    trip_id INTEGER PRIMARY KEY, bike_id INTEGER REFERENCES bike(bike_id),
    customer_id INTEGER REFERENCES customer(customer_id), minutes INTEGER, fare REAL
);
CREATE TABLE repair (
    repair_id INTEGER PRIMARY KEY, bike_id INTEGER REFERENCES bike(bike_id), part TEXT, cost INTEGER
);
""",
    bike_rental,
    (
        Entity("station", "station", "stations", "name", {"district": "district"}, {"docks": "number of docks"}),
        Entity("bike", "bike", "bikes", "model", {"kind": "kind"}, {"price": "price", "year": "year"}),
        Entity("customer", "customer", "customers", "name", {"plan": "plan"}, {"age": "age"}),
        Entity("trip", "trip", "trips", "trip_id", {}, {"minutes": "number of minutes", "fare": "fare"}),
        Entity("repair", "repair", "repairs", "repair_id", {"part": "part"}, {"cost": "cost"}),
    ),
    (
        Link("bike", "station", "station_id"),
        Link("trip", "bike", "bike_id"),
        Link("trip", "customer", "customer_id"),
        Link("repair", "bike", "bike_id"),
    ),
)

FILM_FESTIVAL = Database(
    "film_festival",
    """
CREATE TABLE director (
    director_id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INTEGER
);
CREATE TABLE film (
    film_id INTEGER PRIMARY KEY, title TEXT, director_id INTEGER REFERENCES director(director_id), genre TEXT,
    minutes INTEGER, year INTEGER
);
CREATE TABLE venue (
    venue_id INTEGER PRIMARY KEY, name TEXT, city TEXT, seats INTEGER
);
CREATE TABLE screening (
    screening_id INTEGER PRIMARY KEY, film_id INTEGER REFERENCES film(film_id),
    venue_id INTEGER REFERENCES venue(venue_id), day TEXT, tickets INTEGER
);
CREATE TABLE prize (
    prize_id INTEGER PRIMARY KEY, film_id INTEGER REFERENCES film(film_id), category TEXT, amount INTEGER
);
""",
    film_festival,
    (
        Entity("director", "director", "directors", "name", {"country": "country"}, {"age": "age"}),
        Entity("film", "film", "films", "title", {"genre": "genre"}, {"minutes": "running time", "year": "year"}),
        Entity("venue", "venue", "venues", "name", {"city": "city"}, {"seats": "number of seats"}),
        Entity(
            "screening", "screening", "screenings", "screening_id", {"day": "day"}, {"tickets": "number of tickets"}
        ),
        Entity("prize", "prize", "prizes", "prize_id", {"category": "category"}, {"amount": "amount"}),
    ),
    (
        Link("film", "director", "director_id"),
        Link("screening", "film", "film_id"),
        Link("screening", "venue", "venue_id"),
        Link("prize", "film", "film_id"),
    ),
)

FARM_COOPERATIVE = Database(
    "farm_cooperative",
    """
CREATE TABLE farm (
    farm_id INTEGER PRIMARY KEY, name TEXT, village TEXT, method TEXT, hectares INTEGER
);
CREATE TABLE crop (
    crop_id INTEGER PRIMARY KEY, name TEXT, season TEXT, price_per_kg REAL
);
CREATE TABLE harvest (
    harvest_id INTEGER PRIMARY KEY, farm_id INTEGER REFERENCES farm(farm_id),
    crop_id INTEGER REFERENCES crop(crop_id), year INTEGER, kg INTEGER
);
CREATE TABLE worker (
    worker_id INTEGER PRIMARY KEY, name TEXT, farm_id INTEGER REFERENCES farm(farm_id), role TEXT, wage INTEGER
);
""",
    farm_cooperative,
    (
        Entity(
            "farm",
            "farm",
            "farms",
            "name",
            {"village": "village", "method": "method"},
            {"hectares": "area in hectares"},
        ),
        Entity("crop", "crop", "crops", "name", {"season": "season"}, {"price_per_kg": "price per kilogram"}),
        Entity("worker", "worker", "workers", "name", {"role": "role"}, {"wage": "wage"}),
        Entity("harvest", "harvest", "harvests", "harvest_id", {}, {"kg": "weight in kilograms", "year": "year"}),
    ),
    (Link("harvest", "farm", "farm_id"), Link("harvest", "crop", "crop_id"), Link("worker", "farm", "farm_id")),
)

DATABASES = (LIBRARY, BIKE_RENTAL, FILM_FESTIVAL, FARM_COOPERATIVE)
