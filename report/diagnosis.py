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

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent import rendering_of
from config import EMBEDDED_READER, Config
from env import find_env
from errors import UserError
from memory.bank import CaseBank, Embedder
from step import Case, as_plain

from .folders import Run
from .prompts import open_env, read_options, rebuild
from .runs import group
from .trust import check_trusted

PARTS = ("bank", "recall", "ranking", "reader")
SUCCESS = "success"
BEST = "best of R"  # the share of steps that succeeded, or would have with another of the recalled cases alone


@dataclass(frozen=True)
class Losses:
    """The shares of the scored steps that succeeded, and that failed in each of PARTS."""

    whole: dict[str, float]
    last_quarter: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """SUCCESS or one of PARTS, and whether any of the R cases, shown alone, would have led to the right answer; None
    where nobody was asked."""

    name: str
    attainable: bool | None = None


def losses(run: Run, encoder: Embedder, ask: Callable[[str], str] | None = None) -> Losses:
    """Follow a run's bank from step to step; `encoder` is the one that its cases were recalled by.

    With `ask`, the LLM that answered as a function of the prompt, each failed step is asked again with every recalled
    case, which says what the best choice would have made of the same bank.

    Raises UserError where the task's answers are no labels or its rows are not those of the run.
    """
    check(run)
    outcomes = outcome_of_steps(run, encoder, ask)
    scored = [outcome for outcome in outcomes if outcome]
    late = [outcome for outcome in outcomes[-max(1, len(outcomes) // 4) :] if outcome]
    return Losses(_shares(scored), _shares(late))


def check(run: Run) -> None:
    """Raise UserError for a run that has no such parts."""
    check_trusted({"env": run.env})
    kind = find_env(run.env)
    if not kind.single_turn or kind.fields.get("label") not in (str, int):
        raise UserError(f"{run.folder}: the answers of {run.env} are not labels, so no case is known to be right")
    if "recall_size" not in run.identity:
        raise UserError(f"{run.folder}: --agent {run.agent} recalls no cases")


def outcome_of_steps(run: Run, encoder: Embedder, ask: Callable[[str], str] | None = None) -> list[Outcome | None]:
    """What became of each step; None where it was skipped."""
    config, records = read_options(run.options), run.records
    bank, outcomes, answers = CaseBank(encoder), [], {}
    rebuilt = rebuild(run.config, records)
    env = open_env(run.options, run.data)
    render = rendering_of(config)
    try:
        for record, step in zip(records, rebuilt):
            env.index = record["step"] - 1
            query, outcome = record["task"], None
            if record["reward"] is not None:
                shown = [answers[case["id"]] for case in record["cases"]]
                recalled = bank.recall(query, max(config.recall_size, len(shown)))
                name = SUCCESS if record["reward"] else _part(bank, recalled, shown, as_plain(env.get_ground_truth()))
                prompts = (render(env, query, [case]) for case in recalled)
                outcome = Outcome(
                    name, ask and (name == SUCCESS or any(env.evaluate(ask(each))[1] for each in prompts))
                )
            outcomes.append(outcome)
            if step.kept is not None:
                bank.add(step.kept)
                answers[step.kept.step] = as_plain(step.kept.answer)
    finally:
        env.close()
    return outcomes


def _part(bank: CaseBank, recalled: list[Case], shown: list[Any], truth: Any) -> str:
    if truth in shown:
        return "reader"
    if any(case.answer == truth for case in recalled):
        return "ranking"
    return "recall" if any(case.answer == truth for case in bank.cases) else "bank"


def _shares(outcomes: list[Outcome]) -> dict[str, float]:
    if not outcomes:
        return dict.fromkeys((SUCCESS, *PARTS), np.nan)
    names = [outcome.name for outcome in outcomes]
    shares = {name: names.count(name) / len(names) for name in (SUCCESS, *PARTS)}
    if outcomes[0].attainable is not None:
        shares[BEST] = sum(bool(outcome.attainable) for outcome in outcomes) / len(outcomes)
    return shares


def reader_of(run: Run, encoder: Embedder) -> Callable[[str], str]:
    """The embedded reader, which costs nothing to ask. Raises UserError for a run that a language model answered."""
    if run.llm != EMBEDDED_READER or run.options.get("comk") != 1:
        raise UserError(f"{run.folder}: what was best is found out for the embedded reader alone, with --comk 1")
    from clients.embedded import EmbeddedReader

    return EmbeddedReader(encoder).answer


def table(runs: Iterable[Run], encoders: Callable[[Config], Embedder], best: bool = False) -> str:
    """Markdown: a line for each setting, mean shares of its finished runs in per cent, the last quarter's in brackets.

    `encoders` gives the recall encoder of a run's options; with `best` there is a column of what the best of the
    recalled cases would have reached. Raises UserError where no run has such shares.
    """
    columns = (SUCCESS, *PARTS, *([BEST] if best else []))
    lines = [["task", "method", "seeds", *columns], ["---"] * (3 + len(columns))]
    for stream in group(runs):
        for setting in stream.settings:
            found = []
            for run in setting.finished:
                try:
                    check(run)
                except UserError:
                    continue
                encoder = encoders(read_options(run.options))
                found.append(losses(run, encoder, reader_of(run, encoder) if best else None))
            if found:
                lines.append([stream.title, setting.label, str(len(found)), *(_cell(found, name) for name in columns)])
    if len(lines) == 2:
        raise UserError("no finished run here recalls cases for a task whose answers are labels")
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(found: list[Losses], name: str) -> str:
    whole, late = (100 * float(np.mean([part[name] for part in parts])) for parts in zip(*map(_both, found)))
    return f"{whole:.1f} ({late:.1f})"


def _both(found: Losses) -> tuple[dict[str, float], dict[str, float]]:
    return found.whole, found.last_quarter
