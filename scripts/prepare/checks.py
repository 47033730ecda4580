"""Checking a task's data without any model: every row on its own, so that one bad row does not hide the next."""

from __future__ import annotations

from collections.abc import Iterator

from env import find_env
from env.base import Env
from env.data import DataFile, parse_row
from errors import DataError


def check_rows(task: str, data_file: DataFile) -> Iterator[tuple[int, str | None]]:
    """Yield (line number, what is wrong with the row in that line or None) for every row of the file."""
    env = find_env(task)()
    env.data_file = data_file
    try:
        yield from _check_lines(env, data_file)
    finally:
        env.close()


def _check_lines(env: Env, data_file: DataFile) -> Iterator[tuple[int, str | None]]:
    for number, line in enumerate(data_file.path.read_bytes().splitlines(), start=1):
        if line.strip():
            try:
                yield number, _problem(env, line)
            except DataError as error:
                yield number, str(error).removeprefix(f"{data_file.path}: ")


def _problem(env: Env, line: bytes) -> str | None:
    """Raises DataError too, for what reading the row or running its gold query finds."""
    try:
        row = parse_row(str(env.data_file.path), line.decode("utf-8-sig"), env.fields)
    except UnicodeDecodeError as error:
        return f"not UTF-8 ({error.reason})"
    if "task" in env.fields and not row["task"].strip():
        return "the task is empty"
    problem = env.check_row(row)
    if problem:
        return problem
    if env.labels_may_fail:
        return None
    env.dataset, env.index = [row], 0
    truth = env.get_ground_truth()
    answer, reward = env.evaluate(env.format_answer(truth))
    if reward != 1:
        return f"the ground truth {truth!r} does not score 1: it reads back as {answer!r}"
    if env.evaluate("")[1] != 0:
        return "an empty answer scores 1"
    return None
