"""The report's tables. Each is a pandas frame with a title and notes, written as Markdown, CSV and LaTeX.

A table about sample data says SAMPLE in its title, and one with the embedded reader says what that is, so that no
table loses it when it is copied out of the report.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from runs import intervals
from runs.prices import Prices, amount_text

from . import statistics
from .experiments import is_tuned
from .runs import Setting, Stream

NOT_A_MODEL = "The embedded reader is not a language model: its figures are not the paper's."
SAMPLE = "SAMPLE data: invented rows, the figures are not the benchmark's."
ROWS = {  # what has to be said of rows, by their origin
    "sample": SAMPLE,
    "converted": "Converted rows: made from the original release, so the stream is not the benchmark's.",
    "user": "Rows of the user's own: not the benchmark's stream.",
}
TUNED = (
    "CASCADE's learning rate and nu are the paper's for this task and LLM, which were tuned on the stream that they "
    "are reported on: its figures are the better for it."
)
SKIPPED = "Skipped: steps that the LLM refused; they are in no rate, regret or difference."
CUT = "Cut: answers that ended at the token limit, and may be wrong for that alone."
NOTHING = "–"
LONGEST_NAME = 150  # bytes
MOST_NAMED = 4  # streams in a sentence
SECONDS = ("llm_seconds", "env_seconds", "agent_seconds")


@dataclass(frozen=True)
class Table:
    """`shown` is for reading, `numbers` for the CSV file."""

    name: str
    title: str
    shown: pd.DataFrame
    numbers: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    def markdown(self, said: Collection[str] = ()) -> str:
        """As Markdown, without the notes that are `said` already."""
        cells = [list(self.shown.columns), *self.shown.astype(str).values.tolist()]
        lines = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]
        lines.insert(1, "|" + "---|" * len(self.shown.columns))
        notes = [note for note in self.notes if note not in said]
        return "\n\n".join([f"## {self.title}", "\n".join(lines), *notes]) + "\n"

    def latex(self) -> str:
        shown = self.shown.astype(str).map(escape_latex)
        shown.columns = [escape_latex(column) for column in shown.columns]
        caption = escape_latex(" ".join([self.title + ".", *self.notes]))
        label = f"tab:{self.name}"
        return shown.to_latex(index=False, escape=False, caption=caption, label=label, position="htbp")

    def csv(self) -> str:
        return self.numbers.to_csv(index=False, float_format="%.6g")


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "–": "--", "×": r"$\times$"},
}


def escape_latex(text: str) -> str:
    """`text` with what LaTeX would take for a command."""
    return "".join(_LATEX.get(character, character) for character in text)


# -- words for numbers -------------------------------------------------------------------------------------------------


def with_half_width(interval: statistics.Interval, factor: float = 100, digits: int = 1) -> str:
    """`61.2 ± 0.8`, the mean alone where there is no interval, a dash where there is no mean."""
    if math.isnan(interval.mean):
        return NOTHING
    text = f"{factor * interval.mean:,.{digits}f}"
    return text if math.isnan(interval.low) else f"{text} ± {factor * interval.half_width:,.{digits}f}"


def points(difference: statistics.Difference | None, seeds: int | None = None) -> str:
    """`+10.4 [+9.1, +11.8]` in percentage points; over how many seeds, where `seeds` is given and not that number."""
    if difference is None:
        return NOTHING
    interval = difference.interval.scaled(100)
    text = f"{signed(interval.mean)} [{signed(interval.low)}, {signed(interval.high)}]"
    return text if seeds in (None, difference.seeds) else f"{text}, {difference.seeds} of {seeds} seeds"


def signed(value: float) -> str:
    """`value` to one decimal with its sign; a zero has none, whichever side it comes from."""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def mean_of(setting: Setting, figure: str) -> float:
    """The mean of a figure over the finished runs that tell it; nan without any."""
    return statistics.over_seeds(setting, figure).mean


def asked_of(setting: Setting) -> tuple[float, float] | None:
    """cbrdiscover: how often a finished run asked for the ground truth, and the share that would have failed."""
    asked = mean_of(setting, "NumDiscovery"), mean_of(setting, "DiscoverSuccessRate")
    return None if any(map(math.isnan, asked)) else asked


def cost(setting: Setting, prices: Prices, cached: bool = False) -> float:
    """What a finished run costs in the mean; nan where the LLM has no price. `cached`: see Prices.cost."""
    costs = [prices.cost(run.figures, setting.llm, cached) for run in setting.finished]
    return statistics.t_interval(np.array(costs)).mean


def cost_note(prices: Prices) -> str:
    """How a column of costs is to be read."""
    currency = f" in {prices.currency}" if prices.currency else ""
    return f"Cost{currency} at the prices given; answers from the cache cost nothing."


def notes_of(streams: Iterable[Stream], llm: str | None = None) -> list[str]:
    """What has to be said of the data, the LLM, the seeds and the methods; of one LLM's settings where it is given."""
    streams = list(streams)
    settings = [setting for stream in streams for setting in stream.settings if llm in (None, setting.llm)]
    agents = {setting.identity["agent"] for setting in settings}
    notes = [note for origin, note in ROWS.items() if any(stream.origin == origin for stream in streams)]
    notes += [NOT_A_MODEL] if any(setting.is_embedded for setting in settings) else []
    notes += _seed_notes(streams) if any(len(setting.finished) > 1 for setting in settings) else []
    notes += [TUNED] if any(is_tuned(setting.identity) for setting in settings) else []
    notes += ["cbrgt retains the ground truth of every query, more than one bit."] if "cbrgt" in agents else []
    if "cbrdiscover" in agents:
        notes.append("cbrdiscover: a step that asked for the ground truth counts as a success.")
    return notes


