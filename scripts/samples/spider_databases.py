"""The invented databases of the spider sample: their rows, and how they are spoken of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .facts import load_facts
from .text_to_sql import Tables

facts = load_facts("spider")
Words = Sequence[str]


@dataclass(frozen=True)
class Entity:
    """A table whose rows have names: how it is spoken of, its text columns and its number columns with their words."""

    table: str
    plural: str
    name: str
    texts: dict[str, str]
    numbers: dict[str, str]


@dataclass(frozen=True)
class Database:
    """A database of the facts; in a link, `key` of the table `child` refers to `key` of the table `parent`."""

    schema: str
    words: dict[str, Words]
    entities: dict[str, dict[str, Any]]  # table -> the rest of an Entity
    links: list[dict[str, str]]

    def entity(self, table: str) -> Entity:
        return Entity(table, **self.entities[table])


def people(rng: random.Random, count: int) -> list[str]:
    """Different full names."""
    return rng.sample([f"{first} {last}" for first in facts.first_names for last in facts.last_names], count)


def titles(rng: random.Random, count: int) -> list[str]:
    """Different titles of books and films."""
    return rng.sample([f"The {adjective} {noun}" for adjective in facts.adjectives for noun in facts.nouns], count)


def library(rng: random.Random, countries: Words, genres: Words, districts: Words) -> Tables:
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


def bike_rental(
    rng: random.Random, districts: Words, kinds: Words, places: Words, makers: Words, plans: Words, parts: Words
) -> Tables:
    docks, prices = rng.sample(range(8, 44), 12), rng.sample(range(380, 4200), 36)
    models = [f"{maker} {number}" for maker in makers for number in rng.sample(range(100, 999), 12)]
    ages = [rng.randint(18, 74) for _ in range(24)]
    return {
        "station": [(i + 1, place, rng.choice(districts), docks[i]) for i, place in enumerate(places)],
        "bike": [
            (i + 1, model, rng.choice(kinds), rng.randint(2015, 2023), prices[i], rng.randint(1, 10))
            for i, model in enumerate(models)
        ],
        "customer": [(i + 1, name, rng.choice(plans), ages[i]) for i, name in enumerate(people(rng, 24))],
        "trip": [
            (i + 1, rng.randint(1, 31), rng.randint(1, 21), rng.randint(4, 130), round(rng.uniform(1, 19), 1))
            for i in range(80)
        ],
        "repair": [(i + 1, rng.randint(1, 36), rng.choice(parts), rng.randint(5, 160)) for i in range(30)],
    }


def film_festival(
    rng: random.Random, countries: Words, genres: Words, halls: Words, cities: Words, days: Words, categories: Words
) -> Tables:
    minutes, seats, ages = (
        rng.sample(span, n) for span, n in ((range(58, 190), 34), (range(70, 900), 10), (range(27, 81), 18))
    )
    return {
        "director": [(i + 1, name, rng.choice(countries), ages[i]) for i, name in enumerate(people(rng, 18))],
        "film": [
            (i + 1, title, rng.randint(1, 15), rng.choice(genres), minutes[i], rng.randint(2012, 2023))
            for i, title in enumerate(titles(rng, 34))
        ],
        "venue": [(i + 1, hall, rng.choice(cities), seats[i]) for i, hall in enumerate(halls)],
        "screening": [
            (
                i + 1,
                rng.randint(1, 29),
                rng.randint(1, 9),
                rng.choice(days),
                rng.randint(20, 600),
            )
            for i in range(70)
        ],
        "prize": [
            (i + 1, rng.randint(1, 34), category, 1000 * rng.randint(1, 25))
            for i, category in enumerate(categories * 4)
        ],
    }


def farm_cooperative(
    rng: random.Random, villages: Words, farms: Words, methods: Words, crops: Words, seasons: Words, roles: Words
) -> Tables:
    hectares, prices = rng.sample(range(12, 260), 12), rng.sample(range(15, 420), 12)
    wages = rng.sample(range(1450, 3900), 32)
    return {
        "farm": [
            (i + 1, f"{f} Farm", rng.choice(villages), rng.choice(methods), hectares[i]) for i, f in enumerate(farms)
        ],
        "crop": [(i + 1, c, rng.choice(seasons), prices[i] / 100) for i, c in enumerate(crops)],
        "harvest": [
            (i + 1, rng.randint(1, 10), rng.randint(1, 10), rng.randint(2019, 2023), 10 * rng.randint(8, 950))
            for i in range(76)
        ],
        "worker": [
            (i + 1, name, rng.randint(1, 11), rng.choice(roles), wages[i]) for i, name in enumerate(people(rng, 32))
        ],
    }


# each takes its database's words
FILLERS: dict[str, Callable[..., Tables]] = {
    "library": library,
    "bike_rental": bike_rental,
    "film_festival": film_festival,
    "farm_cooperative": farm_cooperative,
}
