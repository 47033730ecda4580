"""What becomes of a step: (env, step, config) -> the case's content, or None to keep nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from config import Config
from env.base import Env
from step import Case, Lesson, Step


class Kept(NamedTuple):
    """What a rule keeps; see `Case`."""

    answer: Any
    reward: int
    output: str | None = None
    lessons: list[Lesson] | None = None
    episode: dict[str, Any] | None = None


Retain = Callable[[Env, Step, Config], Kept | None]


def keep_nothing(env: Env, step: Step, config: Config) -> Kept | None:
    return None


def keep_successes(env: Env, step: Step, config: Config) -> Kept | None:
    return Kept(step.answer, 1) if step.reward else None


def keep_everything(env: Env, step: Step, config: Config) -> Kept | None:
    return Kept(step.answer, step.reward or 0)


def keep_ground_truth(env: Env, step: Step, config: Config) -> Kept | None:
    return Kept(env.get_ground_truth(), 1)


def keep_output(env: Env, step: Step, config: Config) -> Kept | None:
    """All that was written, with its reasons, beside the answer that was read in it; of successes or of everything."""
    if not step.reward and config.keep == "successes":
        return None
    return Kept(step.answer, step.reward or 0, step.output)


def keep_lessons(env: Env, step: Step, config: Config) -> Kept | None:
    """What the LLM has learned from the step, beside the answer; nothing where that is nothing."""
    return Kept(step.answer, step.reward or 0, lessons=step.lessons) if step.lessons else None


def keep_episode(env: Env, step: Step, config: Config) -> Kept | None:
    """The plan of a won episode and its turns, without those in which nothing happened."""
    if not step.reward or step.episode is None:
        return None
    fields = ("observation", "thought", "action")
    turns = [{name: turn[name] for name in fields} for turn in step.episode["turns"] if not turn.get("idle")]
    return Kept(step.answer, 1, episode={"plan": step.episode["plan"], "turns": turns}) if turns else None


def case_of(env: Env, step: Step, config: Config, retain: Retain) -> Case | None:
    """The case that a step leaves in the bank by a retain rule; None where it leaves none."""
    kept, key = retain(env, step, config), env.case_key(step.task)
    if kept is None or key is None:
        return None
    return Case(key, kept.answer, kept.reward, step.number, kept.output, kept.lessons, kept.episode)
