"""Tokens of texts that come again: a history is encoded after every training step, and tokenised once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

KEPT = 8_000_000  # numbers; 32 MB of them


class TokenStore:
    """What a tokenizer makes of texts or pairs, the latest used kept. Safe to share between threads.

    Args:
        tokenizer: of transformers.
        most: tokens of the longest input; what is longer is cut.

    Attributes:
        fields: what the tokenizer gives for each token, `input_ids` first.
    """

    def __init__(self, tokenizer: Any, most: int) -> None:
        self._tokenizer = tokenizer
        self._most = most
        names = tokenizer("a")
        self.fields = ["input_ids", *(name for name in names if name not in ("input_ids", "attention_mask"))]
        self._known: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()  # tokenizers are not made for several threads

    def texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """For each text its tokens, int32 [fields, length]."""
        return self._get(texts, lambda new: self._tokenize(new))

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[np.ndarray]:
        """For each pair the tokens of both, int32 [fields, length]."""
        return self._get(pairs, lambda new: self._tokenize([one for one, _ in new], [two for _, two in new]))

    def _tokenize(self, *columns: list[str]) -> list[np.ndarray]:
        made = self._tokenizer(*columns, truncation=True, max_length=self._most)
        return [np.array(rows, np.int32) for rows in zip(*(made[name] for name in self.fields))]

    def _get(self, keys: Sequence[Any], make: Callable[[list[Any]], list[np.ndarray]]) -> list[np.ndarray]:
        with self._lock:
            new = [key for key in dict.fromkeys(keys) if key not in self._known]
            if new:
                for key, tokens in zip(new, make(new)):
                    self._known[key] = tokens
                    self._size += tokens.size
            found = [self._known[key] for key in keys]
            for key in keys:
                self._known.move_to_end(key)
            while self._size > KEPT:
                self._size -= self._known.popitem(last=False)[1].size
        return found
