"""NeuralEvidenceLogUCB: EvidenceLogUCB with the logit of a trained encoder as one more feature.

What repeats, an answer, is counted; what does not, how alike two texts are for this task, is learned by an encoder. The
regression decides how far either can be trusted. Here the encoder's logit need not be a chance of success, nor explore:
both are the regression's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch

from agents.evidence import PRIOR, EvidenceLogUCB
from bandit import Encoder, NeuralLinLogUCB, Phi, Policy
from memory.bank import Embedder
from step import Case, Metrics


class NeuralEvidenceLogUCB(EvidenceLogUCB):
    """EvidenceLogUCB with a feature `neural`: the logit w . phi of query and case, less the nearest case's.

    The encoder is trained as NeuralLinLogUCB's is, on the cases that were shown and the step's bit, every `batch_size`
    * k pairs, but no history is encoded again: there is no A, and the rows of the regression stay as they were when
    they were scored. So the weight of `neural` says what the logit has been good for so far. With a
    `half_life` the regression forgets, the encoder does not.
    """

    grows: Collection[str] = (*EvidenceLogUCB.grows, "neural.history")
    prior = PRIOR | {"neural": 0.5}

    def __init__(
        self,
        text_encoder: Embedder,
        encoder: Encoder,
        exploration: float,
        prior_strength: float,
        evidence_width: float,
        null_arm: str,
        learning_rate: float,
        batch_size: int,
        comk: int,
        refresh: str = "sync",
        half_life: float | None = None,
    ) -> None:
        super().__init__(text_encoder, exploration, prior_strength, evidence_width, null_arm, half_life)
        self._neural = NeuralLinLogUCB(encoder, 1.0, 0.0, learning_rate, batch_size, comk, refresh=refresh)

    @property
    def encoder(self) -> Encoder:  # type: ignore[override]  # of the moment: training may put another in its place
        return self._neural.encoder

    def features(self, query: str, cases: Sequence[Case]) -> np.ndarray:
        rows = super().features(query, cases)
        logits = self._neural.features(self._neural.pairs(query, cases)) @ self._neural.w
        rows[: len(cases), -1] = (logits - logits[0]).cpu().numpy()
        return rows

    def update(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None = None) -> Metrics:
        super().update(query, cases, reward, phi)
        return self._neural.update(query, cases, reward) if cases else {}

    def snapshot(self, before: Policy | None = None) -> Policy:
        taken = super().snapshot(before)
        assert isinstance(taken, NeuralEvidenceLogUCB)
        last = before._neural if isinstance(before, NeuralEvidenceLogUCB) else None
        taken._neural = self._neural.snapshot(last)  # type: ignore[assignment]
        return taken

    def state_dict(self) -> dict[str, Any]:
        state = self._neural.state_dict()
        encoder, _ = state.pop("encoder"), state.pop("inverse")  # there is no A
        return super().state_dict() | {f"neural.{name}": value for name, value in state.items()} | {"encoder": encoder}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        of_neural = {name.removeprefix("neural."): value for name, value in state.items() if name.startswith("neural.")}
        inverse = torch.eye(self.encoder.dim, dtype=torch.float64)
        self._neural.load_state_dict(of_neural | {"inverse": inverse, "encoder": state["encoder"]})
