"""Helpers of the tests that run main.py: small streams, run folders, logs without their times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TIMES = ("llm_seconds", "agent_seconds")


def write_stream(path: Path, labels: list[str], size: int) -> Path:
    """`size` rows of a label task, tasks all different, labels in turn."""
    subjects = ("the disk array", "a router in rack 4", "the payment service", "node 12", "the login page")
    events = ("stopped answering", "reports checksum errors", "drops packets", "restarts by itself", "is out of memory")
    rows = [
        {"task": f"Line {i}: {subjects[i % 5]} {events[i // 5 % 5]}.", "label": labels[i * 7 % len(labels)]}
        for i in range(size)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run_folders(output: Path) -> list[Path]:
    """The run folders below --output_dir, those of lower seeds first."""
    return sorted(path.parent for path in output.rglob("config.yaml"))


def run_folder(output: Path) -> Path:
    """The only run folder below --output_dir."""
    (folder,) = run_folders(output)
    return folder


def steps(folder: Path) -> list[dict[str, Any]]:
    """steps.jsonl without what may differ between equal runs: the times."""
    lines = (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]
