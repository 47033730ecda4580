from ..labels import load_labels
from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You are a judge in a criminal case with several defendants, whose names follow the facts. Decide "
    "which kinds of penalty each defendant receives. Weigh each one's own part in the events. A defendant may receive "
    "more than one kind, such as a prison term together with a fine. Every penalty is one from the list.",
    options=load_labels("cmdl"),
    answer_format="Reason briefly, then end with a Python dict that gives each of these names, and no others, its list "
    "of penalties, spelled exactly as in the list above:\n"
    "{'name': ['penalty', 'penalty'], 'name': ['penalty']}",
)
