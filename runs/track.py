"""Sending a run's metrics to a tracker as it goes; the run folder stays the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from config import Config
from errors import UsageError


class Tracker(Protocol):
    """Receives each step's record."""

    def __enter__(self) -> Tracker: ...

    def __exit__(self, *exception: object) -> None: ...

    def log(self, record: dict[str, Any]) -> None: ...


class NoTracker:
    """Receives and forgets."""

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def log(self, record: dict[str, Any]) -> None:
        pass


class TensorBoard(NoTracker):
    """Scalars under <run folder>/tensorboard."""

    def __init__(self, config: Config) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError("--track tensorboard needs `pip install tensorboard`") from error
        self._writer = SummaryWriter(Path(config.output_dir) / config.run_name() / "tensorboard")

    def __exit__(self, *exception: object) -> None:
        self._writer.close()

    def log(self, record: dict[str, Any]) -> None:
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, record["step"])


class WandB(NoTracker):
    """A Weights & Biases run; WANDB_PROJECT, WANDB_MODE and the other variables of the package are honoured."""

    def __init__(self, config: Config) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UsageError("--track wandb needs `pip install wandb`") from error
        folder = Path(config.output_dir) / config.run_name()
        self._run = wandb.init(dir=str(folder), name=config.run_name(), group=config.env, config=config.identity())

    def __exit__(self, *exception: object) -> None:
        self._run.finish()

    def log(self, record: dict[str, Any]) -> None:
        self._run.log(scalars(record), step=record["step"])


def scalars(record: dict[str, Any]) -> dict[str, float]:
    """The numbers of a step's record that are worth a curve."""
    names = ("reward", "success_rate", "regret", "llm_seconds", "agent_seconds")
    return {name: record[name] for name in names} | record["usage"] | record["metrics"]


def make_tracker(config: Config) -> Tracker:
    """The tracker of `--track`. Raises UsageError where its package is missing."""
    return {"none": lambda _: NoTracker(), "tensorboard": TensorBoard, "wandb": WandB}[config.track](config)
