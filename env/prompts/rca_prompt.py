from ..labels import load_labels
from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You watch over a telecommunications network. Read the log below and decide which type of alarm it "
    "calls for: the one type in the list that names the cause of the trouble, not a consequence of it.",
    options=load_labels("rca"),
    answer_format="Reason briefly, then end with the alarm type, spelled exactly as in the list: \\boxed{type}",
)
