"""Prompts of the tool-use task. They begin with the documentation of all APIs, which belongs to the rows."""

from __future__ import annotations

from collections.abc import Mapping

from .layout import build_prompts


def prompts_with(documentation: Mapping[str, str]) -> tuple[str, str, str]:
    """ZERO_SHOT_PROMPT, CASE_PROMPT and CBR_PROMPT for the APIs of `documentation`, name -> text."""
    apis = "\n\n".join(f"API: {name}\nDocumentation: {' '.join(text.split())}" for name, text in documentation.items())
    return build_prompts(
        instruction="You serve requests by calling APIs. These are all the APIs that there are. For each request "
        "choose the one that serves it, and give it the arguments that its documentation asks for, with values taken "
        "from the request.",
        reference=f"<apis>\n{apis}\n</apis>",
        answer_format="Answer with one JSON object and nothing else: the name of the API, spelled exactly as above, "
        'and its arguments, {} where it needs none:\n{"action": "name of the API", "action_input": '
        '{"name of the argument": "value"}}',
    )
