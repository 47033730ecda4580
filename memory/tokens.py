"""Tokens of texts that come again: a history is encoded after every training step, and tokenised once."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

KEPT = 8_000_000  # numbers; 32 MB of them
PROBES = ("a few words", "Other ones, no. 2?", " \u00e9t\u00e9\n", "")


@dataclass(frozen=True)
class _Frame:
    """How a tokenizer joins two texts: what comes before, between and after them, and the other fields of their tokens.

    Attributes:
        around: three arrays [fields, tokens].
        beside: for each text the fields after the first, [fields - 1, 1].
    """

    around: tuple[np.ndarray, np.ndarray, np.ndarray]
    beside: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, whole: np.ndarray, one: np.ndarray, two: np.ndarray) -> _Frame | None:
        """The frame in which `one` and `two` make `whole`, if they stand in it in this order."""
        if not len(one) or not len(two):
            return None
        begin = _place(whole[0], one, 0)
        after = begin + len(one)
        second = _place(whole[0], two, after)
        if begin < 0 or second < 0:
            return None
        around = whole[:, :begin], whole[:, after:second], whole[:, second + len(two) :]
        return cls(around, (whole[1:, begin : begin + 1], whole[1:, second : second + 1]))

    def join(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        """The tokens of a pair, int32 [fields, length], from those of its texts, [length] each."""
        before, between, after = self.around
        begin, second = before.shape[1], before.shape[1] + len(one) + between.shape[1]
        end = second + len(two)
        made = np.empty((len(before), end + after.shape[1]), np.int32)
        made[:, :begin], made[:, begin + len(one) : second], made[:, end:] = self.around
        made[0, begin : begin + len(one)], made[0, second:end] = one, two
        if len(made) > 1:
            made[1:, begin : begin + len(one)], made[1:, second:end] = self.beside
        return made


def _place(tokens: np.ndarray, part: np.ndarray, start: int) -> int:
    """Where `part` begins in `tokens`, from `start` on; -1: nowhere."""
    last = len(tokens) - len(part)
    return next((i for i in range(start, last + 1) if np.array_equal(tokens[i : i + len(part)], part)), -1)


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
        return self._get(texts, self._tokenize)

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[np.ndarray]:
        """For each pair the tokens of both, int32 [fields, length].

        They are put together from those of its texts, which come again in other pairs, where the tokenizer does so too
        and none has to be cut.
        """
        if self._frame is None:
            return self._get(pairs, self._tokenize_pairs)
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        bare = dict(zip(texts, self._get([(text,) for text in texts], self._tokenize_bare)))
        made = [self._frame.join(bare[one][0], bare[two][0]) for one, two in pairs]
        too_long = [i for i, tokens in enumerate(made) if tokens.shape[1] > self._most]
        for i, tokens in zip(too_long, self._get([pairs[i] for i in too_long], self._tokenize_pairs)):
            made[i] = tokens
        return made

    def _tokenize(self, *columns: list[str]) -> list[np.ndarray]:
        made = self._tokenizer(*columns, truncation=True, max_length=self._most)
        return [np.array(rows, np.int32) for rows in zip(*(made[name] for name in self.fields))]

    def _tokenize_pairs(self, pairs: list[tuple[str, str]]) -> list[np.ndarray]:
        return self._tokenize([one for one, _ in pairs], [two for _, two in pairs])

    def _tokenize_bare(self, texts: list[tuple[str]]) -> list[np.ndarray]:
        """The tokens of texts, int32 [1, length], without those that the model wants around them."""
        made = self._tokenizer([text for (text,) in texts], add_special_tokens=False, verbose=False)
        return [np.array([ids], np.int32) for ids in made["input_ids"]]

    @functools.cached_property
    def _frame(self) -> _Frame | None:
        """What stands around the texts of a pair; None where pairs are not put together so."""
        bare = {text: tokens[0] for text, tokens in zip(PROBES, self._tokenize_bare([(text,) for text in PROBES]))}
        pairs = [(one, two) for one in PROBES for two in PROBES]
        whole = self._tokenize_pairs(pairs)
        if any(tokens.shape[1] >= self._most for tokens in whole):
            return None
        frame = _Frame.of(whole[1], bare[PROBES[0]], bare[PROBES[1]])
        if frame is None:
            return None
        right = (np.array_equal(frame.join(bare[one], bare[two]), all_) for (one, two), all_ in zip(pairs, whole))
        return frame if all(right) else None

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
