"""What the page holds of one run: how it was made, and its steps with their prompts."""

from __future__ import annotations

import math
import shlex
from typing import Any

from config import FIELDS
from options import words_of

from .folders import Run
from .prompts import Rebuilt, shown_prompts

FROM_RECORD = ("step", "task", "output", "answer", "reward", "usage", "llm_seconds", "agent_seconds", "cached")
PERHAPS = ("turns", "env_seconds", "finish_reason", "skipped")


def number(value: float, digits: int = 12) -> float | None:
    """`value` to so many significant digits, as JSON can hold it."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


# -- how it was made ---------------------------------------------------------------------------------------------------


def made(run: Run) -> dict[str, Any]:
    """The run's facts, and its settings: (name, value, whether that is the default)."""
    settings = [
        (name, "" if value is None else str(value), name in FIELDS and value == FIELDS[name].default)
        for name, value in run.options.items()
    ]
    return {"facts": run_facts(run), "settings": settings}


def run_facts(run: Run) -> list[tuple[str, str]]:
    """How the run was made: its command line, and of each start the date, the model and what it ran with."""
    facts = [("command line", command_line(run.options))] if run.options else []
    facts += [("rows", f"{run.data['origin']}, sha256 {run.data['sha256'][:12]}")]
    starts = [start for start in run.config.get("starts") or () if isinstance(start, dict)]
    for start in starts:
        code, versions, llm = (start.get(name) for name in ("code", "versions", "llm"))
        said = [f"from step {start['from_step']}"] if len(starts) > 1 and "from_step" in start else []
        said += [f"version {start['version']}"] if start.get("version") else []
        if isinstance(code, dict):
            said.append(f"commit {code.get('commit')}{', with changes' if code.get('dirty') else ''}")
        said += [_named(llm)] if isinstance(llm, dict) else []
        said += [_named(versions)] if isinstance(versions, dict) else []
        facts.append((f"started {start.get('time', 'at an unknown time')}", "; ".join(said)))
    return facts


def _named(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def command_line(options: dict[str, Any]) -> str:
    """The run's options off their default as main.py takes them."""
    words = ["python", "main.py"]
    for name, value in options.items():
        if name in FIELDS and (name == "env" or value != FIELDS[name].default):
            words += words_of(FIELDS[name], value)
    return shlex.join(words)


# -- its steps ---------------------------------------------------------------------------------------------------------


def steps_of(run: Run) -> tuple[list[dict[str, Any]], str]:
    """The steps of a run as the page shows them, and why their prompts are not there ("" where they are)."""
    records = run.records
    rebuilt, reason = shown_prompts(run.source, records)
    return [_step(record, more) for record, more in zip(records, rebuilt)], reason


def _step(record: dict[str, Any], more: Rebuilt | None) -> dict[str, Any]:
    """A record with its `prompt` and, where it differs from the step's task and answer, the case that was `kept`."""
    step = {key: record[key] for key in FROM_RECORD}
    step |= {key: record[key] for key in PERHAPS if record.get(key) is not None}
    for key in ("answer", "turns"):
        if key in step:
            step[key] = _plain(step[key])
    step["cases"] = [[case["id"], _plain(case.get("score"))] for case in record["cases"]]
    step["metrics"] = {  # four digits: the page shows no more, and the rest would be a third of its size
        name: number(value, 4) if isinstance(value, float) else value for name, value in record["metrics"].items()
    }
    if more is not None:
        step |= {"prompt": more.prompt, "prompt_note": more.note}
        if more.truth is not None:
            step["truth"] = _plain(more.truth)
        if more.kept is not None:
            kept = {key: _plain(getattr(more.kept, key)) for key in ("task", "answer", "reward")}
            if any(kept[key] != step[key] for key in kept):
                step["kept"] = kept
    return step


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinity, which an answer may be, become their names."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
