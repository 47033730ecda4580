"""Helpers of the tests that run main.py: small streams, run folders, logs without their times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from env.labels import load_labels
from helpers.fake_server import FakeServer

TIMES = ("llm_seconds", "env_seconds", "agent_seconds")


def lfd_stream(folder: Path, size: int) -> Path:
    """stream.jsonl in `folder`: `size` rows of the task lfd, tasks all different, labels in turn."""
    labels = load_labels("lfd")
    subjects = ("the disk array", "a router in rack 4", "the payment service", "node 12", "the login page")
    events = ("stopped answering", "reports checksum errors", "drops packets", "restarts by itself", "is out of memory")
    rows = [
        {"task": f"Line {i}: {subjects[i % 5]} {events[i // 5 % 5]}.", "label": labels[i * 7 % len(labels)]}
        for i in range(size)
    ]
    path = folder / "stream.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def argv(server: FakeServer | None, output: Path, *more: object) -> list[str]:
    """main.py's arguments for a run on the stream beside `output`, answered by `server` or the embedded reader."""
    serving = ("--llm", "m", "--port", server.port) if server else ()
    data = output.parent / "stream.jsonl"
    return [str(word) for word in ("--env", "lfd", "--data", data, "--output_dir", output, *serving, *more)]


def run_folders(output: Path) -> list[Path]:
    """The run folders below --output_dir, those of lower seeds first."""
    return sorted(path.parent for path in output.rglob("config.yaml"))


def run_folder(output: Path) -> Path:
    """The only run folder below --output_dir."""
    (folder,) = run_folders(output)
    return folder


def steps(folder: Path) -> list[dict[str, Any]]:
    """steps.jsonl without what may differ between equal runs, the times, and without a line that a kill has torn."""
    whole = (folder / "steps.jsonl").read_bytes().rpartition(b"\n")[0]
    lines = whole.split(b"\n") if whole else []
    return [json.loads(line, object_pairs_hook=without_times) for line in lines]


def without_times(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if key not in TIMES}
