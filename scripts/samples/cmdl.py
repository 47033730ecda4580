"""The cmdl sample: criminal cases with what the court found about each defendant.

The penalties follow from the gravity of the act, the defendant's part in it and the circumstances by one rule,
`penalties`. It is modelled on the order of Chinese criminal law, much simplified, and no statement of the law.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .court import draw_details, draw_names
from .facts import load_facts
from .wording import expand, start_upper

facts = load_facts("cmdl")
ROWS = 200
DETENTION, IMPRISONMENT, LIFE, DEATH = 1, 2, 5, 6  # the gravity from which each penalty is given
ADULT = 18


@dataclass(frozen=True)
class Offence:
    """One kind of act: `acts` by gravity; `fined` if it is about money, drugs or the road; what a helper did, if any.

    `victims` says whether somebody can be compensated; otherwise gains can only be handed over. Where there are `jobs`,
    the principal is an adult who has one of them.
    """

    acts: dict[int, str]
    fined: bool
    help: str | None = None
    victims: bool = True
    jobs: Sequence[str] | None = None


def penalties(gravity: int, fined: bool, age: int) -> list[str]:
    """The penalties for an act of `gravity`, once everything that weighs for or against the defendant is counted in.

    Acts about money (`fined`) carry a fine as well, and only that where they weigh too little for detention. Nobody
    is sent to prison for life or to death for what they did as a minor.
    """
    if age < ADULT:
        gravity = min(gravity, LIFE - 1)
    if gravity < DETENTION:
        return ["Fine"] if fined else ["Surveillance"]
    if gravity < IMPRISONMENT:
        main = "Detention"
    elif gravity < LIFE:
        main = "Imprisonment"
    else:
        main = "Life Imprisonment" if gravity < DEATH else "Death Penalty"
    return [main, "Fine"] if fined else [main]


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """200 rows, shuffled; every act is told about equally often."""
    offences = [Offence(**offence) for offence in facts.offences]
    acts = [(offence, gravity) for offence in offences for gravity in offence.acts]
    result = []
    for place in range(ROWS):
        task, label = tell(*acts[place % len(acts)], rng)
        result.append({"task": task, "label": label})
    rng.shuffle(result)
    return result


def tell(offence: Offence, gravity: int, rng: random.Random) -> tuple[str, dict[str, list[str]]]:
    """A case with new people: (its facts and findings, the penalties of each defendant)."""
    names = draw_names(rng, rng.choice((1, 1, 2, 2, 3)) if offence.help else 1)
    details = draw_details(rng, avoid=names) | {"A": names[0], "help": offence.help or ""}
    people, acts, findings, label = [], [offence.acts[gravity]], [], {}
    for name in names:
        age, job = draw_person(offence.jobs if name == names[0] else None, rng)
        people.append(f"{name} ({age}, {job})")
        weight = gravity - (age < ADULT)
        if name != names[0]:
            minor = rng.random() < 0.6
            acts.append(rng.choice(facts.minor if minor else facts.equal).replace("{X}", name))
            weight -= minor
        shift, sentences = circumstances(offence, age, rng)
        findings += [sentence.replace("{X}", name) for sentence in sentences]
        label[name] = penalties(weight + shift, offence.fined, age)
    told = [start_upper(expand(sentence, rng, details)) for sentence in (*acts, *findings)]
    return f"{'Defendants' if len(names) > 1 else 'Defendant'}: {', '.join(people)}.\n{' '.join(told)}", label


def draw_person(jobs: Sequence[str] | None, rng: random.Random) -> tuple[int, str]:
    """(age, job): an adult with one of `jobs`, or anybody, one in eight of them a minor, where there are none."""
    if jobs is None and rng.random() < 0.125:
        return rng.choice((16, 17)), rng.choice(facts.young_jobs)
    return rng.randint(24, 63), rng.choice(jobs or facts.jobs)


def circumstances(offence: Offence, age: int, rng: random.Random) -> tuple[int, list[str]]:
    """What the court found about a defendant: (how much it adds to the gravity, the sentences)."""
    shift, sentences = 0, []
    if age >= ADULT and rng.random() < 0.22:
        shift += 1
        sentences.append(rng.choice(facts.recidivist))
    elif rng.random() < 0.4:
        sentences.append(rng.choice(facts.no_record))
    surrendered = rng.random() < 0.35
    shift -= surrendered
    sentences.append(rng.choice(facts.surrender if surrendered else facts.caught))
    if (offence.victims or offence.fined) and rng.random() < 0.3:
        shift -= 1
        sentences.append(rng.choice(facts.compensated if offence.victims else facts.returned))
    if rng.random() < 0.3:
        sentences.append(rng.choice(facts.neutral))
    return shift, sentences
