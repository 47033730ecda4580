from ..labels import load_labels
from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You are a physician in an emergency department. From the patient's profile, symptoms and history, "
    "name the one disease in the list below that explains them best.",
    options=load_labels("ddxplus"),
    answer_format="Reason briefly, then end with the diagnosis, spelled exactly as in the list: \\boxed{diagnosis}",
)
