"""The reader as a client: which format a prompt asks for, and who of its neighbours writes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from config import EMBEDDED, EMBEDDED_READER, Config
from llm import Message, Reply
from memory.bank import Embedder

from .calls import write_call
from .games import game_reply, plays
from .labels import write_dict, write_entities, write_json_dict, write_label, write_list
from .reading import Reading, instruction_of, read_prompt
from .scripts import write_script
from .search import search_reply
from .spans import write_span
from .sql import write_sql

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

CANNOT = "I cannot answer this: the prompt has neither options that I can find nor a case that I can follow."
Writer = Callable[[Reading, Embedder], str | None]


def _write_script(reading: Reading, encoder: Embedder) -> str | None:
    return write_script(reading.task, reading.schema, reading.case)


# What an answer is to look like, as prompts write it out. The last one in a prompt counts: the format follows the
# instruction. A word of everyday language counts only where none of these is there, and only as a whole word.
SPELLED_OUT: list[tuple[str, Writer]] = [
    (r"```python\b", _write_script),
    (r"```sql\b", write_sql),
    (r"'entity':", write_entities),
    (r'"action_input":', write_call),
    (r'"answer":', write_span),
    (r"\bJSON list\b", write_list),
    (r"```json\s*\[", write_list),
    (r"```json\b(?!\s*\[)", write_json_dict),
    (r"\\boxed\b", write_label),
]
NAMED: list[tuple[str, Writer]] = [(r"\bdict\b", write_dict)]


class EmbeddedReader:
    """A client that answers prompts by text similarity."""

    def __init__(self, encoder: Embedder) -> None:
        self._encoder = encoder

    @classmethod
    def from_config(cls, config: Config, recall_encoder: Callable[[], TextEncoder]) -> EmbeddedReader:
        """The reader with the embedded encoder, however the cases are recalled; loaded once where it is the same."""
        if config.embedding_model_path == EMBEDDED and config.precision == "float32":
            return cls(recall_encoder())
        from memory.encoders import TextEncoder, resolve_device

        return cls(TextEncoder(EMBEDDED, resolve_device(config.device)))

    def details(self) -> dict[str, Any]:
        return {"model": EMBEDDED_READER, "encoder": EMBEDDED, "sampling": "none: it always takes the most similar"}

    def request(
        self, messages: list[Message], tools: list[dict[str, Any]] | None, step: int = 0, call: int = 0
    ) -> dict[str, Any]:
        return {"model": EMBEDDED_READER, "messages": messages} | ({"tools": tools} if tools else {})

    def complete(self, request: dict[str, Any]) -> Reply:
        messages = request["messages"]
        if "tools" in request or any(message["role"] == "tool" for message in messages):
            task = self.read(messages[0]["content"]).task
            reply = search_reply(task, messages, request.get("tools", []), self._encoder.encode)
        elif plays(messages):
            reading = self.read(messages[0]["content"])
            reply = Reply(game_reply(reading.task, reading.case, messages, self._encoder.encode))
        else:
            reply = Reply(self.answer(messages[-1]["content"]))
        words = sum(len(message["content"].split()) for message in messages)
        written = len(reply.text.split())
        return replace(reply, prompt_tokens=words, completion_tokens=written, finish_reason="stop")

    def answer(self, prompt: str) -> str:
        """The answer's text, in the format that the prompt names before its first case."""
        reading = self.read(prompt)
        write = writer_of(instruction_of(prompt))
        if write is not None:
            return write(reading, self._encoder) or CANNOT
        return reading.case[1] if reading.case else CANNOT

    def read(self, prompt: str) -> Reading:
        return read_prompt(prompt, self._encoder)


def writer_of(instruction: str) -> Writer | None:
    """Who writes the format that `instruction` asks for; None where it names none."""
    for formats in (SPELLED_OUT, NAMED):
        found = [(match.start(), write) for cue, write in formats for match in re.finditer(cue, instruction)]
        if found:
            return max(found, key=lambda each: each[0])[1]
    return None
