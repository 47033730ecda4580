"""Between a client's messages and the agent: which text is the query, and where the chosen cases go.

The query is the last user message, or what --query_template makes of the conversation. What the agent renders, the
task's prompt with or without cases, takes the place of that last user message; everything else goes on as it came.
"""

from __future__ import annotations

from string import Template
from typing import Any

from errors import UsageError

Message = dict[str, Any]
FIELDS = ("query", "system", "first", "conversation")


class Unusable(ValueError):
    """A request body that no upstream could answer; the text says why."""


def check_template(template: str) -> None:
    """Raise UsageError for a --query_template that names something else than FIELDS."""
    try:
        Template(template).substitute(dict.fromkeys(FIELDS, ""))
    except (KeyError, ValueError) as error:
        known = ", ".join(f"${name}" for name in FIELDS)
        raise UsageError(f"--query_template {template!r}: it may use {known} ({error})") from None


def read_messages(body: Any) -> list[Message]:
    """The messages of a chat completion's body. Raises Unusable."""
    if not isinstance(body, dict):
        raise Unusable("the body must be a JSON object")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unusable("messages must be a list of at least one message")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Unusable("each message must be an object with a role")
    return messages


def query_of(messages: list[Message], template: str | None) -> tuple[int, str]:
    """Which message the query is, and its text. Raises Unusable where no user has said anything."""
    users = [i for i, message in enumerate(messages) if message["role"] == "user"]
    if not users:
        raise Unusable("messages must hold a message of the user")
    place, query = users[-1], text_of(messages[users[-1]])
    if template is not None:
        said = [f"{message['role']}: {text_of(message)}" for message in messages]
        system = [text_of(message) for message in messages if message["role"] in ("system", "developer")]
        fields = (query, "\n".join(system), text_of(messages[users[0]]), "\n".join(said))
        query = Template(template).substitute(dict(zip(FIELDS, fields)))
    if not query.strip():
        raise Unusable("the last message of the user has no text")
    return place, query


def text_of(message: Message) -> str:
    """The text of a message, whose content may be a list of parts. Raises Unusable for anything else."""
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return whole(content)
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return whole("\n".join(text for text in texts if isinstance(text, str)))
    raise Unusable("a message's content must be a text or a list of parts")


def with_prompt(messages: list[Message], place: int, prompt: str) -> list[Message]:
    """`messages` with `prompt` as the text of message `place`; parts that are no text (images) stay."""
    content = messages[place].get("content")
    new: Any = prompt
    if isinstance(content, list):
        others = [part for part in content if not (isinstance(part, dict) and part.get("type") == "text")]
        new = [{"type": "text", "text": prompt}, *others]
    return [*messages[:place], messages[place] | {"content": new}, *messages[place + 1 :]]


def whole(text: str) -> str:
    """`text` without halves of surrogate pairs, which cannot be written."""
    return text.encode(errors="replace").decode()
