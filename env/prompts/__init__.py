"""One prompts file per task, each with ZERO_SHOT_PROMPT, CASE_PROMPT and CBR_PROMPT."""