def caveats_of(streams: Sequence[Stream]) -> dict[str, str]:
    """What has to be said once for all of `streams`: the note, and its text with the streams that it is not of all."""
    notes = {stream: notes_of([stream]) for stream in streams}
    said = {}
    every = dict.fromkeys([*notes_of(streams), *(note for found in notes.values() for note in found)])
    for note in (note for note in every if note != TUNED):
        about = [stream.title for stream in streams if note in notes[stream]]
        names = "; ".join(about) if len(about) <= MOST_NAMED else f"{len(about)} of {len(streams)} streams"
        said[note] = note if len(about) in (0, len(streams)) else f"{note} This is of {names}."
    return said


def _seed_notes(streams: list[Stream]) -> list[str]:
    """What the runs of a setting differ in, which is what an interval over seeds is about."""
    if all(stream.shuffle for stream in streams):
        return ["The seeds differ in the order of the stream and in chance."]
    if any(stream.shuffle for stream in streams):
        return []
    return [
        "The seeds differ in chance alone (sampling, the policy's draws), for the stream keeps the file's order: "
        "± 0.0 says that they gave the same, not that another order would."
    ]


# -- one stream --------------------------------------------------------------------------------------------------------


def stream_table(stream: Stream, prices: Prices) -> Table:
    """Every setting of a stream: what it reached, against zero-shot, what it cost."""
    rows = [_row(stream, setting, prices) for setting in stream.settings]
    shown = pd.DataFrame([row[0] for row in rows])
    idle = [column for column in ("cost", "asked", "skipped", "cut", "task s") if (shown[column] == NOTHING).all()]
    shown = shown.drop(columns=idle)
    notes = [
        "Success rates in per cent: mean over the finished seeds ± half of the 95 % t interval. Against zero-shot in "
        "points, with the 95 % interval of a paired bootstrap over the stream. Tokens, cost and time are of one run."
    ]
    if "cost" in shown:
        notes.append(cost_note(prices))
    if "asked" in shown:
        notes.append("Asked: the steps that asked for the ground truth, and how many of them would have failed.")
    if "skipped" in shown:
        notes.append(SKIPPED)
    if "cut" in shown:
        notes.append(CUT)
    unfinished = sum(len(setting.unfinished) for setting in stream.settings)
    if unfinished:
        notes.append(f"{unfinished} unfinished run{'s' if unfinished > 1 else ''}, counted in no figure.")
    numbers = pd.DataFrame([row[1] for row in rows])
    return Table(slug(stream.title), stream.title, shown, numbers, notes + notes_of([stream]))


