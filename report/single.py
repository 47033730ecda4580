"""One run in the terminal: curve, the cases it reused most, its worst confusions, what it cost."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from env import find_env
from errors import UserError, printable
from runs import screen as terminal
from runs.prices import Prices
from step import SHOWS_NOTHING

from .folders import Run
from .prompts import open_env, rebuild
from .trust import check_trusted

SHOWN = 10
PIPE_WIDTH = 120  # where there is no terminal to fit into


def print_run(run: Run, prices: Prices) -> None:
    """Print the summary of `run`, which may be unfinished: what main.py prints at its end, and what the report adds."""
    records = run.records
    bank_size = (run.source.summary or {}).get("bank_size")
    lines = terminal.summary_lines(run.folder, run.identity, run.data, records, bank_size, prices)
    cost = _no_price(run, prices) if records else ""
    terminal.print_lines([*lines, ("method", run.method), ("null arm", nothing_shown(records)), ("cost", cost)])
    if not records:
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print()
    console.print(_cases_table(run, records, console.width) or "  No case was shown.")
    console.print()
    confusions = worst_confusions(run, records)
    if isinstance(confusions, str):
        console.print(Text(printable(f"  No confusions: {confusions}.")), soft_wrap=True)
    else:
        console.print(_confusions_table(confusions))


def _no_price(run: Run, prices: Prices) -> str:
    """What to add for the summary to say what the run costs; "" where it does."""
    if not math.isnan(prices.cost(run.figures, run.llm)):
        return ""
    return f"no price of {run.llm} is given (--prices FILE, or {run.llm}=INPUT,OUTPUT, of a million tokens)"


def nothing_shown(records: list[dict[str, Any]]) -> str:
    """How often a policy that may show no case chose so; "" for others."""
    chosen = [record["metrics"][SHOWS_NOTHING] for record in records if SHOWS_NOTHING in record["metrics"]]
    return f"{sum(chosen)} of {len(records)} steps showed no case by choice" if chosen else ""


# -- cases -------------------------------------------------------------------------------------------------------------


def reused_cases(records: list[dict[str, Any]]) -> list[tuple[int, int, float]]:
    """(id, times shown, success rate of the steps that showed it) of the cases shown most in scored steps."""
    rewards: dict[int, list[int]] = defaultdict(list)
    for record in records:
        for case in record["cases"] if record["reward"] is not None else ():
            rewards[case["id"]].append(record["reward"])
    ranked = sorted(rewards.items(), key=lambda item: (-len(item[1]), item[0]))[:SHOWN]
    return [(case, len(found), sum(found) / len(found)) for case, found in ranked]


def _cases_table(run: Run, records: list[dict[str, Any]], width: int) -> Table | None:
    table = _table("The most reused cases", "id", "shown", "success", "answer", "task")
    found = reused_cases(records)
    answers = _kept_answers(run, records) if found else {}
    for case, shown, success in found:
        kept_at = records[case - 1] if 1 <= case <= len(records) else None  # a case's id is the step that retained it
        task = kept_at["task"] if kept_at else "?"
        texts = (_short(answers.get(case, "?"), 24), _short(task, max(10, width - 54)))
        table.add_row(str(case), str(shown), f"{success:.2f}", *map(Text, texts))
    return table if found else None


def _kept_answers(run: Run, records: list[dict[str, Any]]) -> dict[int, Any]:
    """The answer of each case by its id. An agent may keep another than its own (the ground truth), which the rows
    tell; without them only the successes' answers are known."""
    try:
        kept = [step.kept for step in rebuild(run.config, records)]
    except UserError:
        return {record["step"]: record["answer"] for record in records if record["reward"]}
    return {case.step: case.answer for case in kept if case is not None}


# -- confusions --------------------------------------------------------------------------------------------------------


def worst_confusions(run: Run, records: list[dict[str, Any]]) -> list[tuple[str, str, int]] | str:
    """(truth, answer, times) of the most frequent wrong answers, or why that cannot be said.

    The truth is read from the task's rows, which must be those of the run.
    """
    try:
        name = str(run.options.get("env", run.env))
        check_trusted(run.options | {"env": name})
        kind = find_env(name)
        if not kind.single_turn or kind.fields.get("label") not in (str, int):
            return f"the answers of {run.env} are not labels"
        env = open_env(run.options, run.data)
    except UserError as error:
        return str(error)
    try:
        return _confusions(env, records) if len(records) <= len(env) else "the rows are fewer than the steps"
    finally:
        env.close()


def _confusions(env: Any, records: list[dict[str, Any]]) -> list[tuple[str, str, int]] | str:
    counts: Counter[tuple[str, str]] = Counter()
    for index, record in enumerate(records):
        if record["reward"] == 0:
            env.index = index
            answer = record["answer"]
            counts[str(env.get_ground_truth()), "(none)" if answer is None else str(answer)] += 1
    if not counts:
        return "every answer was right"
    return [(*pair, times) for pair, times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]]


def _confusions_table(confusions: list[tuple[str, str, int]]) -> Table:
    table = _table("The worst confusions", "times", "truth", "answered")
    for truth, answer, times in confusions:
        table.add_row(str(times), Text(_short(truth, 60)), Text(_short(answer, 60)))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1))
    for column in columns:
        numeric = column in ("id", "shown", "success", "times")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    return table


def _short(value: Any, length: int) -> str:
    """`value`, which a model or a server may have written, on one line of a terminal."""
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= length else text[: length - 1] + "…"
