"""What an LLM's tokens cost: a table of prices, and the bill of a run.

The table is a YAML file with a currency and, for each LLM by the name that --llm has for it, the price of a million
input and a million output tokens:

    currency: USD
    qwen3-8b: {input: 0.05, output: 0.20}

No step depends on it, so it is not part of what a run is, and a run may be continued with other prices. An answer that
came from the cache was paid before and costs nothing. A judge (--judge_llm) is paid, too: a run's bill has it, and what
a method costs beside others has not, for it is who scores them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from config import EMBEDDED_READER, Config
from errors import CostError, UsageError

from .reader import Record, judges_of, tokens_of

CURRENCY = "currency"
KINDS = {"input": "prompt_tokens", "output": "completion_tokens"}  # as a table names them -> as a record does
PER = 1_000_000
FORM = "write NAME: {input: 0.05, output: 0.20}, the prices of a million tokens"


@dataclass(frozen=True)
class Prices:
    """Prices of a million input and output tokens, by LLM; the currency is "" where nobody said one."""

    models: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    currency: str = ""

    def of(self, llm: str) -> tuple[float, float] | None:
        """The LLM's prices, None where there are none; one of --llms may have its own options behind its name.

        In a table that does not name it the embedded reader, which is no LLM, costs nothing.
        """
        free = (0.0, 0.0) if llm == EMBEDDED_READER and self.models else None
        return self.models.get(llm, self.models.get(llm.partition(" ")[0], free))

    def cost(self, figures: Mapping[str, Any], llm: str, cached: bool = False) -> float:
        """What a run's or a step's tokens cost; nan where an LLM has no price.

        Args:
            figures: the numbers of tokens, as `Tally` or `tokens_of` gives them.
            llm: who answered, where `figures` does not say it of each.
            cached: whether answers from the cache are to count like others, and the judge's not at all: what a method
                costs, whoever paid.
        """
        total = 0.0
        judges = {} if cached else figures.get("judges") or {}
        for name, tokens in [*(figures.get("by_llm") or {llm: figures}).items(), *judges.items()]:
            prices = self.of(name)
            if prices is None:
                return math.nan
            for kind, price in zip(KINDS.values(), prices):
                paid = tokens[kind] - (0 if cached else tokens.get(f"cached_{kind}", 0))
                total += paid * price / PER
        return total

    def money(self, amount: float) -> str:
        """`amount` with its currency."""
        return f"{amount_text(amount)} {self.currency}".strip()


class Bill:
    """What a run has cost so far, and where it is to stop.

    Args:
        records: the steps that are logged already.
        most: --max_cost.
    """

    def __init__(self, prices: Prices | None, llm: str, records: Iterable[Record] = (), most: float | None = None):
        self.prices = prices
        self.total = 0.0
        self._llm = llm
        self._most = most
        for record in records if prices else ():
            self.add(record)

    def add(self, record: Record) -> None:
        """Charge a step."""
        if self.prices is not None:
            spent = {**tokens_of(record), "judges": judges_of(record)}
            self.total += self.prices.cost(spent, record.get("llm", self._llm))

    @property
    def is_full(self) -> bool:
        """Whether it has reached --max_cost."""
        return self.prices is not None and self._most is not None and self.total >= self._most

    def check(self, number: int) -> None:
        """Raise CostError where step `number` is not to be begun, for the run has cost --max_cost or more."""
        if not self.is_full:
            return
        most = amount_text(self._most or 0.0)
        raise CostError(
            f"stopped before step {number}: the run has cost {self}, and --max_cost is {most}. What is logged is kept; "
            f"the same command with a higher --max_cost goes on from step {number}"
        )

    def __str__(self) -> str:
        return self.prices.money(self.total) if self.prices else ""


def amount_text(amount: float) -> str:
    """A sum of money to as many digits as tell something."""
    if 0 < amount < 0.001:
        return f"{amount:.2g}"
    return f"{amount:,.{2 if amount >= 10 else 4}f}"


def prices_of(config: Config) -> Prices | None:
    """The table of --prices; None where there is none. Raises UsageError where an LLM of the run has no price."""
    if config.prices is None:
        return None
    prices = read_prices(Path(config.prices).expanduser())
    judge = [config.judge_llm] if config.is_judged and config.judge_llm else []
    for name in [*(str(config.llm).split(",") if config.members else [str(config.llm)]), *judge]:
        if prices.of(name) is None:
            there = f"it has those of {', '.join(prices.models)}" if prices.models else "it has none at all"
            raise UsageError(f"--prices {config.prices}: no price of {name}; {there}. {FORM}")
    return prices


def read_prices(path: Path) -> Prices:
    """The table in a file. Raises UsageError that says what to write."""
    where = f"--prices {path}"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())[:200]
        raise UsageError(f"{where}: cannot be read ({reason})") from None
    if not isinstance(content, dict):
        raise UsageError(f"{where}: not a table of prices; {FORM}, and `currency: USD`")
    currency = content.pop(CURRENCY, None)
    if not isinstance(currency, str) or not currency.strip():
        raise UsageError(f"{where}: it does not say which money; write `currency: USD`")
    return Prices({str(name): _read_row(where, name, row) for name, row in content.items()}, currency.strip())


def _read_row(where: str, name: Any, row: Any) -> tuple[float, float]:
    if not isinstance(row, dict) or row.keys() != KINDS.keys():
        raise UsageError(f"{where}: {name}: {row!r} is no pair of prices; {FORM}")
    for value in row.values():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise UsageError(f"{where}: {name}: {value!r} is no price; {FORM}")
    return float(row["input"]), float(row["output"])
