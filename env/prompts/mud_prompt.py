from ..labels import load_labels
from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You are a judge in a criminal case with one or more defendants. From the facts, decide the charge "
    "on which each defendant is convicted. Weigh each one's own part in the events: charges may differ. "
    "Every charge is one from the list.",
    options=load_labels("mud"),
    answer_format="Reason briefly, then end with a JSON object in a code block that gives each defendant's name, as "
    "the facts write it, exactly one charge, spelled exactly as in the list:\n"
    '```json\n{"name": "charge", "name": "charge"}\n```',
)
