"""Prompts of the household games. `layout` also makes those of the variant in which the model may think."""

from .layout import build_prompts

ACTION, THOUGHT, OBSERVATION = "> ", "> think: ", ""  # what a transcript's lines begin with


def layout(answer_format: str, turns: int) -> tuple[str, str, str]:
    return build_prompts(
        instruction="You are in a house and have one task to carry out there, one action a turn. After every turn "
        "you are told what you observe and which actions are possible next; any other action does nothing and costs "
        "the turn. You can carry one object at a time, and what is in a closed receptacle is seen once you have opened "
        "it. Clean an object at a sinkbasin, heat it at a microwave and cool it at a fridge while you hold it; to look "
        "at an object under a lamp, hold it where the lamp is and use the lamp. The task must be done within "
        f"{turns} turns.",
        answer_format=answer_format,
    )


ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = layout(
    "Each of your replies is a single line with one of the possible actions, word for word:\n> go to cabinet 1",
    turns=30,
)
