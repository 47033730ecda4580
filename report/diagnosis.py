"""Where a run lost its failures: in the bank, in recall, in the ranking, or in the reader.

For a task whose answers are labels, a case is right for a query where its answer is the query's label. A failed step is
counted where the chain broke first:

    bank     no right case had been retained yet
    recall   there was one, not among the R nearest
    ranking  one was among them, none was shown
    reader   one was shown, and the answer was wrong all the same

A right case that is shown need not lead to a right answer, nor does a wrong one keep the LLM from it, so these are
bounds on what a better part could gain, not gains.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from config import Config
from env import find_env
from errors import UserError
from memory.bank import CaseBank, Embedder
from step import as_plain

from .folders import Run
from .prompts import open_env, read_options, rebuild
from .runs import group

PARTS = ("bank", "recall", "ranking", "reader")
SUCCESS = "success"


@dataclass(frozen=True)
class Losses:
    """The shares of the scored steps that succeeded, and that failed in each of PARTS."""

    whole: dict[str, float]
    last_quarter: dict[str, float]


def losses(run: Run, encoder: Embedder) -> Losses:
    """Follow a run's bank from step to step; `encoder` is the one that its cases were recalled by.

    Raises UserError where the task's answers are no labels or its rows are not those of the run.
    """
    check(run)
    outcomes = outcome_of_steps(run, encoder)
    scored = [outcome for outcome in outcomes if outcome]
    late = [outcome for outcome in outcomes[-max(1, len(outcomes) // 4) :] if outcome]
    return Losses(_shares(scored), _shares(late))


def check(run: Run) -> None:
    """Raise UserError for a run that has no such parts."""
    kind = find_env(run.env)
    if not kind.single_turn or kind.fields.get("label") not in (str, int):
        raise UserError(f"{run.folder}: the answers of {run.env} are not labels, so no case is known to be right")
    if "recall_size" not in run.identity:
        raise UserError(f"{run.folder}: --agent {run.agent} recalls no cases")


def outcome_of_steps(run: Run, encoder: Embedder) -> list[str | None]:
    """SUCCESS or one of PARTS for each step; None where it was skipped."""
    config, records = read_options(run.options), run.records
    bank, outcomes, answers = CaseBank(encoder), [], {}
    rebuilt = rebuild(run.config, records)
    env = open_env(run.options, run.data)
    try:
        for record, step in zip(records, rebuilt):
            env.index = record["step"] - 1
            truth = as_plain(env.get_ground_truth())
            outcome = None
            if record["reward"] is not None:
                shown = [answers[case["id"]] for case in record["cases"]]
                outcome = SUCCESS if record["reward"] else _part(bank, record["task"], shown, truth, config.recall_size)
            outcomes.append(outcome)
            if step.kept is not None:
                bank.add(step.kept)
                answers[step.kept.step] = as_plain(step.kept.answer)
    finally:
        env.close()
    return outcomes


def _part(bank: CaseBank, query: str, shown: list[Any], truth: Any, recall_size: int) -> str:
    if truth in shown:
        return "reader"
    if all(case.answer != truth for case in bank.cases):
        return "bank"
    recalled = bank.recall(query, max(recall_size, len(shown)))
    return "ranking" if any(case.answer == truth for case in recalled) else "recall"


def _shares(outcomes: list[str]) -> dict[str, float]:
    return {name: outcomes.count(name) / len(outcomes) if outcomes else np.nan for name in (SUCCESS, *PARTS)}


def table(runs: Iterable[Run], encoders: Callable[[Config], Embedder]) -> str:
    """Markdown: a line for each setting, mean shares of its finished runs in per cent, the last quarter's in brackets.

    `encoders` gives the recall encoder of a run's options. Raises UserError where no run has such shares.
    """
    lines = [["task", "method", "seeds", SUCCESS, *PARTS], ["---"] * (3 + 1 + len(PARTS))]
    for stream in group(runs):
        for setting in stream.settings:
            found = []
            for run in setting.finished:
                try:
                    check(run)
                except UserError:
                    continue
                found.append(losses(run, encoders(read_options(run.options))))
            if found:
                cells = [_cell(found, name) for name in (SUCCESS, *PARTS)]
                lines.append([stream.title, setting.label, str(len(found)), *cells])
    if len(lines) == 2:
        raise UserError("no finished run here recalls cases for a task whose answers are labels")
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(found: list[Losses], name: str) -> str:
    sums: dict[str, list[float]] = defaultdict(list)
    for each in found:
        sums["whole"].append(100 * each.whole[name])
        sums["late"].append(100 * each.last_quarter[name])
    return f"{np.mean(sums['whole']):.1f} ({np.mean(sums['late']):.1f})"
