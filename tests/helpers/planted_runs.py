"""Run folders with known rewards, written by RunLog as a run writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from command_line import config_of
from runs.folder import RunLog
from step import Step


@dataclass
class Planted(Step):
    """A step with the record that it is to have."""

    line: dict[str, Any] = field(default_factory=dict)

    def to_record(self, success_rate: float | None, regret: int) -> dict[str, Any]:
        return self.line


SHA = "0123456789abcdef" * 4


def plant_run(
    root: Path,
    rewards: Sequence[int | None],
    *more: object,
    env: str = "lfd",
    origin: str = "official",
    sha256: str = SHA,
    rows: int | None = None,
    metrics: Sequence[dict[str, float]] | None = None,
    cases: Sequence[list[int]] | None = None,
    extra: Sequence[dict[str, Any]] | None = None,
) -> Path:
    """A run of main.py with the options `more` that got `rewards`; unfinished where `rows` are more than these.

    A reward None is a step that was skipped; `extra` is added to the steps' records.
    """
    config = config_of(["--env", env, "--llm", "m", *map(str, more)])
    rows = len(rewards) if rows is None else rows
    folder = root / f"{origin}-{sha256[:4]}" / config.run_name()
    log = RunLog(folder, config.identity() | {"data_sha256": sha256}, overwrite=False, checkpoint_seconds=60)
    data = {"path": None, "origin": origin, "sha256": sha256, "rows": rows}
    log.begin({"options": vars(config), "data": data}, {"task": {}, "device": "cpu"})
    for i, reward in enumerate(rewards):
        line = record(i, reward, rewards, metrics[i] if metrics else {}, cases[i] if cases else [])
        log.append(Planted(i + 1, reward=reward, line=line | (extra[i] if extra else {})))
    if rows == len(rewards):
        log.finish({"bank_size": 0})
    log.close()
    if not rewards:  # main.py leaves no folder of such a run, earlier versions did
        folder.mkdir(parents=True, exist_ok=True)
        config_yaml = {"identity": log.identity, "options": vars(config), "data": data}
        (folder / "config.yaml").write_text(yaml.safe_dump(config_yaml), encoding="utf-8")
    return folder


def record(
    i: int, reward: int | None, rewards: Sequence[int | None], metrics: dict[str, float], cases: list[int]
) -> dict[str, Any]:
    scored = [one for one in rewards[: i + 1] if one is not None]
    successes, skipped = sum(scored), {"skipped": "the prompt is too long"} if reward is None else {}
    shown = [{"id": case, "score": 0.5} for case in cases]
    return {
        **{"step": i + 1, "task": f"task {i + 1}\u2028on a line", "cases": shown},
        **{"output": "text", "answer": f"answer {i % 3}", "reward": reward},
        **{"success_rate": successes / len(scored) if scored else None, "regret": len(scored) - successes, **skipped},
        **{"usage": {"prompt_tokens": 100, "completion_tokens": 10}},
        **{"llm_seconds": 0.5, "agent_seconds": 0.25, "cached": False, "metrics": metrics},
    }
