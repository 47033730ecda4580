from ..labels import load_labels
from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You maintain servers. The log below was written before a machine failed. Decide which part of the "
    "machine is at fault; Hardware stands for every part other than the CPU and the memory.",
    options=load_labels("lfd"),
    answer_format="Reason briefly, then end with the fault, spelled exactly as in the list: \\boxed{fault}",
)
