"""Prompts of the science lab. `layout` also makes those of the variant in which the model thinks."""

from .layout import build_prompts

ACTION, THOUGHT, OBSERVATION = "[Action] ", "[Think] ", "[Observation] "  # what a transcript's lines begin with
ACTIONS = """
open X, close X: doors and containers
go to X: a place next to this one; teleport to X: any place
look around, look at X, look in X, inventory, task: what you see, carry and have to do
pick up X, put down X, move X to Y, pour X in Y, dunk X in Y, mix X: objects, liquids and what a container holds
activate X, deactivate X, use X on Y: devices and tools
connect X to Y, disconnect X: electrical parts and their terminals
focus on X: say that X is the thing the task asks for; a wrong one ends the game
eat X, flush X, read X, wait, wait1: the last for one moment only
"""


def layout(answer_format: str) -> tuple[str, str, str]:
    return build_prompts(
        instruction="You are in a small simulated world of rooms, living things, substances and devices, and have one "
        "task to carry out there, one action a turn. After every turn you are told what you observe; an action that "
        "the world does not know does nothing and costs the turn. If it asks which of several things you mean, answer "
        "with the number as your action. There are few turns, so take no needless ones. Name things as they are called "
        "where you see them. These are the actions:" + ACTIONS,
        answer_format=answer_format,
    )


ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = layout(
    "Each of your replies is a single line with one action:\n[Action] go to kitchen"
)
