"""The encoder of a dense index of passages, as the deep-search task's retrieval service has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .encoders import load_sentence_model, resolve_device
from .sentences import Sentences


class PassageEncoder:
    """Queries and passages -> unit vectors. The E5 models were trained with a prefix that tells the two apart."""

    def __init__(self, model: str, device: str = "auto") -> None:
        self.name = model
        loaded = load_sentence_model(model, resolve_device(device))
        self._sentences = Sentences(loaded)
        self.dim = int(loaded.get_embedding_dimension() or 0)
        self._prefixes = ("query: ", "passage: ") if "e5" in Path(model).name.lower() else ("", "")

    def queries(self, texts: list[str]) -> np.ndarray:
        """float32 [n, dim]."""
        return self._encode(self._prefixes[0], texts)

    def passages(self, texts: list[str]) -> np.ndarray:
        """float32 [n, dim]."""
        return self._encode(self._prefixes[1], texts)

    def _encode(self, prefix: str, texts: list[str]) -> np.ndarray:
        return self._sentences.encode([prefix + text for text in texts]).float().cpu().numpy()
