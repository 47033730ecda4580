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
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from runs.prices import Prices

from . import statistics
from .costs import cost_table
from .curves import Along, differences, window_of, window_rates
from .files import Link
from .folders import Run
from .plots import BAND_SEEDS
from .run_data import made, number, steps_of
from .runs import Setting, Stream
from .style import DARK, LIGHT, UNFINISHED, styles_of
from .summaries import sweep_tables
from .tables import SECONDS, Table, caveats_of, cost, mean_of, notes_of

WEB = Path(__file__).resolve().parent / "web"
SCRIPTS = ("base.js", "tip.js", "labels.js", "chart.js", "table.js", "groups.js", "steps.js", "start.js")
STEPS = {  # which runs' steps the page holds, and what it says of that
    "one": "This page holds the steps of one seed of each setting.",
    "all": "This page holds the steps of all runs.",
    "none": "This page was made without the runs' steps.",
}
POINTS = 300  # of a curve: more than a screen shows apart
LEGEND = (
    "Mean over the finished seeds ± half of the 95 % t interval; against zero-shot the 95 % interval of a paired "
    "bootstrap over the stream. Bold: the best of its task and LLM.",
    "Tokens: prompt + completion. Seconds: LLM + task (where a run tells it apart) + agent.",
    f"Lines: means over seeds, with the 95 % t interval from {BAND_SEEDS} seeds on; the difference to zero-shot has "
    "the paired bootstrap's, for other queries like those of its window. Dotted: unfinished runs, which count in "
    "no figure.",
)


def write_page(path: Path, streams: Sequence[Stream], *more: Any, **options: Any) -> None:
    """Write `page_of` the streams to `path`."""
    path.write_text(page_of(streams, *more, **options), encoding="utf-8", errors="replace")


def page_of(
    streams: Sequence[Stream],
    prices: Prices | None = None,
    title: str = "Report",
    summaries: Iterable[Table] = (),
    steps: str = "one",
    links: Mapping[str, Sequence[Link]] | None = None,
) -> str:
    """The report of `streams`.

    Args:
        prices: of an LLM's tokens; without them there are no costs.
        title: the page's heading.
        summaries: tables over several streams, shown as they are.
        steps: a key of STEPS.
        links: what lies beside the page, by the stream's title that it is of, or "".
    """
    prices, links = prices or Prices(), links or {}
    runs = [run for stream in streams for setting in stream.settings for run in setting.runs]
    root, caveats = _common_root(runs), caveats_of(streams)
    settings, shown, packed = [], [], Packed()
    for stream in streams:
        of_stream = [run for setting in stream.settings for run in setting.runs]
        place = packed.add("made", {_name(run, root): made(run) for run in of_stream})
        for setting in stream.settings:
            opened = _opened(setting, steps)
            members = [_run(run, root) | (_steps(run, packed) if run in opened else {}) for run in setting.runs]
            settings.append(_setting(stream, setting, prices) | {"runs": members})
        shown.append(_stream(stream, prices, caveats, links.get(stream.title, ())) | {"made": place})
    report = {
        "title": title,
        "about": _about(streams),
        "notes": [*LEGEND, *caveats.values()],
        "steps_note": STEPS[steps],
        "tables": [_table(table, caveats) | {"summary": "whose" not in table.shown} for table in summaries],
        "links": _links(links.get("", ())),
        "streams": shown,
        "settings": settings,
        "styles": _styles(streams),
        "unfinished_dash": _dash(UNFINISHED),
    }
    return _fill_in(title, report, packed.places)


def _stream(stream: Stream, prices: Prices, caveats: Collection[str], links: Iterable[Link]) -> dict[str, Any]:
    """What the page has of a stream beside its settings."""
    costs = cost_table(stream, prices)
    tables = [*([costs] if costs else []), *sweep_tables(stream)]
    return {
        "title": stream.title,
        "window": window_of(stream),
        "rows": stream.rows,
        "notes": [note for note in notes_of([stream]) if note not in caveats],
        "tables": [_table(table, [*caveats, *notes_of([stream])]) for table in tables],
        "links": _links(links),
    }


def _links(links: Iterable[Link]) -> list[dict[str, Any]]:
    return [{"title": link.title, "files": link.files} for link in links]


