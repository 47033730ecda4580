"""Prompts of the science lab in which the model thinks before it acts."""

from .scienceworld_prompt import ACTION, OBSERVATION, THOUGHT, layout  # noqa: F401  (the task reads them from here)

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = layout(
    "Each of your replies has two lines, a short thought and one action. A thought without an action takes a turn "
    "too.\n"
    "[Think] A kitchen has a stove, and I need to heat something.\n[Action] go to kitchen"
)
