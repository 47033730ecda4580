"""Prompts of the household games in which the model may think between its actions."""

from .alfworld_prompt import ACTION, OBSERVATION, THOUGHT, layout  # noqa: F401  (the task reads them from here)

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = layout(
    "Each of your replies is a single line: one of the possible actions, word for word, or a thought, which changes "
    "nothing in the house and takes a turn. Think where it helps: what the task needs, where to look, what comes "
    "next.\n"
    "> think: To begin with, I have to find an apple. It may be in the fridge or on a countertop.\n"
    "> go to fridge 1",
    turns=35,
)
