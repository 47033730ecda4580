"""Prompts of multi-hop question answering over given paragraphs."""

from .layout import TASK, build_prompts

PARAGRAPHS = "<paragraphs>\n{paragraphs}\n</paragraphs>"
ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You answer questions from paragraphs of an encyclopedia, each under its title. A question mostly "
    "needs facts from two of them; the others have nothing to do with it.",
    answer_format="Answer with one JSON object and nothing else. The answer in it is as short as it can be, in the "
    'words of the paragraphs where they have it: a name, a date, a number, a few words, or yes or no:\n{"answer": '
    '"the answer"}',
    context=PARAGRAPHS,
)
CASE_WITH_PARAGRAPHS = CASE_PROMPT.replace(TASK, f"{PARAGRAPHS}\n{TASK}")
