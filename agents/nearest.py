"""Retrieval by similarity alone: the k nearest cases by cosine, in an order of one's own choice."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from agent import NoRetrieval, Parts, make_bank
from step import Step

Found = TypeVar("Found")


class Nearest(NoRetrieval):
    """The k nearest cases, sorted by cosine however few there are; it ranks by nothing else and needs no policy."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.bank = make_bank(parts.config, parts.text_encoder())
        self._order = parts.config.order

    def retrieve(self, step: Step) -> None:
        found = self.with_outcome(self.bank.recall(step.task, self.k))
        step.show(in_order(found, self._order, [self.seed, step.number]))


def in_order(found: list[Found], order: str | None, seeds: list[int]) -> list[Found]:
    """What was found, nearest first, as --order says; chance depends on `seeds` alone."""
    if order == "similar_last":
        return found[::-1]
    if order == "random":
        return [found[i] for i in np.random.default_rng(seeds).permutation(len(found))]
    return found
