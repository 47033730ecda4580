from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You read financial headlines. Find every entity that the headline gives news of (companies, indices, "
    "sectors, currencies, commodities) and judge what the news means for each: good is positive, bad is negative, "
    "neither is neutral. Entities in one headline may fare differently.",
    options=["positive", "negative", "neutral"],
    answer_format="Answer with one line for each entity, in the order in which the headline mentions them, the entity "
    "written as in the headline, and nothing else:\n"
    "{'entity': 'first entity', 'label': 'positive'}\n"
    "{'entity': 'second entity', 'label': 'neutral'}",
)
