"""The planted streams. A world says how queries lie, what their cases answer, and how an LLM answers with them.

Every query belongs to a class, whose name is its right answer, and lies near the class's centre. Once answered it
becomes a case, whatever the policy did, so all policies choose among the same cases and regret is theirs alone. A world
is its functions: how a case comes to its answer, and what chance of success a set of shown cases gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from step import Case

CLASSES, DIM, SPREAD = 12, 12, 0.75
ALONE = 0.3  # the chance of success of an LLM that is shown nothing
FOLLOWED = 0.9  # how often it takes over what it is shown
MARK = 0.8  # how far poison lies off along the last dimension


@dataclass(frozen=True)
class Query:
    """One query: its place in the stream from 1, its right answer, its unit vector, and what its case is like."""

    number: int
    label: int
    vector: np.ndarray
    marked: bool  # the case that it leaves is of the kind that is poison
    worth: float  # how useful that case is, in [0, 1], where answers never repeat

    @property
    def text(self) -> str:
        return f"query {self.number}"


@dataclass(frozen=True)
class World:
    """A kind of stream.

    Attributes:
        about: what is planted, in a line.
        answer: the answer of the case that a query leaves: (query, length of the stream) -> text.
        chance: the chance of success with the cases of these queries shown: (query, shown, their cases, length).
        label: the right answer of a query: (query, length) -> text.
        k: how many cases are shown.
        marks: the share of cases of the poisonous kind.
        copied: whether a wrong answer is that of the case that was shown, where that is wrong; else any other.
    """

    about: str
    answer: Callable[[Query, int], str]
    chance: Callable[[Query, Sequence[Query], Sequence[Case], int], float]
    label: Callable[[Query, int], str] = field(default=lambda query, length: str(query.label))
    k: int = 1
    marks: float = 0.0
    copied: bool = True


def queries(world: World, steps: int, seed: int) -> list[Query]:
    """The stream of a seed."""
    rng = np.random.default_rng(seed)
    centres = _unit(rng.standard_normal((CLASSES, DIM - 1)))
    made = []
    for number in range(1, steps + 1):
        label, marked = int(rng.integers(CLASSES)), bool(rng.random() < world.marks)
        place = centres[label] + SPREAD * rng.standard_normal(DIM - 1) / np.sqrt(DIM - 1)
        vector = _unit(np.append(_unit(place), MARK if marked else 0.0))
        made.append(Query(number, label, vector.astype(np.float32), marked, float(rng.random())))
    return made


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


# -- answers -----------------------------------------------------------------------------------------------------------


def true_answer(query: Query, length: int) -> str:
    return str(query.label)


def misleading_answer(query: Query, length: int) -> str:
    """Wrong for two thirds of the cases of every second class: another class's name, always the same."""
    wrong = query.label % 2 and query.number % 3
    return str((query.label + 1) % CLASSES if wrong else query.label)


def drifting_answer(query: Query, length: int) -> str:
    """From the middle of the stream the names of each pair of classes are exchanged."""
    return str(query.label ^ 1 if 2 * query.number > length else query.label)


def own_answer(query: Query, length: int) -> str:
    return f"answer {query.number}"


# -- chances of success ------------------------------------------------------------------------------------------------


def _followed(share: float, drifting: bool = False) -> Callable[[Query, Sequence[Query], Sequence[Case], int], float]:
    """The LLM gives the shown answer with chance `share`, else what it would say alone."""

    def chance(query: Query, shown: Sequence[Query], cases: Sequence[Case], length: int) -> float:
        right = drifting_answer(query, length) if drifting else str(query.label)
        if not cases:
            return ALONE
        return share * float(cases[0].answer == right) + (1 - share) * ALONE

    return chance


def _poisoned(query: Query, shown: Sequence[Query], cases: Sequence[Case], length: int) -> float:
    if any(other.marked for other in shown):
        return 0.05
    return _followed(FOLLOWED)(query, shown, cases, length)


def _ignored(query: Query, shown: Sequence[Query], cases: Sequence[Case], length: int) -> float:
    return 0.1 + 0.8 * (query.label / (CLASSES - 1))


def _hurt(query: Query, shown: Sequence[Query], cases: Sequence[Case], length: int) -> float:
    return 0.25 if cases else 0.6


def _hurt_a_little(query: Query, shown: Sequence[Query], cases: Sequence[Case], length: int) -> float:
    return 0.5 if cases else 0.6


def _turned(query: Query, shown: Sequence[Query], cases: Sequence[Case], length: int) -> float:
    """Good until the middle of the stream, harmful from there on, as under an LLM that was exchanged."""
    return (_hurt if 2 * query.number > length else _followed(FOLLOWED))(query, shown, cases, length)


def _hurt_in_half(query: Query, shown: Sequence[Query], cases: Sequence[Case], length: int) -> float:
    if query.label % 2:
        return _hurt(query, shown, cases, length)
    return _followed(FOLLOWED)(query, shown, cases, length)


def _interacting(query: Query, shown: Sequence[Query], cases: Sequence[Case], length: int) -> float:
    """Two cases with the right answer help little more than one; one beside another answer shows the difference."""
    right = sum(case.answer == str(query.label) for case in cases)
    return {0: 0.15, 1: 0.9 if len(cases) > 1 else 0.6, 2: 0.65}[right] if cases else ALONE


def _by_worth(query: Query, shown: Sequence[Query], cases: Sequence[Case], length: int) -> float:
    """Answers never repeat: a case helps by how alike it is and by how good it is in itself."""
    if not cases:
        return ALONE
    alike = max(0.0, float(query.vector @ shown[0].vector))
    return 0.1 + 0.8 * alike * shown[0].worth


WORLDS = {
    "similarity helps": World(
        "the LLM follows a case in 9 of 10, and near cases are mostly right", true_answer, _followed(FOLLOWED)
    ),
    "similarity misleads": World(
        "in every second class two thirds of the cases are wrong", misleading_answer, _followed(FOLLOWED)
    ),
    "poison": World(
        "a fifth of the cases, of one kind, spoil the answer", true_answer, _poisoned, marks=0.2, copied=False
    ),
    "drift": World(
        "in the middle of the stream pairs of answers change places",
        drifting_answer,
        _followed(FOLLOWED, drifting=True),
        drifting_answer,
    ),
    "copies": World("the LLM copies what it is shown", true_answer, _followed(1.0)),
    "ignores": World("the LLM ignores what it is shown", true_answer, _ignored, copied=False),
    "cases hurt": World("any case is worse than none", true_answer, _hurt, copied=False),
    "cases hurt in half": World(
        "any case is worse than none, in every second class", true_answer, _hurt_in_half, copied=False
    ),
    "cases hurt a little": World("any case is a little worse than none", true_answer, _hurt_a_little, copied=False),
    "cases come to hurt": World("from the middle any case is worse than none", true_answer, _turned, copied=False),
    "two interact": World("k = 2: one right case beside another answer is best", true_answer, _interacting, k=2),
    "answers never repeat": World(
        "a case helps by likeness and by a worth of its own", own_answer, _by_worth, own_answer, copied=False
    ),
}
