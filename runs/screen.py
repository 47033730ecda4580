"""What the person at the terminal sees: notices, the progress bar, the summary."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import EMBEDDED_READER, Config
from errors import printable

from .baseline import baseline_of, ratios
from .prices import Prices
from .reader import CACHED, CUT_SHARE, Tally

if TYPE_CHECKING:
    from env import Env

    from .folder import RunLog

ORIGINS = {
    "official": "the official {task} stream",
    "converted": "{task} rows converted from the original release: not the benchmark's stream",
    "sample": "the SAMPLE of {task} that ships with the project: invented rows, figures are not the benchmark's",
    "user": "your own {task} rows: figures are not the benchmark's",
}
READER_NOTE = "answered by the embedded reader, not by a language model"
BARS = "▁▂▃▄▅▆▇█"


def say(text: str) -> None:
    """A notice on standard error; it may hold what a server or a file says."""
    print(printable(text), file=sys.stderr, flush=True)


def announce(config: Config, data: dict[str, Any], log: RunLog, one_of_several: bool = False) -> None:
    """Say loudly which data and which LLM, and what is continued; of `one_of_several` seeds only what is its own."""
    if one_of_several:
        if config.seed:
            if 0 < log.steps_logged < data["rows"]:
                say(f"seed {config.seed}: continuing at step {log.steps_logged + 1} of {data['rows']}")
            return
    origin = ORIGINS[data["origin"]].format(task=config.identity()["env"])
    say(f"data: {origin} ({data['rows']} steps)")
    if config.llm == EMBEDDED_READER:
        say("llm:  the embedded reader, which is NOT a language model: its figures are not the paper's")
    else:
        say(f"llm:  {config.llm} ({config.serving_mode})")
    if 0 < log.steps_logged < data["rows"]:
        say(f"continuing at step {log.steps_logged + 1} of {data['rows']}")


def say_finished(log: RunLog) -> None:
    """That there is nothing to play; and whether the task is another one by now."""
    if log.changed_code:
        changed = ", ".join(log.changed_code)
        say(f"This run is finished, but the task has changed since ({changed}): --overwrite plays it as it is now.")
    else:
        say("This run is finished; --overwrite starts it over.")


def say_details(details: dict[str, Any]) -> None:
    """How the task is run, in its own words (who judges, which sandbox)."""
    for name, value in details.items():
        say(f"{name}: {', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}")


def say_faults(env: Env, log: RunLog, most: int = 3) -> None:
    """Of a run that should have been all right: the first steps that were not, and what may be wrong with the task."""
    wrong = [record for record in log.records() if record["reward"] == 0]
    if not wrong:
        return
    say(f"\n{len(wrong)} of {log.steps_logged} labels are not right by the task's own parser and reward:")
    for record in wrong[:most]:
        env.index = record["step"] - 1
        say(f"  step {record['step']}")
        for name, value in (
            ("label", env.get_ground_truth()),
            ("written", record["output"]),
            ("read by the parser", record["answer"]),
        ):
            say(f"    {name:<18} {_short(value)}")
    say(
        "What is written is format_answer(label), so define format_answer such that extraction(format_answer(label)) "
        "gives the label back, or mend extraction or reward_function."
    )


def _short(value: Any, width: int = 200) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= width else f"{text[: width - 3]}..."


def print_summary(data: dict[str, Any], log: RunLog, prices: Prices | None = None) -> None:
    """The finished run in a dozen lines."""
    bank_size = (log.summary or {}).get("bank_size")
    print_lines(summary_lines(log.folder, log.identity, data, log.records(), bank_size, prices))


def print_lines(lines: list[tuple[str, str]]) -> None:
    """Names and texts in two columns, on standard output; what has no text is left out."""
    print()
    for name, text in lines:
        if text:
            print(printable(f"  {name:<18} {text}"))


def summary_lines(
    folder: Path,
    identity: dict[str, Any],
    data: dict[str, Any],
    records: Iterable[dict[str, Any]],
    bank_size: int | None = None,
    prices: Prices | None = None,
) -> list[tuple[str, str]]:
    """What there is to say of a run, which may be unfinished: (name, text), the text empty where there is nothing."""
    tally, unanswered = Tally(), 0
    for record in records:
        tally.add(record)
        unanswered += record["answer"] is None and record["reward"] is not None
    figures = tally.summary()
    steps, rows = figures["steps"], data["rows"]
    return [
        ("run", "  ".join(folder.absolute().parts[-4:])),
        ("state", "" if steps == rows else f"UNFINISHED at step {steps} of {rows}: the figures are of these steps"),
        *(_figure_lines(folder, identity, figures, tally.rewards, unanswered) if steps else []),
        ("bank", "" if bank_size is None else f"{bank_size} cases"),
        (
            "calls",
            f"{figures['calls']:,} of the LLM, {figures['calls_per_step']:.2f} a step"
            if steps and "calls" in figures
            else "",
        ),
        ("tokens", f"{figures['prompt_tokens']:,} prompt, {figures['completion_tokens']:,} completion"),
        *judge_lines(figures),
        ("times zero-shot", times_zero_shot(folder, identity, figures, prices) if steps else ""),
        ("cost", cost_of(figures, identity["llm"], prices)),
        ("time", _time(figures)),
        ("folder", str(folder)),
        ("data", ORIGINS.get(data["origin"], data["origin"]).format(task=identity["env"])),
        ("note", READER_NOTE if identity["llm"] == EMBEDDED_READER else ""),
    ]


def _figure_lines(
    folder: Path, identity: dict[str, Any], figures: dict[str, Any], rewards: list[int | None], unanswered: int
) -> list[tuple[str, str]]:
    scored = figures["steps"] - figures["skipped_steps"]
    lines = [
        ("success rate", f"{_rate(figures['success_rate'])}   ({scored - figures['regret']} of {scored})"),
        ("last quarter", _rate(figures["last_quarter_success_rate"])),
        ("against zero-shot", against_zero_shot(folder, identity, figures)),
        ("regret", f"{figures['regret']}"),
        ("no answer", f"{unanswered} of {scored} steps ended without one in the required form" if unanswered else ""),
        ("skipped", f"{figures['skipped_steps']} steps, which are in no rate" if figures["skipped_steps"] else ""),
        ("cut answers", cut_answers(figures)),
        ("over the stream", curve(rewards)),
    ]
    if "NumDiscovery" in figures and "DiscoverSuccessRate" in figures:
        share = figures["DiscoverSuccessRate"]
        lines.append(("discovery", f"{figures['NumDiscovery']} steps asked, {share:.2f} of them would have failed"))
    return lines


def _rate(value: float | None) -> str:
    return "no step was scored" if value is None else f"{value:.3f}"


def _time(figures: dict[str, Any]) -> str:
    """The seconds of a run, and where they went; older runs count the task's as the agent's."""
    named = {name: figures.get(f"{name}_seconds") for name in ("llm", "env", "agent")}
    llm, env, agent = (value or 0.0 for value in named.values())
    task = "" if named["env"] is None else f", task {env:.1f} s"
    per_step = 1000 * agent / max(1, figures["steps"])
    return f"{llm + env + agent:.1f} s: LLM {llm:.1f} s{task}, agent {per_step:.1f} ms a step"


def cut_answers(figures: dict[str, Any]) -> str:
    """How many answers ended at the token limit, with a warning where these are many; "" for none, or not known."""
    cut, steps = figures.get("cut_answers", 0), figures["steps"]
    if not cut:
        return ""
    said = f"{cut} of {steps} ended at the token limit"
    if cut > CUT_SHARE * steps:
        return f"WARNING: {said}, so they may be wrong for that alone; --max_new_tokens raises it"
    return said


def against_zero_shot(folder: Path, identity: dict[str, Any], figures: dict[str, Any]) -> str:
    """The difference to the zero-shot run on the same stream below the same --output_dir, where there is one."""
    baseline = baseline_of(folder, identity)
    if baseline is None or figures["success_rate"] is None:
        return ""
    if baseline.summary is None:
        return f"not run yet: the same command with --env {baseline.env} --agent zero-shot"
    keys = ("success_rate", "last_quarter_success_rate")
    pairs = [(figures[key], baseline.summary.get(key)) for key in keys]
    if any(value is None for pair in pairs for value in pair):
        return ""
    overall, last = (100 * (ours - theirs) for ours, theirs in pairs)
    return f"{overall:+.1f} points, last quarter {last:+.1f} (zero-shot {pairs[0][1]:.3f})"


def judge_lines(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """What the judges were asked, a line each: in no other figure but the cost."""
    return [
        (
            "judge",
            f"{name}: {spent['calls']:,} calls, {spent['prompt_tokens']:,} prompt, {spent['completion_tokens']:,} "
            "completion tokens",
        )
        for name, spent in figures.get("judges", {}).items()
    ]


def times_zero_shot(
    folder: Path, identity: dict[str, Any], figures: dict[str, Any], prices: Prices | None = None
) -> str:
    """What a step costs as multiples of zero-shot's, where there is such a run: "1.00 calls, 1.13 input, ..."."""
    baseline = baseline_of(folder, identity)
    found = ratios(figures, baseline.summary if baseline else None, identity["llm"], prices)
    return ", ".join(f"{value:.2f} {name}" for name, value in found.items())


def cost_of(figures: dict[str, Any], llm: str, prices: Prices | None) -> str:
    """What a run's tokens cost; "" where there is no table, or an LLM without a price."""
    amount = math.nan if prices is None else prices.cost(figures, llm)
    if prices is None or math.isnan(amount):
        return ""
    cached = sum(figures.get(kind, 0) for kind in CACHED)
    free = f"; {cached:,} of the tokens came from the cache and cost nothing" if cached else ""
    return prices.money(amount) + free


def curve(rewards: list[int | None], width: int = 40) -> str:
    """The success rate over `width` stretches of the stream, as a line of bars from 0 to 1.

    A stretch of which no step was scored is blank.
    """
    width = min(width, len(rewards))
    edges = [round(i * len(rewards) / width) for i in range(width + 1)]
    stretches = [[reward for reward in rewards[a:b] if reward is not None] for a, b in zip(edges, edges[1:])]
    return "".join(_bar(statistics.fmean(scored)) if scored else " " for scored in stretches) + "  (each bar 0 to 1)"


def _bar(rate: float) -> str:
    return BARS[min(int(rate * len(BARS)), len(BARS) - 1)]
