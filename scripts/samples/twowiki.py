"""The 2wiki sample: a small invented encyclopedia and 60 questions that need two of its articles each.

The world is drawn first (people, works, places and how they hang together); articles and questions are both written
from it, so every answer is in the corpus. `evidence` names the two articles in the order in which they are needed.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from .facts import load_facts
from .wording import article

facts = load_facts("2wiki")
PER_KIND = 6  # questions of each of the ten kinds
ACTORS = 40
Question = dict[str, object]


@dataclass
class Person:
    name: str
    trade: str
    town: str
    born: tuple[int, int, int]  # day, month, year
    university: str
    spouse: Person | None = None
    parent: Person | None = None

    @property
    def last(self) -> str:
        return self.name.rpartition(" ")[2]

    @property
    def birth(self) -> str:
        return f"{self.born[0]} {facts.months[self.born[1] - 1]} {self.born[2]}"


@dataclass
class Work:
    kind: str  # film, novel or company
    title: str
    maker: Person
    year: int
    town: str


@dataclass
class World:
    """Everything there is. `articles` holds title -> text."""

    people: list[Person] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    university_towns: dict[str, str] = field(default_factory=dict)
    articles: dict[str, str] = field(default_factory=dict)

    @property
    def region_of(self) -> dict[str, str]:
        return {town: region for region, place in facts.regions.items() for town in place["towns"]}


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """60 questions, shuffled; writes corpus.jsonl."""
    world = draw_world(rng)
    write_articles(world, rng)
    titles = list(world.articles)
    rng.shuffle(titles)
    lines = [
        json.dumps({"id": str(number), "contents": f'"{title}"\n{world.articles[title]}'}, ensure_ascii=False) + "\n"
        for number, title in enumerate(titles)
    ]
    (folder / "corpus.jsonl").write_text("".join(lines), encoding="utf-8")
    numbers = {title: str(number) for number, title in enumerate(titles)}
    questions = [
        question | {"evidence": [numbers[title] for title in question["evidence"]]} for question in ask(world, rng)
    ]
    rng.shuffle(questions)
    return questions


def draw_world(rng: random.Random) -> World:
    world = World()
    towns = list(world.region_of)
    world.university_towns = {name: rng.choice(towns) for name in facts.universities}
    names = [f"{given} {family}" for given in facts.given_names for family in facts.family_names]
    rng.shuffle(names)

    def draw_person(trade: str, years: tuple[int, int] = (1880, 1930)) -> Person:
        born = (rng.randint(1, 28), rng.randint(1, 12), rng.randint(*years))
        person = Person(names.pop(), trade, rng.choice(towns), born, rng.choice(facts.universities))
        world.people.append(person)
        return person

    for kind, titles in facts.titles.items():
        for title in titles:
            maker = draw_person(rng.choice(facts.trades[kind]))
            world.works.append(Work(kind, title, maker, maker.born[2] + rng.randint(25, 50), rng.choice(towns)))
    makers = list(world.people)
    for person in makers:
        person.parent = draw_person(rng.choice(facts.trades_of_others), (person.born[2] - 40, person.born[2] - 22))
        person.spouse = draw_person(rng.choice(facts.trades_of_others))
    for _ in range(ACTORS):
        draw_person("actor")
    return world


def write_articles(world: World, rng: random.Random) -> None:
    for person in world.people:
        world.articles[person.name] = describe_person(person, world, rng)
    actors = [person for person in world.people if person.trade == "actor"]
    for work in world.works:
        text = rng.choice(facts.articles[work.kind])
        world.articles[work.title] = text.format(
            title=work.title,
            maker=work.maker.name,
            year=work.year,
            town=work.town,
            genre=rng.choice(facts.genres),
            star=rng.choice(actors).name,
            product=rng.choice(facts.products),
        )
    for town, region in world.region_of.items():
        river = f", on the river {facts.rivers[region]}" if region in facts.rivers and rng.random() < 0.5 else ""
        people = f"{rng.randint(4, 900) * 100:,}"
        world.articles[town] = rng.choice(facts.articles["town"]).format(
            town=town, region=region, river=river, people=people
        )
    for region, place in facts.regions.items():
        product, named = rng.choice(facts.products), " and ".join(rng.sample(place["towns"][1:], 2))
        world.articles[region] = facts.articles["region"].format(
            region=region, capital=place["capital"], product=product, towns=named
        )
    for university, town in world.university_towns.items():
        year = rng.randint(1620, 1870)
        world.articles[university] = facts.articles["university"].format(university=university, town=town, year=year)


def describe_person(person: Person, world: World, rng: random.Random) -> str:
    words = {"name": person.name, "last": person.last, "town": person.town, "university": person.university}

    def say(about: str, **more: object) -> str:
        return rng.choice(facts.sentences[about]).format(**words, **more)

    family = ""
    if person.parent is not None and person.spouse is not None:
        child = say("child", parent=person.parent.name, a_parent_trade=with_article(person.parent.trade))
        wedding = person.born[2] + rng.randint(21, 35)
        family = f"{child} {say('spouse', spouse=person.spouse.name, wedding=wedding)}"
    death = f"{rng.randint(1, 28)} {rng.choice(facts.months)} {person.born[2] + rng.randint(55, 90)}"
    text = facts.articles["person"].format(
        name=person.name,
        birth=person.birth,
        death=death,
        a_trade=with_article(person.trade),
        region=world.region_of[person.town],
        Born=say("born"),
        study=say("study"),
        family=family,
    )
    return text.strip()


def with_article(noun: str) -> str:
    return f"{article(noun)} {noun}"


# -- questions ---------------------------------------------------------------------------------------------------------


def ask(world: World, rng: random.Random) -> list[Question]:
    """PER_KIND questions of each kind, each about another work or place."""
    films, novels, companies = ([w for w in world.works if w.kind == kind] for kind in ("film", "novel", "company"))
    for works in (films, novels, companies):
        rng.shuffle(works)
    university_people = rng.sample([work.maker for work in world.works], PER_KIND)
    places = rng.sample([work for work in world.works if work.kind == "company"], PER_KIND)
    questions = []
    for i in range(PER_KIND):
        film_a, film_b, film_c, film_d = films[i : i + 19 : PER_KIND]
        novel_a, novel_b, novel_c = novels[i : i + 13 : PER_KIND]
        company, student, seat = companies[i], university_people[i], places[i]
        school, region = student.university, world.region_of[seat.town]
        questions += [
            through(f"Where was the director of the film {film_a.title} born?", film_a, [film_a.maker.town]),
            through(f"Who was married to the director of {film_b.title}?", film_b, [film_b.maker.spouse.name]),
            through(f"When was the director of the film {film_c.title} born?", film_c, dates(film_c.maker)),
            through(f"Whose child was the author of {novel_a.title}?", novel_a, [novel_a.maker.parent.name]),
            through(f"At which school did the author of {novel_b.title} study?", novel_b, [novel_b.maker.university]),
            through(f"In which town was the founder of {company.title} born?", company, [company.maker.town]),
            question(
                f"In which town is the university where {student.name} studied?",
                [world.university_towns[school]],
                [student.name, school],
            ),
            question(
                f"In which region is the town where {seat.title} has its seat?",
                [region, f"region of {region}"],
                [seat.title, seat.town],
            ),
            earlier("Which novel was published first, {} or {}?", novel_c, novels),
            earlier("Which film came out earlier, {} or {}?", film_d, films),
        ]
    return questions


def question(task: str, label: list[str], evidence: list[str]) -> Question:
    return {"task": task, "label": label, "evidence": evidence}


def through(task: str, work: Work, label: list[str]) -> Question:
    """A question about the maker of a work: the work's article names the maker, the maker's has the answer."""
    return question(task, label, [work.title, work.maker.name])


def earlier(task: str, one: Work, works: list[Work]) -> Question:
    """A comparison of `one` with the next of the works that is of another year."""
    start = works.index(one) + 1
    other = next(work for work in [*works[start:], *works[:start]] if work.year != one.year)
    first = min(one, other, key=lambda work: work.year)
    return question(task.format(one.title, other.title), [first.title], [one.title, other.title])


def dates(person: Person) -> list[str]:
    """A birthday in the forms it is written in."""
    day, month, year = person.born
    name = facts.months[month - 1]
    return [person.birth, f"{name} {day}, {year}", f"{year}-{month:02}-{day:02}"]
