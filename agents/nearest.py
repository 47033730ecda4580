"""Retrieval by similarity alone: the k nearest cases by cosine, in an order of one's own choice."""

from __future__ import annotations

import numpy as np

from agent import NoRetrieval, Parts
from memory.bank import CaseBank
from step import Case, Step


class Nearest(NoRetrieval):
    """The k nearest cases, sorted by cosine however few there are; it ranks by nothing else and needs no policy."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.bank = CaseBank(parts.text_encoder())
        self._order = parts.config.order

    def retrieve(self, step: Step) -> None:
        step.show(self._ordered(self.with_outcome(self.bank.recall(step.task, self.k)), step.number))

    def _ordered(self, cases: list[Case], number: int) -> list[Case]:
        """`cases`, which come nearest first, as --order says; chance depends on the seed and the step alone."""
        if self._order == "similar_last":
            return cases[::-1]
        if self._order == "random":
            return [cases[i] for i in np.random.default_rng([self.seed, number]).permutation(len(cases))]
        return cases
