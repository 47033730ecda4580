from ..labels import load_labels
from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You decide where the patients of an emergency department go next. From the patient's complaint, vital "
    "signs and history, choose the one specialty in the list that should take over the patient's care.",
    options=load_labels("mimic-iv-msr"),
    answer_format="Reason briefly, then end with one specialty, spelled exactly as in the list: \\boxed{specialty}",
)
