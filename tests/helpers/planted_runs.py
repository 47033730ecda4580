"""Run folders with known rewards, written by RunLog as a run writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config import Config
from runs.folder import RunLog

SHA = "0123456789abcdef" * 4


def plant_run(
    root: Path,
    rewards: Sequence[int],
    *more: object,
    env: str = "lfd",
    origin: str = "official",
    sha256: str = SHA,
    rows: int | None = None,
    metrics: Sequence[dict[str, float]] | None = None,
    cases: Sequence[list[int]] | None = None,
) -> Path:
    """A run of main.py with the options `more` that got `rewards`; unfinished where `rows` are more than these."""
    config = Config.from_args(["--env", env, "--llm", "m", *map(str, more)])
    rows = len(rewards) if rows is None else rows
    folder = root / f"{origin}-{sha256[:4]}" / config.run_name()
    log = RunLog(folder, config.identity() | {"data_sha256": sha256}, overwrite=False, checkpoint_seconds=60)
    data = {"path": None, "origin": origin, "sha256": sha256, "rows": rows}
    log.begin({"options": vars(config), "data": data, "task": {}, "device": "cpu"})
    for i, reward in enumerate(rewards):
        log.append(record(i, reward, rewards, metrics[i] if metrics else {}, cases[i] if cases else []))
    if rows == len(rewards):
        log.finish({"bank_size": 0})
    log.close()
    return folder


def record(i: int, reward: int, rewards: Sequence[int], metrics: dict[str, float], cases: list[int]) -> dict[str, Any]:
    successes = sum(rewards[: i + 1])
    shown = [{"id": case, "score": 0.5} for case in cases]
    return {
        **{"step": i + 1, "task": f"task {i + 1}\u2028on a line", "cases": shown},
        **{"output": "text", "answer": f"answer {i % 3}", "reward": reward, "success_rate": successes / (i + 1)},
        **{"regret": i + 1 - successes, "usage": {"prompt_tokens": 100, "completion_tokens": 10}},
        **{"llm_seconds": 0.5, "agent_seconds": 0.25, "cached": False, "metrics": metrics},
    }
