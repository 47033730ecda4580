from ..labels import load_labels
from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You route the messages of a bank's customers. Each place below handles one kind of request. "
    "Choose the one place that the message should go to.",
    options=load_labels("banking77"),
    answer_format="Answer with the place alone, spelled exactly as in the list: \\boxed{place}",
)
