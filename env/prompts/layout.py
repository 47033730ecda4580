"""The layout that our own tasks' prompts share.

A prompt reads: instruction, reference, options, answer format, solved cases, task. What stays the same over a whole
run comes first, so that a server's prefix cache can keep it. The tags mark where each part begins and ends; a task
written to the published recipe may lay its prompts out as it likes.
"""

from __future__ import annotations

TASK = "<task>\n{task}\n</task>"
GUIDE = "Let them guide you where they resemble the new one."
ALL_RIGHT = f"These earlier tasks were answered correctly. {GUIDE}"
WITH_FEEDBACK = f"These earlier answers come with feedback. {GUIDE}"  # instead, where wrong ones may be among them
NOTES = "These lessons were learned from earlier tasks. Before you answer, see which of them apply."
FEEDBACK = {1: "Feedback: this answer was correct.", 0: "Feedback: this answer was wrong."}  # after a case
FOLLOW = "These worked. Do as they did."  # before a group of cases
AVOID = "These did not work. Do not repeat what they did."


def build_prompts(
    instruction: str,
    answer_format: str,
    options: list[str] | None = None,
    context: str = "",
    reference: str = "",
) -> tuple[str, str, str]:
    """Make a task's (ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT).

    `instruction`, `answer_format`, `options` and `reference` (what all tasks refer to: a manual, say) are literal
    text; `context` is a template of what stands before the task (a schema, say).
    """
    head = [_literal(instruction)]
    if reference:
        head.append(_literal(reference))
    if options:
        head.append("<options>\n" + "\n".join(f"- {_literal(option)}" for option in options) + "\n</options>")
    head.append(_literal(answer_format))
    tail = [context, TASK] if context else [TASK]
    zero_shot_prompt = "\n\n".join([*head, *tail])
    case_prompt = f"<case>\n{TASK}\n<answer>\n{{answer}}\n</answer>\n</case>"
    cbr_prompt = "\n\n".join([*head, ALL_RIGHT, "{case_prompt}", *tail])
    return zero_shot_prompt, case_prompt, cbr_prompt


def _literal(text: str) -> str:
    return text.strip().replace("{", "{{").replace("}", "}}")
