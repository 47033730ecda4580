"""What a server's refusal (a status from 300 to 499) means: whether this one prompt is at fault, and what to change.

Servers agree on the status at most, so their wording decides: that of OpenAI, Azure, vLLM, Gemini, Anthropic, Mistral
and others. What a server wrote is shown in one short line, made safe for a terminal.
"""

from __future__ import annotations

import re
from typing import Any

from errors import LLMError, RefusedError, printable

ADVICE_TOO_LONG = (
    "where the prompt is too long, serve the model with a longer context or lower --max_new_tokens or --comk"
)
TOO_LONG = re.compile(
    r"context.?(?:length|window|size)|maximum model length|(?:prompt|input|string|request) (?:is )?too (?:long|large)"
    r"|tokens? (?:count )?(?:\(\d+\) )?exceed|string_above_max_length|too many (?:input )?tokens|request_too_large",
    re.IGNORECASE,
)
FILTERED = re.compile(
    r"content.?filter|content management policy|content.?policy|ResponsibleAI|usage polic(?:y|ies)|safety system"
    r"|\bflagged\b|moderation|inappropriate content|data_inspection|content exists risk|PROHIBITED_CONTENT"
    r"|blocked (?:due to|by|for) .{0,40}(?:safety|policy|content)|prompt (?:was )?blocked",
    re.IGNORECASE,
)
FILTER_REASON = re.compile(r"content.?filter|safety|prohibited|sensitive|refusal", re.IGNORECASE)  # of a finish
NEITHER = "--serving_mode: openai does not send it, and --extra_body '{\"%s\": null}' leaves it out"
OPTIONS = {  # a setting as the servers call it: the option that changes it
    "temperature": "--temperature: with none it is not sent (models that think mostly take no other than 1)",
    "top_p": "--top_p: with none it is not sent (models that think mostly take no other than 1)",
    "max_completion_tokens": "--max_new_tokens (a server that calls it otherwise: --extra_body "
    """'{"max_completion_tokens": null, "max_tokens": N}')""",
    "max_tokens": "--max_new_tokens",
    "enable_thinking": "--thinking",
    "reasoning_effort": "--extra_body",
    **{name: NEITHER % name for name in ("presence_penalty", "top_k", "seed", "chat_template_kwargs")},
}
SETTING = re.compile(rf"\b({'|'.join(OPTIONS)})\b")
NO_SYSTEM = re.compile(
    r"system (?:role|message|prompt|instruction)s?\b.{0,40}\bnot (?:supported|enabled|allowed)", re.I
)


def explain(error: Any, address: str) -> LLMError:
    """The error to raise for `error`, an openai.APIStatusError; a RefusedError where the prompt itself is at fault."""
    said = words_of(error.body)
    line = f"{address} refused the request: Error code: {error.status_code} - {brief(said) or 'no reason given'}"
    location = error.response.headers.get("location")
    if 300 <= error.status_code < 400:
        return LLMError(f"{address} answers from elsewhere, {brief(location or 'unnamed')}: name that address itself")
    if TOO_LONG.search(said) or error.status_code == 413:
        return RefusedError(f"{line}: {ADVICE_TOO_LONG}")
    if FILTERED.search(said):
        return RefusedError(f"{line}: its content filter stopped the prompt")
    if error.status_code in (400, 422) and NO_SYSTEM.search(said):
        return LLMError(f"{line}: the option to change is --system_prompt")
    setting = SETTING.search(said)
    if error.status_code in (400, 422) and setting:
        return LLMError(f"{line}: the option to change is {OPTIONS[setting[1]]}")
    return LLMError(line)


def words_of(body: Any) -> str:
    """The message and the codes of an error's body, in the shapes that servers give it; at most 2,000 characters."""
    if isinstance(body, list):  # Gemini's
        body = body[0] if body else None
    if isinstance(body, dict):
        body = body.get("error", body)
    if not isinstance(body, dict):
        return body[:2000] if isinstance(body, str) else ""
    inner = body.get("innererror")  # Azure's
    parts = [body.get(name) for name in ("message", "code", "status", "param")]
    parts.append(inner.get("code") if isinstance(inner, dict) else None)
    return " ".join(part for part in parts if isinstance(part, str))[:2000]


def brief(text: str) -> str:
    """`text` of a server as one line for a terminal."""
    return printable(" ".join(text.split()))[:200]
