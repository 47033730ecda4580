"""Comparing short answers as the SQuAD evaluation does: by their words, without case, punctuation and articles."""

from __future__ import annotations

import re
import string
from collections import Counter

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_words(text: str) -> str:
    """`text` in lower case without ASCII punctuation, articles and extra spaces; a text of nothing else stays."""
    plain = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(plain.split()) or " ".join(text.lower().split())


def word_f1(given: str, right: str) -> float:
    """The F1 score, 0 to 1, of the normalised words of `given` against those of `right`."""
    words, wanted = normalise_words(given).split(), normalise_words(right).split()
    common = (Counter(words) & Counter(wanted)).total()
    return 2 * common / (len(words) + len(wanted)) if common else 0.0
