"""Prompts of the data-science coding task."""

from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="You complete Python programs that use data-science libraries. Each problem comes with a program in "
    "which one part is missing; the line [insert] marks where it belongs.",
    answer_format="""Write the missing part. It takes the place of [insert] exactly as you write it, so indent it as
that place asks, and do not repeat what the program already has. Answer with it in a code block:
```python
...
```""",
    context="<program>\n{program}\n</program>\n\n<test>\n{test}\n</test>",
)
GIVEN = "{given}\n\n# The whole program, in which your part is missing:\n{program}"
COMPARED = "The whole program is run on {inputs}, and what it leaves in `result` is compared with the right answer."
DRAWN = "The whole program is run, and what it draws is compared with the right figure."
LIMIT = "Your part has {seconds:g} s, imports of libraries not counted."
TEXT = "The text of your part is checked as well: it has to solve the problem in the way that is asked for."
