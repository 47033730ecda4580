from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You answer questions about a SQLite database whose schema is given. A question may come with "
    "evidence: what its words stand for in this database, or how a figure is worked out. Follow it. Write one SQL "
    "query whose result is exactly what the question asks for: its columns, in the order in which they are asked for, "
    "and no others. Values may be missing (NULL) or untidily written.",
    answer_format="Answer with a single SELECT statement in a code block:\n```sql\nSELECT ...\n```",
    context="<schema>\n{schema}\n</schema>",
)
