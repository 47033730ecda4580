"""The banking77 sample: customers' messages in our own words.

A wording that comes up again has other details, another tone and now and then a slip of the keyboard. Neighbouring
intents share their vocabulary on purpose.
"""

from __future__ import annotations

import random
from pathlib import Path

from .facts import load_facts
from .wording import expand, start_upper

facts = load_facts("banking77")
ROWS_PER_INTENT = 5
CASUAL, TYPO, GREETED, CLOSED = 0.25, 0.15, 0.22, 0.18  # shares of the messages


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """385 rows, shuffled: five for each of the 77 intents, no message twice."""
    drawn: dict[str, str] = {}
    for label, wordings in facts.intents.items():
        for _ in range(ROWS_PER_INTENT):
            while (message := write(rng.choice(wordings), rng)) in drawn:
                pass
            drawn[message] = label
    result = [{"task": message, "label": label} for message, label in drawn.items()]
    rng.shuffle(result)
    return result


def write(wording: str, rng: random.Random) -> str:
    """One customer's version of a wording."""
    message = start_upper(expand(wording, rng, facts.details))
    if rng.random() < GREETED:
        message = f"{rng.choice(facts.greetings)} {message}"
    if rng.random() < CLOSED:
        message = f"{message} {rng.choice(facts.closings)}"
    if rng.random() < CASUAL:
        message = message.lower().replace("'", "").rstrip(".?")
    if rng.random() < TYPO:
        message = slip(message, rng)
    return message


def slip(message: str, rng: random.Random) -> str:
    """Swap, drop or double a letter inside one of the longer words."""
    words = message.split(" ")
    place = rng.choice([index for index, word in enumerate(words) if len(word) > 4 and word.isalpha()] or [None])
    if place is None:
        return message
    word = words[place]
    at = rng.randint(1, len(word) - 3)
    middle = rng.choice((word[at + 1] + word[at], word[at], word[at] * 2 + word[at + 1]))
    words[place] = word[:at] + middle + word[at + 2 :]
    return " ".join(words)