def _styles(streams: Sequence[Stream]) -> dict[str, tuple[int, str]]:
    """How each method is drawn: the number of its colour and its dash."""
    styles = styles_of(setting for stream in streams for setting in stream.settings)
    return {setting.method: (style.colour, _dash(style.dash)) for setting, style in styles.items()}


def _dash(lengths: tuple[float, ...]) -> str:
    return " ".join(f"{2 * length:g}" for length in lengths)


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
    window = window_of(stream)
    curves = [_curves(setting.finished, window, unfinished=False)] if setting.finished else []
    curves += [_curves([run], window, unfinished=True) for run in setting.unfinished if run.steps]
    along = differences(stream, setting)
    curves += [_difference(along)] if along else []
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
        "tokens": [number(mean_of(setting, name) / stream.rows) for name in ("prompt_tokens", "completion_tokens")],
        "seconds": [number(mean_of(setting, name) / stream.rows) for name in SECONDS],
        "skipped": number(skipped) or None,
        "cut": number(cut / stream.rows) or None,
        "cost": number(cost(setting, prices)),
        "curves": curves,
    }


def _curves(runs: Sequence[Run], window: int, unfinished: bool) -> dict[str, Any]:
    """The measures of `runs`, which have one length, over the stream."""
    steps, rewards = runs[0].steps, statistics.rewards(tuple(runs))
    at = np.unique(np.linspace(1, steps, min(steps, POINTS)).round().astype(int))
    curves: dict[str, Any] = {
        "x": at.tolist(),
        "unfinished": unfinished,
        "rate": _band(statistics.running_success_rate(rewards), at, 1),
        "window": _band(window_rates(rewards, window), at, 1),
        "regret": _band(statistics.cumulative_regret(rewards), at, math.inf),
    }
    for term in ("exploit", "explore"):
        name = f"UCB/{term}_chosen_mean"
        columns = [run.columns.metrics[name] for run in runs if name in run.columns.metrics]
        if len(columns) == len(runs):
            curves[term] = _band(np.array([statistics.smoothed(column, max(1, steps // 50)) for column in columns]), at)
    return curves


def _difference(along: Along) -> dict[str, Any]:
    ends = {name: _line(getattr(along, name)) for name in ("mean", "low", "high")}
    return {"x": along.at.tolist(), "unfinished": False, "difference": ends}


def _band(curves: np.ndarray, at: np.ndarray, highest: float | None = None) -> dict[str, list[float | None]]:
    """Mean and ends of curves [seeds, steps] at the steps `at`, counted from 1; ends only of seeds enough.

    With a `highest` value the ends stay between 0 and that.
    """
    mean, low, high = statistics.band(curves[:, at - 1])
    if highest is not None:
        low, high = np.maximum(low, 0), np.minimum(high, highest)
    return {"mean": _line(mean)} | ({"low": _line(low), "high": _line(high)} if len(curves) >= BAND_SEEDS else {})


def _line(values: np.ndarray) -> list[float | None]:
    return [number(value, 5) for value in values]


def _interval(interval: statistics.Interval) -> dict[str, float | None] | None:
    if math.isnan(interval.mean):
        return None
    return {"mean": interval.mean, "low": number(interval.low), "high": number(interval.high)}


def _table(table: Table, said: Collection[str]) -> dict[str, Any]:
    columns, rows = list(table.shown.columns), table.shown.astype(str).values.tolist()
    notes = [note for note in table.notes if note not in said]
    return {"title": table.title, "columns": columns, "rows": rows, "notes": notes}


# -- runs --------------------------------------------------------------------------------------------------------------


class Packed:
    """What the browser unpacks only when it is looked at: a JSON value for each place in the page."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}

    def add(self, kind: str, value: Any) -> str:
        """Returns the place."""
        place = f"{kind}-{len(self.places)}"
        self.places[place] = _pack(value)
        return place


def _name(run: Run, root: Path) -> str:
    return run.folder.absolute().relative_to(root).as_posix()


def _run(run: Run, root: Path) -> dict[str, Any]:
    return {
        **{"id": _name(run, root), "seed": run.seed, "steps": run.steps, "rows": run.data["rows"]},
        "finished": run.finished,
    }


def _steps(run: Run, packed: Packed) -> dict[str, Any]:
    records, reason = steps_of(run)
    return {"place": packed.add("steps", records), "no_prompt": reason}


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