def _row(stream: Stream, setting: Setting, prices: Prices) -> tuple[dict[str, str], dict[str, object]]:
    baseline = statistics.baseline_of(stream, setting)
    n = len(setting.finished)
    rate, last, regret = (
        measure(setting) for measure in (statistics.success_rate, statistics.last_quarter, statistics.regret)
    )
    against = statistics.difference(setting, baseline)
    tokens = {name: mean_of(setting, name) for name in ("prompt_tokens", "completion_tokens")}
    seconds = {name: mean_of(setting, name) for name in SECONDS}
    per_step = sum(value for value in seconds.values() if not math.isnan(value)) / stream.rows if n else math.nan
    skipped, cut = mean_of(setting, "skipped_steps"), mean_of(setting, "cut_answers")
    price, asked = cost(setting, prices), asked_of(setting)
    shown = {
        "method": setting.method,
        "llm": setting.llm,
        "seeds": setting.seeds,
        "success rate": with_half_width(rate),
        "against zero-shot": points(against, n),
        "last quarter": with_half_width(last),
        "regret": with_half_width(regret, 1, 0),
        "skipped": f"{skipped:,.1f}" if skipped > 0 else NOTHING,
        "cut": f"{100 * cut / stream.rows:.1f} %" if cut > 0 else NOTHING,
        "asked": f"{asked[0]:,.0f} ({100 * asked[1]:.0f} %)" if asked else NOTHING,
        "prompt tokens": _number(tokens["prompt_tokens"]),
        "completion tokens": _number(tokens["completion_tokens"]),
        "cost": NOTHING if math.isnan(price) else amount_text(price),
        "LLM s": _number(seconds["llm_seconds"]),
        "task s": _number(seconds["env_seconds"]),
        "agent s": _number(seconds["agent_seconds"]),
        "s a step": NOTHING if math.isnan(per_step) else f"{per_step:.3f}",
    }
    gain = against.interval if against else intervals.NOTHING
    numbers = {
        **where(stream, setting),
        **{"seeds": n, "unfinished": len(setting.unfinished), "steps": stream.rows},
        **ends("success_rate", rate),
        **ends("against_zero_shot", gain),
        "paired_seeds": against.seeds if against else 0,
        **ends("last_quarter", last),
        **ends("regret", regret),
        **{"skipped": skipped, "cut_answers": cut},
        **{"asked": asked[0] if asked else None, "asked_failing": asked[1] if asked else None},
        **tokens,
        "cost": price,
        **seconds,
    }
    return shown, numbers


def where(stream: Stream, setting: Setting) -> dict[str, object]:
    """The columns that say what a line of a CSV file is about."""
    data = "SAMPLE" if stream.is_sample else stream.origin
    llm = f"{setting.llm} (not a language model)" if setting.is_embedded else setting.llm
    return {"task": stream.name, "data": data, "sha256": stream.sha256[:12], "method": setting.method, "llm": llm}


def ends(name: str, interval: statistics.Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _number(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def slug(text: str) -> str:
    """A file's name for `text`, readable and short enough for any disk; other texts may have the same."""
    kept = "".join(character if character.isalnum() else "-" for character in text.lower().replace(",", ""))
    name = "-".join(part for part in kept.split("-") if part)
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{name.encode()[:LONGEST_NAME].decode(errors='ignore')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
