from ..labels import load_labels
from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You are a hospital pharmacist. From the patient's record, say which classes of drugs the patient "
    "should be given during this stay: those that treat the present illness and those that continue or support the "
    "treatment of known ones. Leave out what the record gives no reason for.",
    options=load_labels("mimic-iv-mr"),
    answer_format="Reason briefly, then end with a JSON list of classes, each spelled exactly as in the list above:\n"
    '```json\n["class", "class"]\n```',
)
