"""The lfd sample: server logs that end in a fault of the CPU, the memory or other hardware.

A fault shows in one to three lines of its own among its consequences, which other faults share, and lines of parts
that are well. So the word "CPU" or "memory" in a log decides nothing.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

from .facts import load_facts
from .wording import draw_two, expand

facts = load_facts("lfd")
ROWS = {"CPU": 62, "Memory": 66, "Hardware": 72}
FEWEST, MOST = 4, 10  # lines in a log


def rows(rng: random.Random, folder: Path) -> list[dict]:
    """200 rows, shuffled."""
    result = [
        {"task": write_log(fault_lines(rng.choice(facts.faults[label]), rng), rng), "label": label}
        for label, number in ROWS.items()
        for _ in range(number)
    ]
    rng.shuffle(result)
    return result


def fault_lines(fault: dict[str, list[str]], rng: random.Random) -> list[str]:
    """The lines of one log, in order: the fault's own, a consequence after the first, and noise in any place."""
    faulty, well = draw_two(rng, facts.details)
    telling = sorted(rng.sample(range(len(fault["lines"])), rng.choice((1, 2, 2, 3))))
    lines = [fault["lines"][index] for index in telling]
    if rng.random() < 0.7:
        lines.insert(rng.randint(1, len(lines)), rng.choice(fault["after"]))
    lines = [expand(line, rng, faulty) for line in lines]
    length = rng.randint(max(FEWEST, len(lines) + 1), MOST)
    for line in rng.sample(facts.noise, length - len(lines)):
        lines.insert(rng.randint(0, len(lines)), expand(line, rng, well))
    return lines


def write_log(lines: list[str], rng: random.Random) -> str:
    """Give the lines a host and increasing times, in one of four formats."""
    host, style = rng.choice(facts.hosts), rng.choice((syslog, iso, dmesg, table))
    time = datetime(2024, 1, 1) + timedelta(seconds=rng.randint(0, 31_000_000))
    written = []
    for line in lines:
        time += timedelta(seconds=rng.choice((0, 1, 3, 17, 64, 305)), microseconds=rng.randint(1, 999_999))
        program, _, message = line.partition(": ")
        written.append(style(time, host, program, message))
    return "\n".join(written)


def syslog(time: datetime, host: str, program: str, message: str) -> str:
    return f"{time:%b %d %H:%M:%S} {host} {program}: {message}"


def iso(time: datetime, host: str, program: str, message: str) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}Z {host} {program}: {message}"


def dmesg(time: datetime, host: str, program: str, message: str) -> str:
    """Seconds since the boot at midnight; only other programs than the kernel are named."""
    seconds = time.hour * 3600 + time.minute * 60 + time.second
    return f"[{seconds:6d}.{time.microsecond:06d}] {message if program == 'kernel' else f'{program}: {message}'}"


def table(time: datetime, host: str, program: str, message: str) -> str:
    return f"{time:%m/%d/%Y} | {time:%H:%M:%S} | {program.partition('[')[0]} | {message}"
