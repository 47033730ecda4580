"""The mud sample: criminal cases, told as courts tell them.

Every case has a principal; the others who join have parts of their own, so their charges often differ. A charge
follows from what a defendant did and is never named.
"""

from __future__ import annotations

import random
from pathlib import Path

from .court import draw_details, draw_names
from .facts import load_facts
from .wording import expand, listing, start_upper

facts = load_facts("mud")
ROWS = 200
WORDS = (60, 150)


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """200 rows, shuffled; every case is told about equally often."""
    drawn: dict[str, dict[str, str]] = {}
    while len(drawn) < ROWS:
        task, label = tell(facts.cases[len(drawn) % len(facts.cases)], rng)
        if WORDS[0] <= len(task.split()) <= WORDS[1]:
            drawn[task] = label
    result = [{"task": task, "label": label} for task, label in drawn.items()]
    rng.shuffle(result)
    return result


def tell(trial: dict, rng: random.Random) -> tuple[str, dict[str, str]]:
    """A case with new people and details: (its facts, the charge of each defendant)."""
    others = trial.get("others", [])
    parts = [trial["principal"], *rng.sample(others, min(len(others), rng.choice((0, 1, 2, 2))))]
    names = draw_names(rng, len(parts))
    details = draw_details(rng, avoid=names) | {"A": names[0], "All": listing(names)}
    sentences = [rng.choice(facts.openings)]
    sentences += [part["act"].replace("{X}", name) for part, name in zip(parts, names)]
    sentences.append(rng.choice(facts.closings).replace("{was|were}", "was" if len(names) == 1 else "were"))
    told = [start_upper(expand(sentence, rng, details)) for sentence in sentences if sentence]
    return " ".join(told), {name: part["charge"] for part, name in zip(parts, names)}
