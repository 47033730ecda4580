"""The sentifin sample: invented financial headlines with the sentiment towards each entity."""

from __future__ import annotations

import random
import re
from pathlib import Path

from .facts import load_facts
from .wording import expand, start_upper

facts = load_facts("sentifin")
ENTITIES = facts.entities | {"firm": facts.entities["company"] + facts.entities["bank"]}
ROWS = 250
ENTITY = re.compile(r"\[(\w+)([+0-])\]")
SENTIMENT = {"+": "positive", "0": "neutral", "-": "negative"}


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """250 rows, shuffled, every headline's pattern about equally often; no headline twice."""
    drawn: dict[str, list[dict[str, str]]] = {}
    while len(drawn) < ROWS:
        headline, entities = write(facts.headlines[len(drawn) % len(facts.headlines)], rng)
        drawn[headline] = entities
    result = [{"task": headline, "label": entities} for headline, entities in drawn.items()]
    rng.shuffle(result)
    return result


def write(pattern: str, rng: random.Random) -> tuple[str, list[dict[str, str]]]:
    """A headline and its entities, different ones, in the order and the spelling in which it has them."""
    entities: list[dict[str, str]] = []

    def place(match: re.Match[str]) -> str:
        taken = {entity["entity"].casefold() for entity in entities}
        name = rng.choice([name for name in ENTITIES[match[1]] if name.casefold() not in taken])
        name = start_upper(name) if match.start() == 0 else name
        entities.append({"entity": name, "label": SENTIMENT[match[2]]})
        return name

    headline = ENTITY.sub(place, pattern)
    return expand(headline, rng, facts.details), entities
