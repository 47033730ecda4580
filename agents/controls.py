"""`--control random`: as many cases as the method would show, drawn by chance: as long a prompt without the choice.

(The other control, `--control empty`, needs no class: nothing is shown or kept, and the method's prompt stays.)
"""

from __future__ import annotations

import numpy as np

from agent import NoRetrieval
from step import Step


class RandomCases(NoRetrieval):
    """k cases of the bank, each set as likely; the draw depends on the seed and the step alone."""

    def retrieve(self, step: Step) -> None:
        rng = np.random.default_rng([self.seed, step.number])
        drawn = rng.permutation(len(self.bank))[: self.k]
        step.show(self.with_outcome([self.bank.cases[i] for i in drawn]))
