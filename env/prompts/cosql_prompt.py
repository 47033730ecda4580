from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You answer questions about a SQLite database whose schema is given. A question may come from the "
    "middle of a conversation whose other turns are not given: take it as it stands. Write one SQL query whose result "
    "is what it asks for, with no columns that it does not ask for.",
    answer_format="Answer with a single SELECT statement in a code block:\n```sql\nSELECT ...\n```",
    context="<schema>\n{schema}\n</schema>",
)
