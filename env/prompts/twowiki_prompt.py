"""Prompts of the deep-search task."""

from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="Find the answer to the question by searching. A question mostly needs several facts, one leading to "
    "the next: look them up one after another with the tools, each time with a query of its own, and rely on what you "
    "find. You have at most 5 tool calls in all.",
    answer_format="When you know enough, write the final answer as \\boxed{answer}: a name, a date, a number, or yes "
    "or no, as short as it can be, without a sentence around it.",
)
GO_ON = "Your reply was empty. Call a tool, or write the final answer as \\boxed{answer}."
ANSWER_NOW = "No tool calls are left. Write the final answer now, as \\boxed{answer}, from what you have found."
