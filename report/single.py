"""One run in the terminal: curve, the cases it reused most, its worst confusions, what it cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from config import EMBEDDED_READER
from env import find_env
from errors import UserError
from runs import screen as terminal

from .experiments import Prices
from .folders import Run
from .prompts import open_env, rebuild

SHOWN = 10
PIPE_WIDTH = 120  # where there is no terminal to fit into


def print_run(run: Run, prices: Prices) -> None:
    """Print the summary of `run`, which may be unfinished."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    records = run.records
    console.print()
    for name, text in _headline(run, records, prices):
        console.print(Text(f"  {name:<18} {text}"), soft_wrap=True)
    if not records:
        return
    console.print()
    console.print(_cases_table(run, records, console.width) or "  No case was shown.")
    console.print()
    confusions = worst_confusions(run, records)
    if isinstance(confusions, str):
        console.print(Text(f"  No confusions: {confusions}."), soft_wrap=True)
    else:
        console.print(_confusions_table(confusions))


def _headline(run: Run, records: list[dict[str, Any]], prices: Prices) -> list[tuple[str, str]]:
    columns, steps = run.columns, run.steps
    rows = run.data["rows"]
    state = "finished" if run.finished else f"UNFINISHED at step {steps} of {rows}: the figures are of these steps"
    lines = [("run", f"{run.env}  {run.method}  {run.llm}  seed {run.seed}"), ("state", state)]
    if steps:
        last = run.rewards[-max(1, steps // 4) :].mean()
        seconds = columns.llm_seconds.sum() + columns.agent_seconds.sum()
        agent = 1000 * columns.agent_seconds.mean()
        prompt, completion = int(columns.prompt_tokens.sum()), int(columns.completion_tokens.sum())
        lines += [
            ("success rate", f"{run.rewards.mean():.3f}   ({run.rewards.sum()} of {steps})"),
            ("last quarter", f"{last:.3f}"),
            ("regret", str(steps - run.rewards.sum())),
            ("no answer", _unanswered(records)),
            ("over the stream", terminal.curve(run.rewards.tolist())),
            ("tokens", f"{prompt:,} prompt, {completion:,} completion"),
            ("cost", _cost(run.llm, prompt, completion, prices)),
            ("time", f"{seconds:.1f} s: LLM {columns.llm_seconds.sum():.1f} s, agent {agent:.1f} ms a step"),
        ]
    origin = terminal.ORIGINS.get(run.data["origin"], run.data["origin"]).format(task=run.env)
    lines += [("folder", str(run.folder)), ("data", origin)]
    if run.llm == EMBEDDED_READER:
        lines.append(("note", "answered by the embedded reader, not by a language model"))
    return lines


def _unanswered(records: list[dict[str, Any]]) -> str:
    """How many steps ended without an answer: the failures that can be told apart for any kind of task."""
    n = sum(record["answer"] is None for record in records)
    return f"{n} of {len(records)} steps ended without one in the required form"


def _cost(llm: str, prompt: int, completion: int, prices: Prices) -> str:
    if llm not in prices:
        return f"no price of {llm} is given (--prices {llm}=PROMPT,COMPLETION, of a million tokens)"
    per_prompt, per_completion = prices[llm]
    return f"{(prompt * per_prompt + completion * per_completion) / 1e6:,.4f}"


# -- cases -------------------------------------------------------------------------------------------------------------


def reused_cases(records: list[dict[str, Any]]) -> list[tuple[int, int, float]]:
    """(id, times shown, success rate of the steps that showed it) of the cases shown most."""
    rewards: dict[int, list[int]] = defaultdict(list)
    for record in records:
        for case in record["cases"]:
            rewards[case["id"]].append(record["reward"])
    ranked = sorted(rewards.items(), key=lambda item: (-len(item[1]), item[0]))[:SHOWN]
    return [(case, len(found), sum(found) / len(found)) for case, found in ranked]


def _cases_table(run: Run, records: list[dict[str, Any]], width: int) -> Table | None:
    table = _table("The most reused cases", "id", "shown", "success", "answer", "task")
    found = reused_cases(records)
    answers = _kept_answers(run, records) if found else {}
    for case, shown, success in found:
        record = records[case - 1]  # a case's id is the step that retained it
        texts = (_short(answers.get(case, "?"), 24), _short(record["task"], max(10, width - 54)))
        table.add_row(str(case), str(shown), f"{success:.2f}", *map(Text, texts))
    return table if found else None


def _kept_answers(run: Run, records: list[dict[str, Any]]) -> dict[int, Any]:
    """The answer of each case by its id. An agent may keep another than its own (the ground truth), which the rows
    tell; without them only the successes' answers are known."""
    try:
        kept = [step.kept for step in rebuild(run.options, run.data, records)]
    except UserError:
        return {record["step"]: record["answer"] for record in records if record["reward"]}
    return {case["id"]: case["answer"] for case in kept if case is not None}


# -- confusions --------------------------------------------------------------------------------------------------------


def worst_confusions(run: Run, records: list[dict[str, Any]]) -> list[tuple[str, str, int]] | str:
    """(truth, answer, times) of the most frequent wrong answers, or why that cannot be said.

    The truth is read from the task's rows, which must be those of the run.
    """
    try:
        kind = find_env(run.env)
        if not kind.single_turn or kind.fields.get("label") not in (str, int):
            return f"the answers of {run.env} are not labels"
        env = open_env(run.options, run.data)
    except UserError as error:
        return str(error)
    try:
        return _confusions(env, records)
    finally:
        env.close()


def _confusions(env: Any, records: list[dict[str, Any]]) -> list[tuple[str, str, int]] | str:
    counts: Counter[tuple[str, str]] = Counter()
    for index, record in enumerate(records):
        env.index = index
        if not record["reward"]:
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
    text = " ".join(str(value).split())
    return text if len(text) <= length else text[: length - 1] + "…"
