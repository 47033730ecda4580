"""What the methods cost beside what they gain: calls, tokens and money a step, and as multiples of zero-shot's.

A method that shows cases buys its gain with input tokens, one that thinks or refines with calls and output tokens. So
every figure stands beside the difference that it brings, and answers from a cache count like others: it is the method
that is compared, whoever has paid.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from runs import intervals
from runs.prices import KINDS, Prices, amount_text

from . import statistics
from .runs import Run, Setting, Stream
from .tables import NOTHING, Table, ends, notes_of, points, slug, where, with_half_width


@dataclass(frozen=True)
class Costs:
    """Of a step, or as multiples of zero-shot's; nan where it is not known."""

    calls: float
    input: float
    output: float
    money: float

    @property
    def tokens(self) -> float:
        """Input and output tokens of a step together."""
        return self.input + self.output

    def over(self, other: Costs) -> Costs:
        """This as a multiple of `other`, which has to be above zero."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other))
        return Costs(*(a / b if b > 0 else math.nan for a, b in pairs))


@dataclass(frozen=True)
class Comparison:
    """A setting against zero-shot over the seeds that both have finished: what it gains, its costs as multiples."""

    gain: statistics.Difference
    times: Costs
    tokens: float  # input and output together, as a multiple


def costs_of(runs: Iterable[Run], prices: Prices) -> Costs:
    """The mean over `runs` of what a step costs."""
    rows = [
        np.array([run.figure("calls"), *map(run.figure, KINDS.values()), prices.cost(run.figures, run.llm, True)])
        / run.steps
        for run in runs
        if run.steps
    ]
    return Costs(*(np.mean(rows, axis=0) if rows else [math.nan] * 4))


def judged(runs: Iterable[Run]) -> tuple[float, float, float]:
    """How often a judge was asked in a step, its input and its output tokens, in the mean over `runs`; nan if never."""
    rows = [
        [
            sum(spent[kind] for spent in run.figures["judges"].values()) / run.steps
            for kind in ("calls", *KINDS.values())
        ]
        for run in runs
        if run.steps and "judges" in run.figures
    ]
    calls, prompt, completion = np.mean(rows, axis=0) if rows else [math.nan] * 3
    return float(calls), float(prompt), float(completion)


def compare(stream: Stream, setting: Setting, prices: Prices) -> Comparison | None:
    """`setting` against the zero-shot setting of its stream and LLM; None where they have no seed in common."""
    baseline = statistics.baseline_of(stream, setting)
    gain = statistics.difference(setting, baseline)
    if gain is None or baseline is None:
        return None
    seeds = {run.seed for run in setting.finished} & {run.seed for run in baseline.finished}
    ours, theirs = (costs_of([run for run in one.finished if run.seed in seeds], prices) for one in (setting, baseline))
    return Comparison(gain, ours.over(theirs), ours.tokens / theirs.tokens if theirs.tokens > 0 else math.nan)


def recorded_prices(streams: Iterable[Stream]) -> Prices:
    """The prices that runs were made with, the latest of each LLM; none where they are in several currencies."""
    models: dict[str, tuple[float, float]] = {}
    currencies = set()
    for run in (run for stream in streams for setting in stream.settings for run in setting.runs):
        for start in run.config.get("starts") or ():
            priced = start.get("prices") if isinstance(start, dict) else None
            try:
                found = {str(name): (float(a), float(b)) for name, (a, b) in priced["models"].items()}  # type: ignore[index]
                currencies.add(str(priced["currency"]))  # type: ignore[index]
            except (TypeError, KeyError, ValueError, AttributeError):
                continue  # a start without prices, or a file that was edited
            models |= found
    return Prices(models, currencies.pop()) if len(currencies) == 1 else Prices()


# -- the table ---------------------------------------------------------------------------------------------------------


def cost_table(stream: Stream, prices: Prices) -> Table | None:
    """What every setting of a stream gains and costs; None where none has finished."""
    settings = [setting for setting in stream.settings if setting.finished]
    if not settings:
        return None
    rows = [_row(stream, setting, prices) for setting in settings]
    shown = pd.DataFrame([row[0] for row in rows])
    shown = shown.drop(columns=[name for name in shown.columns if (shown[name] == NOTHING).all()])
    notes = [
        "Of a step, the mean over the finished seeds. The columns with × are multiples of zero-shot's on the same "
        "seeds. Against zero-shot in points, with the 95 % interval of a paired bootstrap over the stream.",
    ]
    if any(column.startswith("cost") for column in shown):
        currency = f" in {prices.currency}" if prices.currency else ""
        notes.append(f"Cost{currency} at the prices given, of answers from a cache too: what the method asks for.")
    if "judge tokens" in shown:
        notes.append(
            "The judge's calls and tokens are in no other column here: it scores the method. A run's cost has them."
        )
    if any(setting.is_embedded for setting in settings):
        notes.append("The embedded reader's tokens are words.")
    title = f"What the methods gain and cost: {stream.title}"
    numbers = pd.DataFrame([row[1] for row in rows])
    return Table(slug(title), title, shown, numbers, notes + notes_of([stream]))


def _row(stream: Stream, setting: Setting, prices: Prices) -> tuple[dict[str, str], dict[str, object]]:
    own, found = costs_of(setting.finished, prices), compare(stream, setting, prices)
    times = found.times if found else Costs(*[math.nan] * 4)
    judge = judged(setting.finished)
    shown = {
        "method": setting.method,
        "llm": setting.llm,
        "seeds": str(len(setting.finished)),
        "success, %": with_half_width(statistics.success_rate(setting)),
        "against zero-shot": points(found.gain if found else None, len(setting.finished)),
        "calls": _plain(own.calls, 2),
        "input tokens": _plain(own.input, 0),
        "output tokens": _plain(own.output, 1),
        "cost of 1,000 steps": NOTHING if math.isnan(own.money) else amount_text(1000 * own.money),
        "× calls": _plain(times.calls, 2),
        "× input": _plain(times.input, 2),
        "× output": _plain(times.output, 2),
        "× cost": _plain(times.money, 2),
        "judge calls": _plain(judge[0], 2),
        "judge tokens": _plain(judge[1] + judge[2], 0),
    }
    numbers: dict[str, object] = {
        **where(stream, setting),
        "seeds": len(setting.finished),
        **ends("against_zero_shot", found.gain.interval if found else intervals.NOTHING),
        **{f"{name}_per_step": value for name, value in dataclasses.asdict(own).items()},
        **{f"{name}_times_zero_shot": value for name, value in dataclasses.asdict(times).items()},
        "tokens_times_zero_shot": found.tokens if found else math.nan,
        **{f"judge_{name}_per_step": value for name, value in zip(("calls", "input", "output"), judge)},
    }
    return shown, numbers


def _plain(value: float, digits: int) -> str:
    return NOTHING if math.isnan(value) else f"{value:,.{digits}f}"
