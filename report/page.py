"""The report as one HTML page that needs nothing else: no file, no network, no server.

The page's parts lie in web/ and are put together here. Its figures are the tables' own, from statistics.py; the scripts
in the page only show them. The steps of a run are JSON, gzipped, in base64; the browser unpacks a run when it is
opened. The content security policy lets nothing run but our one script, and nothing be loaded at all, whatever a model
has written.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from config import FIELDS
from options import flag
from runs.prices import Prices

from . import statistics
from .costs import cost_table
from .folders import Run
from .plots import BAND_SEEDS
from .prompts import Rebuilt, shown_prompts
from .runs import Setting, Stream
from .style import DARK, LIGHT, UNFINISHED, styles_of
from .summaries import sweep_tables
from .tables import SECONDS, Table, cost, mean_of, notes_of

WEB = Path(__file__).resolve().parent / "web"
SCRIPTS = ("base.js", "chart.js", "table.js", "steps.js", "start.js")
STEPS = {  # which runs' steps the page holds, and what it says of that
    "one": "This page holds the steps of one seed of each setting.",
    "all": "This page holds the steps of all runs.",
    "none": "This page was made without the runs' steps.",
}
POINTS = 300  # of a curve: more than a screen shows apart
FROM_RECORD = ("step", "task", "output", "answer", "reward", "usage", "llm_seconds", "agent_seconds", "cached")
PERHAPS = ("turns", "env_seconds", "finish_reason", "skipped")
LEGEND = (
    "Mean over the finished seeds ± half of the 95 % t interval; against zero-shot the 95 % interval of a paired "
    "bootstrap over the stream. Tokens: prompt + completion. Seconds: LLM + task (where a run tells it apart) + agent. "
    f"Bold: the best of its task and LLM. Bands: 95 % t interval, from {BAND_SEEDS} seeds on. "
    "Dotted: unfinished runs, which count in no figure."
)


def write_page(
    path: Path,
    streams: Sequence[Stream],
    prices: Prices | None = None,
    title: str = "Report",
    summaries: Iterable[Table] = (),
    steps: str = "one",
) -> None:
    """Write the report of `streams` to `path`.

    Args:
        prices: of an LLM's tokens; without them there are no costs.
        title: the page's heading.
        summaries: tables over several streams, shown as they are.
        steps: a key of STEPS.
    """
    root = _common_root([run for stream in streams for setting in stream.settings for run in setting.runs])
    settings, packed = [], {}
    for stream in streams:
        for setting in stream.settings:
            opened = _opened(setting, steps)
            shown = []
            for run in setting.runs:
                shown.append(_run(run, root))
                if run in opened:
                    place = f"steps-{len(packed)}"
                    records, reason = _steps(run)
                    packed[place] = _pack(records)
                    shown[-1] |= {"place": place, "no_prompt": reason}
            settings.append(_setting(stream, setting, prices or Prices()) | {"runs": shown})
    report = {
        "title": title,
        "about": _about(streams),
        "legend": " ".join([LEGEND, *notes_of(streams)]),
        "steps_note": STEPS[steps],
        "tables": [_table(table) for table in summaries]
        + [_table(table) | {"stream": stream.title} for stream in streams for table in _own_tables(stream, prices)],
        "settings": settings,
        "styles": _styles(streams),
        "unfinished_dash": _dash(UNFINISHED),
    }
    path.write_text(_fill_in(title, report, packed), encoding="utf-8", errors="replace")


def _styles(streams: Sequence[Stream]) -> dict[str, tuple[int, str]]:
    """How each method is drawn: the number of its colour and its dash."""
    styles = styles_of(setting for stream in streams for setting in stream.settings)
    return {setting.method: (style.colour, _dash(style.dash)) for setting, style in styles.items()}


def _dash(lengths: tuple[float, ...]) -> str:
    return " ".join(f"{2 * length:g}" for length in lengths)


def _own_tables(stream: Stream, prices: Prices | None) -> list[Table]:
    """What the page shows of a stream beside its figures: what the methods cost, and sweeps."""
    costs = cost_table(stream, prices or Prices())
    return [*([costs] if costs else []), *sweep_tables(stream)]


def _common_root(runs: list[Run]) -> Path:
    """The folder that the page's names of the runs begin below."""
    return Path(os.path.commonpath([run.folder.absolute().parent for run in runs])) if runs else Path()


def _opened(setting: Setting, steps: str) -> list[Run]:
    """The runs of `setting` whose steps the page holds: of one seed, that is its first that is finished."""
    begun = [run for run in (*setting.finished, *setting.unfinished) if run.steps]
    return {"one": begun[:1], "all": begun, "none": []}[steps]


def _about(streams: Sequence[Stream]) -> str:
    settings = [setting for stream in streams for setting in stream.settings]
    runs = sum(len(setting.runs) for setting in settings)
    unfinished = sum(len(setting.unfinished) for setting in settings)
    counts = {"stream": len(streams), "setting": len(settings), "run": runs, "unfinished run": unfinished}
    return ", ".join(f"{n:,} {noun}{'' if n == 1 else 's'}" for noun, n in counts.items() if n)


# -- figures -----------------------------------------------------------------------------------------------------------


