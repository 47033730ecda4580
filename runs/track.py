"""Sending a run's metrics to a tracker as it goes; the run folder stays the record."""

from __future__ import annotations

import importlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from config import Config
from errors import UsageError
from step import Record

from .reader import summarize

if TYPE_CHECKING:
    from .folder import RunLog


class Tracker:
    """Receives each step's record; this one forgets it."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @contextmanager
    def begin(self, log: RunLog) -> Iterator[None]:
        """Receive the records of the run of `log`."""
        yield

    def log(self, record: Record) -> None:
        """Take a step's record."""


class TensorBoard(Tracker):
    """Scalars under <run folder>/tensorboard."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._package = _package("torch.utils.tensorboard", "tensorboard")

    @contextmanager
    def begin(self, log: RunLog) -> Iterator[None]:
        self._writer = self._package.SummaryWriter(log.folder / "tensorboard")
        try:
            yield
        finally:
            self._writer.close()

    def log(self, record: Record) -> None:
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, record["step"])


class WandB(Tracker):
    """A Weights & Biases run, which a continued run goes on with: curves, and at its end a summary and all steps.

    WANDB_PROJECT, WANDB_MODE and the other variables of the package are honoured.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._package = _package("wandb", "wandb")

    @contextmanager
    def begin(self, log: RunLog) -> Iterator[None]:
        name = self.config.run_name()
        settings = {"dir": str(log.folder), "name": name, "group": log.identity["env"], "config": log.identity}
        self._run = self._package.init(id=_run_id(log), resume="allow", **settings)
        try:
            yield
            self._conclude(log)
        finally:
            self._run.finish()

    def _conclude(self, log: RunLog) -> None:
        """Send a finished run's summary and a table of all its steps, also those of earlier starts."""
        records = list(log.records())
        rows = [[_cell(record.get(name, record["usage"].get(name))) for name in COLUMNS] for record in records]
        self._run.summary.update(summarize(records))
        self._run.log({"steps": self._package.Table(columns=list(COLUMNS), data=rows)}, step=len(records))

    def log(self, record: Record) -> None:
        self._run.log(scalars(record), step=record["step"])


COLUMNS = (  # of W&B's table of steps
    *("step", "task", "output", "answer", "reward", "success_rate", "regret", "llm", "finish_reason"),
    *("prompt_tokens", "completion_tokens", "llm_seconds", "skipped"),
)


def _cell(value: object) -> Any:
    """A value as a table holds it: lists and dicts as JSON, for a column has one type."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _run_id(log: RunLog) -> str:
    """The W&B id of this run folder; it goes with the folder's wandb/ when the run is started over."""
    path = log.folder / "wandb" / "run_id"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    if not path.read_text(encoding="ascii"):  # it is new, or a kill or a full disk came between
        path.write_text(uuid.uuid4().hex, encoding="ascii")
    return path.read_text(encoding="ascii").strip()


def scalars(record: Record) -> dict[str, float]:
    """The numbers of a step's record that are worth a curve; a skipped step has no reward."""
    names = ("reward", "success_rate", "regret", "llm_seconds", "env_seconds", "agent_seconds")
    numbers = {name: record[name] for name in names if record[name] is not None}
    return numbers | record["usage"] | record["metrics"]


def _package(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"--track {name} needs `pip install {name}`") from error


TRACKERS = {"none": Tracker, "tensorboard": TensorBoard, "wandb": WandB}


def make_tracker(config: Config) -> Tracker:
    """The tracker of `--track`. Raises UsageError where its package is missing."""
    return TRACKERS[config.track](config)
