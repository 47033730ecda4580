"""Whether a run that is killed and continued is the run that was never killed.

Takes main.py's options. The run is played once to its end, and once more as several lives, each ended after another
step, with and without a checkpoint behind it; what agent, policy and task do not keep shows as a step that differs.
The LLM has to give the same answer to the same prompt: the embedded reader does, or a server at temperature 0.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import _path  # noqa: F401

from command_line import read_command_line
from config import Config
from errors import UserError, exit_code
from main import LoadEncoder, make_load_encoder, run_seed
from runs.reader import find_folders, iterate_steps
from runs.track import Tracker
from step import Record

STEPS = 24  # where --limit does not say
DEATHS = ((2, True), (5, True), (6, False), (11, False), (12, True), (17, True), (18, False))  # (step, checkpoints)
TIMES = ("llm_seconds", "env_seconds", "agent_seconds", "cached")


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Mortal(Tracker):
    """Ends the process's life once `step` is logged, before its checkpoint is written."""

    def __init__(self, config: Config, step: int | None) -> None:
        super().__init__(config)
        self._step = step

    def log(self, record: Record) -> None:
        if record["step"] == self._step:
            raise Killed


def check(config: Config, load_encoder: LoadEncoder | None = None) -> str | None:
    """What differs between the run of `config` and the same run in several lives; None where nothing does.

    A continued run that refuses to go on, because it would show other cases than it did, differs as well.
    """
    load_encoder = load_encoder or make_load_encoder(config)
    config = replace(config, seed=max(config.seed, 0), limit=config.limit or STEPS, overwrite=False, track="none")
    with tempfile.TemporaryDirectory() as place:
        whole = replace(config, output_dir=f"{place}/whole", checkpoint_seconds=1e9)
        pieces = replace(config, output_dir=f"{place}/pieces")
        live(whole, None, load_encoder)
        for step, checkpoints in (*DEATHS, (None, False)):
            seconds = 0.0 if checkpoints else 1e9
            try:
                live(replace(pieces, checkpoint_seconds=seconds), step, load_encoder)
            except UserError as error:
                return f"after a kill the run does not go on: {str(error).partition(' (')[0]}"
        return difference(list(steps(Path(whole.output_dir))), list(steps(Path(pieces.output_dir))))


def live(config: Config, death: int | None, load_encoder: LoadEncoder) -> None:
    """One life of a run, in silence: to its end, or until `death` is logged."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        try:
            run_seed(config, load_encoder, Mortal(config, death))
        except Killed:
            pass


def steps(output: Path) -> Iterator[Record]:
    """The records of the only run below --output_dir, without what may differ between equal runs."""
    (folder,) = find_folders(output)
    for record in iterate_steps(folder / "steps.jsonl"):
        yield {name: value for name, value in record.items() if name not in TIMES}


def difference(whole: list[dict[str, Any]], pieces: list[dict[str, Any]]) -> str | None:
    """The first step at which two runs differ, and in what; None where they are equal."""
    for one, other in zip(whole, pieces):
        if repr(one) != repr(other):  # nan is not equal to itself
            names = [name for name in one if repr(one[name]) != repr(other.get(name))]
            return f"step {one['step']} is another after a kill: {', '.join(names)}"
    return None if len(whole) == len(pieces) else f"{len(whole)} steps in one life, {len(pieces)} in several"


def main(argv: list[str]) -> int:
    def run() -> int:
        _, options = read_command_line(argv)
        found = check(Config(**options))
        print(found or "killed and continued, it is the same run")
        return int(found is not None)

    return exit_code(run, debug="--debug" in argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