def _setting(stream: Stream, setting: Setting, prices: Prices) -> dict[str, Any]:
    skipped, cut = mean_of(setting, "skipped_steps"), mean_of(setting, "cut_answers")
    curves = [_curves(setting.finished, unfinished=False)] if setting.finished else []
    curves += [_curves([run], unfinished=True) for run in setting.unfinished if run.steps]
    against = statistics.difference(setting, statistics.baseline_of(stream, setting))
    return {
        "stream": stream.title,
        "llm": setting.llm,
        "method": setting.method,
        "sample": stream.is_sample,
        "reader": setting.is_embedded,
        "unfinished": bool(setting.unfinished),
        "seeds": [len(setting.finished), len(setting.runs)],
        "progress": setting.seeds,
        "rate": _interval(statistics.success_rate(setting)),
        "difference": _interval(against.interval) if against else None,
        "last": _interval(statistics.last_quarter(setting)),
        "regret": _interval(statistics.regret(setting)),
        "tokens": [_number(mean_of(setting, name) / stream.rows) for name in ("prompt_tokens", "completion_tokens")],
        "seconds": [_number(mean_of(setting, name) / stream.rows) for name in SECONDS],
        "skipped": _number(skipped) or None,
        "cut": _number(cut / stream.rows) or None,
        "cost": _number(cost(setting, prices)),
        "curves": curves,
    }


def _curves(runs: Sequence[Run], unfinished: bool) -> dict[str, Any]:
    """The measures of `runs`, which have one length, over the stream."""
    steps, rewards = runs[0].steps, statistics.rewards(tuple(runs))
    at = np.unique(np.linspace(1, steps, min(steps, POINTS)).round().astype(int))
    curves: dict[str, Any] = {
        "x": at.tolist(),
        "unfinished": unfinished,
        "rate": _band(statistics.running_success_rate(rewards), at),
        "regret": _band(statistics.cumulative_regret(rewards), at),
    }
    for term in ("exploit", "explore"):
        name = f"UCB/{term}_chosen_mean"
        columns = [run.columns.metrics[name] for run in runs if name in run.columns.metrics]
        if len(columns) == len(runs):
            curves[term] = _band(np.array([statistics.smoothed(column, max(1, steps // 50)) for column in columns]), at)
    return curves


def _band(curves: np.ndarray, at: np.ndarray) -> dict[str, list[float | None]]:
    """Mean and ends of curves [seeds, steps] at the steps `at`, counted from 1; ends only of seeds enough."""
    mean, low, high = ([_number(value, 5) for value in line] for line in statistics.band(curves[:, at - 1]))
    return {"mean": mean, "low": low, "high": high} if len(curves) >= BAND_SEEDS else {"mean": mean}


def _interval(interval: statistics.Interval) -> dict[str, float | None] | None:
    if math.isnan(interval.mean):
        return None
    return {"mean": interval.mean, "low": _number(interval.low), "high": _number(interval.high)}


def _number(value: float, digits: int = 12) -> float | None:
    """`value` to so many significant digits, as JSON can hold it."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _table(table: Table) -> dict[str, Any]:
    columns, rows = list(table.shown.columns), table.shown.astype(str).values.tolist()
    return {"title": table.title, "columns": columns, "rows": rows, "note": " ".join(table.notes)}


# -- steps -------------------------------------------------------------------------------------------------------------


def _run(run: Run, root: Path) -> dict[str, Any]:
    name = run.folder.absolute().relative_to(root).as_posix()
    return {
        **{"id": name, "seed": run.seed, "steps": run.steps, "rows": run.data["rows"], "finished": run.finished},
        "facts": run_facts(run),
    }


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
            words += [f"--{flag(FIELDS[name])}"] if value is True else [f"--{flag(FIELDS[name])}", str(value)]
    return shlex.join(words)


def _steps(run: Run) -> tuple[list[dict[str, Any]], str]:
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
        name: _number(value, 4) if isinstance(value, float) else value for name, value in record["metrics"].items()
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


# -- the file ----------------------------------------------------------------------------------------------------------


def _fill_in(title: str, report: dict[str, Any], packed: dict[str, str]) -> str:
    script = "\n".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = _colours() + (WEB / "style.css").read_text(encoding="utf-8")
    blocks = [f'<script type="application/gzip+base64" id="{place}">{text}</script>' for place, text in packed.items()]
    return Template((WEB / "page.html").read_text(encoding="utf-8")).substitute(
        title=title.replace("&", "&amp;").replace("<", "&lt;"),
        style=style,
        style_hash=_csp_hash(style),
        script=script,
        script_hash=_csp_hash(script),
        report=_json(report).replace("<", "\\u003c"),  # no text can end the element that it stands in
        steps="\n".join(blocks),
    )


def _colours() -> str:
    """The colours of style.py as the style sheet's variables."""
    light, dark = ("".join(f"--c{i}:{colour};" for i, colour in enumerate(one)) for one in (LIGHT, DARK))
    return f":root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _pack(value: Any) -> str:
    """`value` as base64 of gzip of JSON, the same text for the same value."""
    return base64.b64encode(gzip.compress(_json(value).encode(errors="replace"), mtime=0)).decode("ascii")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
