"""The report as one HTML page that needs nothing else: no file, no network, no server.

The page's parts lie in web/ and are put together here. Its figures are the tables' own: the scripts in the page only
show them. The steps of a run are JSON, gzipped, in base64; the browser unpacks a run when it is opened. The content
security policy lets nothing run but our one script and lets nothing be loaded at all, whatever a model wrote.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path
from string import Template
from typing import Any

from errors import UserError
from scripts.reporting.prompts import Rebuilt, rebuild

WEB = Path(__file__).resolve().parent / "web"
SCRIPTS = ("base.js", "chart.js", "table.js", "steps.js", "start.js")
STEPS = ("one", "all", "none")  # the runs whose steps the page holds: of each setting its first seed, all seeds, none
FROM_RECORD = ("step", "task", "output", "answer", "reward", "usage", "llm_seconds", "agent_seconds", "cached")


def render(report: dict[str, Any], steps: dict[str, list[dict[str, Any]]]) -> str:
    """The page of a report and of the steps of some of its runs, by their places in it.

    `report` has the texts `title`, `about`, `legend` and `steps_note`, further `tables` (title, columns, rows, note), and
    `settings`, a dict each: `stream` (task and data), `llm`, `method`; `sample`, `reader` and `unfinished`, which become
    badges; `rate`, `difference` (to zero-shot), `last`, `regret` as {mean, low, high} or None; `tokens` and `seconds`
    as pairs a step, `cost` or None; `curves`, x and for each measure mean, low and high; and its `runs`.
    """
    script = "\n".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (WEB / "style.css").read_text(encoding="utf-8")
    packed = [
        f'<script type="application/gzip+base64" id="{place}">{pack(records)}</script>'
        for place, records in steps.items()
    ]
    return Template((WEB / "page.html").read_text(encoding="utf-8")).substitute(
        title="Report",
        style=style,
        style_hash=_csp_hash(style),
        script=script,
        script_hash=_csp_hash(script),
        report=_json(report).replace("<", "\\u003c"),  # no text can end the element that it stands in
        steps="\n".join(packed),
    )


def pack(value: Any) -> str:
    """`value` as base64 of gzip of JSON, the same bytes for the same value."""
    return base64.b64encode(gzip.compress(_json(value).encode(errors="replace"), mtime=0)).decode("ascii")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def page_steps(config: dict[str, Any], records: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """The records of a run as the page shows them, and why their prompts are not there ("" where they are).

    A step gains `prompt` and `kept`, the case that it left in the bank, where that differs from its task and answer.
    """
    try:
        rebuilt: list[Rebuilt | None] = list(rebuild(config, records))
        reason = ""
    except UserError as error:
        rebuilt, reason = [None] * len(records), f"The prompt cannot be shown: {error}."
    return [_page_step(record, more) for record, more in zip(records, rebuilt)], reason


def _page_step(record: dict[str, Any], more: Rebuilt | None) -> dict[str, Any]:
    step = {key: record[key] for key in FROM_RECORD if key in record}
    step["cases"] = [[case["id"], case["score"]] for case in record["cases"]]
    step["metrics"] = {name: _rounded(value) for name, value in record["metrics"].items()}
    if "turns" in record:
        step["turns"] = record["turns"]
    if more is not None:
        step["prompt"] = more.prompt
        if more.kept is not None:
            kept = {key: more.kept[key] for key in ("task", "answer", "reward")}
            if any(kept[key] != record[key] for key in kept):
                step["kept"] = kept
    return step


def _rounded(value: Any) -> Any:
    """Four significant digits: the page shows no more, and the rest would be a third of its size."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
