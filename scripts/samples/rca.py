"""The rca sample: alarm records of network elements with a few log lines.

The category is never written: it follows from the cause, which the headline or the log tells. Around it are a
consequence, which looks like an alarm of another category, and routine.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from .facts import load_facts
from .wording import draw_two, expand, start_upper

facts = load_facts("rca")
ROWS = {
    "communicationsAlarm": 46,
    "equipmentAlarm": 40,
    "processingErrorAlarm": 36,
    "qualityOfServiceAlarm": 28,
    "environmentalAlarm": 28,
    "EventTrap": 22,
}
CODED = 0.6  # how often a record has the cause's code
HIDDEN = 0.25  # how often its headline is a consequence, and only the log tells the cause


@dataclass(frozen=True)
class Cause:
    """What happened. `causes` are probable causes and `texts` specific problems, each of them telling by itself."""

    causes: Sequence[str]
    texts: Sequence[str]
    after: Sequence[str]
    severities: Sequence[str] = ("major", "minor", "critical")


@dataclass(frozen=True)
class Record:
    """One alarm; `cause` is None where the element names none, `log` the lines around it in order of time."""

    time: datetime
    device: str
    site: str
    number: int
    severity: str
    cause: str | None
    problem: str
    log: list[str]


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """200 rows, shuffled."""
    result = [
        {"task": rng.choice(FORMATS)(draw(rng, label)), "label": label}
        for label, number in ROWS.items()
        for _ in range(number)
    ]
    rng.shuffle(result)
    return result


def draw(rng: random.Random, label: str) -> Record:
    """Draw an alarm of category `label`."""
    cause = Cause(**rng.choice(facts.categories[label]))
    here, elsewhere = draw_two(rng, facts.details)
    text, further = rng.sample(cause.texts, 2)
    coded = rng.random() < CODED
    consequence = rng.choice(cause.after)
    problem, *telling = (consequence, text) if rng.random() < HIDDEN else (text, further, consequence)
    lines = [expand(line, rng, here) for line in telling]
    for line in rng.sample(facts.noise, rng.randint(1, 2)):
        lines.insert(rng.randint(0, len(lines)), expand(line, rng, elsewhere))
    return Record(
        time=datetime(2024, 1, 1) + timedelta(seconds=rng.randint(0, 31_000_000)),
        device=rng.choice(facts.devices),
        site=here["site"],
        number=rng.randint(10_000, 99_999),
        severity=rng.choice(facts.event_severities if label == "EventTrap" else cause.severities),
        cause=rng.choice(cause.causes) if coded else None,
        problem=expand(problem, rng, here),
        log=lines,
    )


def timed_log(record: Record, form: str) -> list[str]:
    """The log lines, 40 seconds apart, the last at the time of the alarm; `form` is a strftime format."""
    last = len(record.log) - 1
    return [
        f"{record.time - timedelta(seconds=40 * (last - place)):{form}} {line}" for place, line in enumerate(record.log)
    ]


def fields(record: Record) -> str:
    """A block of fields, as element managers print it."""
    cause = [f"Probable cause    = {record.cause}"] if record.cause else []
    return "\n".join(
        (
            f"ALARM {record.number}    {record.severity.upper()}",
            f"Network element   = {record.device} {record.site}",
            f"Raised            = {record.time:%Y-%m-%d %H:%M:%S}",
            *cause,
            f"Specific problem  = {start_upper(record.problem)}",
            "Log:",
            *(f"  {line}" for line in timed_log(record, "%H:%M:%S")),
        )
    )


def syslog(record: Record) -> str:
    """Plain lines with the alarm as the last."""
    host = record.site.lower()
    cause = f" ({record.cause})" if record.cause else ""
    return "\n".join(
        (
            *(f"{line[:15]} {host}: {line[16:]}" for line in timed_log(record, "%b %d %H:%M:%S")),
            f"{record.time:%b %d %H:%M:%S} {host}: %ALM-{record.severity.upper()}: {record.problem}{cause}",
        )
    )


def structured(record: Record) -> str:
    """JSON, as a collector forwards it."""
    content = {
        "element": f"{record.device}/{record.site}",
        "time": f"{record.time:%Y-%m-%dT%H:%M:%SZ}",
        "severity": record.severity,
        **({"probableCause": record.cause} if record.cause else {}),
        "additionalText": record.problem,
        "events": record.log,
    }
    return json.dumps(content)


def snmp(record: Record) -> str:
    """The variables of a notification."""
    cause = [f"  almCause: {record.cause}"] if record.cause else []
    return "\n".join(
        (
            f"{record.time:%d.%m.%Y %H:%M:%S} notification from {record.device} at {record.site}, seq {record.number}",
            *cause,
            f"  almSeverity: {record.severity}",
            f"  almText: {record.problem}",
            *(f"  recent: {line}" for line in timed_log(record, "%H:%M")),
        )
    )


def short(record: Record) -> str:
    """One line a fact, as it is pasted into a ticket."""
    cause = f" / {record.cause}" if record.cause else ""
    return "\n".join(
        (
            f"[{record.severity}] {record.device} {record.site}{cause}: {record.problem}",
            *(f"- {line}" for line in record.log),
        )
    )


FORMATS: tuple[Callable[[Record], str], ...] = (fields, syslog, structured, snmp, short)
