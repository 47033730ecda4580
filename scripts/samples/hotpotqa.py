"""The hotpotqa sample: questions that need two of ten paragraphs of an invented encyclopedia."""

from __future__ import annotations

import random
import re
from itertools import combinations
from pathlib import Path
from typing import Any

from .facts import load_facts
from .wording import expand

facts = load_facts("hotpotqa")
SLOT = re.compile(r"\[(\w+)\]")
PARAGRAPHS = 10
COMPARED = 14  # questions of each kind that compares
Thing = dict[str, str]
World = dict[str, dict[str, Thing]]  # kind -> name -> what is so of it


def rows(rng: random.Random, folder: Path) -> list[dict[str, Any]]:
    """Every bridge question and some comparisons, shuffled, each with its two paragraphs among eight others."""
    world = draw_world(rng)
    result = [
        _row(expand(_fill(question, {"name": name}), rng), world[second][thing[second]][asked], "bridge")
        | {"paragraphs": _paragraphs(rng, world, [(first, name), (second, thing[second])])}
        for first, second, asked, question in facts.bridges
        for name, thing in world[first].items()
    ]
    for kind, asked, question in facts.comparisons + facts.same:
        for one, other in rng.sample(list(combinations(world[kind], 2)), COMPARED):
            values = world[kind][one][asked], world[kind][other][asked]
            if asked == "year":
                if values[0] == values[1]:
                    continue
                label = min((values[0], one), (values[1], other))[1]
            else:
                label = "yes" if values[0] == values[1] else "no"
            task = _fill(question, {"one": one, "other": other})
            row = _row(task, label, "comparison")
            result.append(row | {"paragraphs": _paragraphs(rng, world, [(kind, one), (kind, other)])})
    rng.shuffle(result)
    return result


def draw_world(rng: random.Random) -> World:
    """Who wrote what, and what stands where."""
    river, good, trades = iter(rng.sample(facts.rivers, 10)), iter(rng.sample(facts.goods, 10)), facts.trades
    world: World = {
        "town": {
            name: {
                "county": rng.choice(facts.counties),
                "river": next(river),
                "good": next(good),
                "year": str(rng.randint(1100, 1780)),
            }
            for name in facts.towns
        }
    }
    place = facts.towns
    world["author"] = {
        name: {"town": rng.choice(place), "trade": rng.choice(trades), "year": str(rng.randint(1901, 1960))}
        for name in facts.authors
    }
    writers = rng.sample(facts.authors, len(facts.novels))
    world["novel"] = {
        name: {"author": author, "hero": rng.choice(facts.heroes), "year": str(rng.randint(1961, 2019))}
        for name, author in zip(facts.novels, writers)
    }
    for name, novel in world["novel"].items():
        world["author"][novel["author"]]["first_novel"] = name
    world["museum"] = {
        name: {"town": rng.choice(place), "year": str(rng.randint(1840, 2015)), "size": str(rng.randint(2, 90) * 100)}
        for name in facts.museums
    }
    singers = rng.sample(facts.singers, len(facts.bands))
    world["band"] = {
        name: {"town": rng.choice(place), "singer": singer, "year": str(rng.randint(1965, 2012))}
        for name, singer in zip(facts.bands, singers)
    }
    world["singer"] = {name: {"pastime": rng.choice(facts.pastimes)} for name in facts.singers}
    return world


def _row(task: str, label: str, kind: str) -> dict[str, Any]:
    return {"task": task, "label": label, "type": kind}


def _paragraphs(rng: random.Random, world: World, needed: list[tuple[str, str]]) -> list[dict[str, str]]:
    others = [(kind, name) for kind, things in world.items() for name in things if (kind, name) not in needed]
    chosen = needed + rng.sample(others, PARAGRAPHS - len(needed))
    rng.shuffle(chosen)
    return [
        {"title": name, "text": _fill(facts.paragraphs[kind], {"name": name, **world[kind][name]})}
        for kind, name in chosen
    ]


def _fill(text: str, values: Thing) -> str:
    return SLOT.sub(lambda slot: values[slot[1]], text)
