"""Helpers of the tests that run a tiny chat model in this process: a small task, and main.py's arguments for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import env as envs
from env.base import Env
from runs.folder import RunLog
from step import Step


class Letters(Env):
    """Answers are scored by their first character alone: a random model is right now and then."""

    steps = 20
    right = "aeiouAEIOU0123456789"

    def __init__(self) -> None:
        super().__init__()
        self.ZERO_SHOT_PROMPT = "log {task}"
        self.CASE_PROMPT = "{task}: {answer}"
        self.CBR_PROMPT = "{case_prompt} log {task}"

    def init_env(self) -> None:
        self.dataset = [{"task": f"ticket {i * i} of server {i % 3}", "label": "a"} for i in range(self.steps)]

    def extraction(self, text: str) -> str:
        return text[:1]

    def reward_function(self, answer: str) -> int:
        return int(answer != "" and answer in self.right)


def use(monkeypatch: pytest.MonkeyPatch, task: type[Env]) -> None:
    """Let `--env lfd` be `task`."""
    monkeypatch.setitem(envs.ENV_DICT, "lfd", task)


def local_argv(model: str | Path, output: Path, *more: object) -> list[str]:
    """main.py's arguments for a run on `use`'s task, answered by the model in a folder."""
    serving = ("--serving_mode", "hf", "--llm", "tiny", "--model_path", model, "--device", "cpu")
    sampling = ("--max_new_tokens", 6, "--temperature", 1)
    return [str(word) for word in ("--env", "lfd", "--output_dir", output, *serving, *sampling, *more)]


def interrupting(before: int | None, after: int | None = None) -> type[RunLog]:
    """A run log at whose step `before` (not yet logged) or `after` (just logged) Ctrl-C comes."""

    class Interrupted(RunLog):
        def append(self, step: Step) -> dict[str, Any] | None:
            if step.number == before and not step.replayed:
                raise KeyboardInterrupt
            record = super().append(step)
            if step.number == after and not step.replayed:
                raise KeyboardInterrupt
            return record

    return Interrupted
