"""How a task is carried out with a prompt: (env, prompt, session, step) -> the text to evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from env.base import Env
from step import Step

if TYPE_CHECKING:
    from llm import Session


def ask_once(env: Env, prompt: str, session: Session, step: Step) -> str:
    """Let the task carry itself out with the LLM: a question, or the dialogue that the task has of its own."""
    return env.interact(prompt, session)


def write_truth(env: Env, prompt: str, session: Session, step: Step) -> str:
    """What an LLM that knew the label would write."""
    return env.gold_output()
