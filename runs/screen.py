"""What the person at the terminal sees: notices, the progress bar, the summary."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from config import EMBEDDED_READER, Config
from env import Env
from runs.folder import RunLog, read_run

ORIGINS = {
    "official": "the official {task} stream",
    "converted": "{task} rows converted from the original release: not the benchmark's stream",
    "sample": "the SAMPLE of {task} that ships with the project: invented rows, figures are not the benchmark's",
    "user": "your own {task} rows: figures are not the benchmark's",
}
BARS = "▁▂▃▄▅▆▇█"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def describe_data(env: Env) -> dict[str, Any]:
    """Where the environment's rows come from, for config.yaml: path, origin, sha256, rows in the stream."""
    data_file = env.data_file
    if data_file is None:  # a task that loads its rows itself
        rows = json.dumps(env.dataset, ensure_ascii=False, default=str).encode(errors="replace")
        return {"path": None, "origin": "user", "sha256": hashlib.sha256(rows).hexdigest(), "rows": len(env)}
    return {**data_file.record(), "rows": len(env)}


def announce(config: Config, data: dict[str, Any], log: RunLog) -> None:
    """Say loudly which data and which LLM, and what is continued."""
    say(f"data: {ORIGINS[data['origin']].format(task=config.env)} ({data['rows']} steps)")
    if config.llm == EMBEDDED_READER:
        say("llm:  the embedded reader, which is NOT a language model: its figures are not the paper's")
    else:
        say(f"llm:  {config.llm} ({config.serving_mode})")
    if log.records:
        say(f"continuing at step {len(log.records) + 1} of {data['rows']}")


def say_details(details: dict[str, Any]) -> None:
    """How the task is run, in its own words (who judges, which sandbox)."""
    for name, value in details.items():
        say(f"{name}: {', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}")


class Progress:
    """A tqdm bar with the running success rate."""

    def __init__(self, total: int, initial: int) -> None:
        from tqdm import tqdm

        interval = 0.2 if sys.stderr.isatty() else 15.0
        self._bar = tqdm(total=total, initial=initial, unit="step", mininterval=interval, dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def advance(self, success_rate: float) -> None:
        self._bar.set_postfix_str(f"success rate {success_rate:.3f}", refresh=False)
        self._bar.update()


def print_summary(config: Config, data: dict[str, Any], log: RunLog) -> None:
    """The finished run in a dozen lines."""
    summary, records = log.summary, log.records
    rate, last = summary["success_rate"], summary["last_quarter_success_rate"]
    seconds = summary["llm_seconds"] + summary["agent_seconds"]
    per_step = 1000 * summary["agent_seconds"] / summary["steps"]
    lines = [
        ("run", config.run_name().replace("/", "  ")),
        ("success rate", f"{rate:.3f}   ({summary['steps'] - summary['regret']} of {summary['steps']})"),
        ("last quarter", f"{last:.3f}"),
        ("against zero-shot", _against_zero_shot(config, log)),
        ("regret", f"{summary['regret']}"),
        ("over the stream", curve([record["reward"] for record in records])),
        ("bank", f"{summary['bank_size']} cases"),
        ("tokens", f"{summary['prompt_tokens']:,} prompt, {summary['completion_tokens']:,} completion"),
        ("time", f"{seconds:.1f} s: LLM {summary['llm_seconds']:.1f} s, agent {per_step:.1f} ms a step"),
        ("folder", str(log.folder)),
        ("data", ORIGINS[data["origin"]].format(task=config.env)),
    ]
    if "NumDiscovery" in summary:
        asked = f"{summary['NumDiscovery']} steps asked, {summary['DiscoverSuccessRate']:.2f} of them would have failed"
        lines.insert(6, ("discovery", asked))
    if config.llm == EMBEDDED_READER:
        lines.append(("note", "answered by the embedded reader, not by a language model"))
    print()
    for name, text in lines:
        if text:
            print(f"  {name:<18} {text}")


def _against_zero_shot(config: Config, log: RunLog) -> str:
    """The difference to the zero-shot run on the same stream, where there is one."""
    if config.agent == "zero-shot":
        return ""
    twin = dataclasses.replace(config, agent="zero-shot")
    other = read_run(Path(config.output_dir) / twin.run_name())
    if other is None or other["identity"].get("data_sha256") != log.identity["data_sha256"]:
        command = f"--env {config.env} --agent zero-shot"
        return f"not run yet: the same command with {command}" if config.agent != "ground-truth" else ""
    keys = ("success_rate", "last_quarter_success_rate")
    overall, last = (100 * (log.summary[key] - other["summary"][key]) for key in keys)
    return f"{overall:+.1f} points, last quarter {last:+.1f} (zero-shot {other['summary']['success_rate']:.3f})"


def curve(rewards: list[int], width: int = 40) -> str:
    """The success rate over `width` stretches of the stream, as a line of bars from 0 to 1."""
    width = min(width, len(rewards))
    edges = [round(i * len(rewards) / width) for i in range(width + 1)]
    rates = [statistics.fmean(rewards[a:b]) for a, b in zip(edges, edges[1:])]
    return "".join(BARS[min(int(rate * len(BARS)), len(BARS) - 1)] for rate in rates) + "  (each bar 0 to 1)"


def print_seeds(summaries: list[dict[str, Any]]) -> None:
    """Mean and standard deviation over the seeds."""
    print(f"\n  over {len(summaries)} seeds")
    for key in ("success_rate", "last_quarter_success_rate", "regret"):
        values = [summary[key] for summary in summaries]
        print(f"  {key.replace('_', ' '):<26} {statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}")
