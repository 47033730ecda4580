"""What the court tasks share: a verdict on each defendant, answered as a dict from names to verdicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ..base import Env
from ..labels import LabelSet, fold


class DefendantsEnv(Env, ABC):
    """The reward is 1 when the answer names the same defendants and each one's verdict is right.

    A task says how its text is read into a dict (`parse`) and what one verdict is (`read_verdict`).
    """

    fields = {"task": str, "label": dict}

    def __init__(self) -> None:
        super().__init__()
        self.labels = LabelSet(self.name)

    @abstractmethod
    def parse(self, text: str) -> Any | None:
        """The last dict in the text."""

    @abstractmethod
    def read_verdict(self, value: Any) -> Any | None:
        """One defendant's verdict in its one spelling, or None where `value` is not of the right kind."""

    def check_row(self, row: dict[str, Any]) -> str | None:
        verdicts = self._verdicts(row["label"])
        if verdicts is None:
            return "the label does not give each defendant, named once, a verdict of the right kind"
        for verdict in verdicts.values():
            for label in [verdict] if isinstance(verdict, str) else verdict:
                if label not in self.labels.names:
                    return self.labels.unknown(label)
        return None

    def extraction(self, text: str) -> dict[str, Any] | None:
        return self._verdicts(self.parse(text))

    def reward_function(self, answer: dict[str, Any]) -> int:
        given, right = ({fold(name): verdict for name, verdict in d.items()} for d in (answer, self.get_ground_truth()))
        return int(given == right)

    def get_ground_truth(self) -> dict[str, Any]:
        return self._verdicts(self.row["label"])

    def _verdicts(self, value: Any) -> dict[str, Any] | None:
        """Names tidied and verdicts read; None unless `value` is a dict that names each defendant once."""
        if not isinstance(value, dict) or not value or not all(isinstance(name, str) for name in value):
            return None
        verdicts = {" ".join(name.split()): self.read_verdict(verdict) for name, verdict in value.items()}
        if None in verdicts.values() or len({fold(name) for name in verdicts}) < len(value):
            return None
        return verdicts
