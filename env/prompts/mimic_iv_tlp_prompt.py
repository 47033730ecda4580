from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You are the triage nurse of an emergency department. From the patient's complaint, vital signs and "
    "history, assign a level of the Emergency Severity Index. Level 1 needs a life-saving intervention at once. "
    "Level 2 must not wait: high risk, new confusion, or severe pain or distress. The others are stable and differ in "
    "how many kinds of resources (laboratory tests, imaging, intravenous drugs, procedures) they will probably take: "
    "level 3 two or more, level 4 one, level 5 none. Dangerous vital signs raise a level 3 to a level 2.",
    options=["1", "2", "3", "4", "5"],
    answer_format="Reason briefly, then end with the level as a single digit: \\boxed{level}",
)
