"""Who answers the endpoint's requests.

`HttpUpstream` passes a body on to a server of the OpenAI protocol, as it came but for the messages, and its answer
back, streamed or whole. `LocalUpstream` asks an LLM of this process, such as the embedded reader.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx2

from errors import LLMError, RefusedError
from llm import LLM

LARGEST_ANSWER = 32 * 2**20  # bytes
PASSED_ON = ("content-type", "retry-after")


@dataclass
class Whole:
    """An answer that came in one piece: its status, the headers that matter, its bytes."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Upstream(Protocol):
    """Answers bodies of chat completions."""

    async def ask(self, body: dict[str, Any]) -> Whole: ...

    def stream(self, body: dict[str, Any]) -> Any:
        """An asynchronous context of either a Whole (an error) or an iterator over the texts after `data: `."""
        ...

    async def models(self) -> Whole: ...

    async def close(self) -> None: ...


class HttpUpstream:
    """A server of the OpenAI protocol; no other address is ever asked.

    Args:
        address: its base URL, which mostly ends in /v1.
        key: sent as its bearer token; what clients send as theirs is not passed on.
        seconds: to wait for a whole answer, or for the next piece of a streamed one.
    """

    def __init__(self, address: str, key: str, seconds: float) -> None:
        self._address = address.rstrip("/")
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(seconds, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=256),
            follow_redirects=False,
            trust_env=False,
        )

    async def ask(self, body: dict[str, Any]) -> Whole:
        return await self._whole(self._client.build_request("POST", f"{self._address}/chat/completions", json=body))

    async def models(self) -> Whole:
        return await self._whole(self._client.build_request("GET", f"{self._address}/models"))

    async def _whole(self, request: httpx2.Request) -> Whole:
        try:
            response = await self._client.send(request, stream=True)
            try:
                return await _read(response)
            finally:
                await response.aclose()
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            return unreachable(error)

    @asynccontextmanager
    async def stream(self, body: dict[str, Any]) -> AsyncIterator[Whole | AsyncIterator[str]]:
        request = self._client.build_request("POST", f"{self._address}/chat/completions", json=body)
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            yield unreachable(error)
            return
        try:
            if response.status_code != 200 or "text/event-stream" not in response.headers.get("content-type", ""):
                yield await _read(response)
            else:
                yield _events(response)
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self._client.aclose()


async def _read(response: httpx2.Response) -> Whole:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > LARGEST_ANSWER:
            return failure(502, "the upstream's answer is too large", "upstream_error")
    headers = {name: response.headers[name] for name in PASSED_ON if name in response.headers}
    return Whole(response.status_code, bytes(body), headers)


async def _events(response: httpx2.Response) -> AsyncIterator[str]:
    """What follows `data: ` in each line of a stream of server-sent events."""
    size = 0
    async for line in response.aiter_lines():
        size += len(line)
        if size > LARGEST_ANSWER:
            return
        if line.startswith("data:"):
            yield line[5:].strip()


class LocalUpstream:
    """An LLM of this process, asked one question at a time."""

    def __init__(self, llm: LLM, model: str) -> None:
        self._llm = llm
        self._model = model
        self._one = asyncio.Lock()

    async def ask(self, body: dict[str, Any]) -> Whole:
        try:
            async with self._one:
                reply = await asyncio.to_thread(self._llm.chat, body["messages"], body.get("tools"))
        except RefusedError as error:
            return failure(400, str(error), "invalid_request_error")
        except LLMError as error:
            return failure(502, str(error), "upstream_error")
        except (AttributeError, KeyError, TypeError, ValueError):
            return failure(400, f"{self._model} cannot read these messages", "invalid_request_error")
        message: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if reply.tool_calls:
            message["tool_calls"] = reply.tool_calls
        usage = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens}
        choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason or "stop", "logprobs": None}
        answer = self._head("chat.completion") | {
            "choices": [choice],
            "usage": usage | {"total_tokens": sum(usage.values())},
        }
        return Whole(200, json.dumps(answer).encode(), {"content-type": "application/json"})

    @asynccontextmanager
    async def stream(self, body: dict[str, Any]) -> AsyncIterator[Whole | AsyncIterator[str]]:
        whole = await self.ask(body)
        yield whole if whole.status != 200 else self._pieces(json.loads(whole.body))

    async def _pieces(self, answer: dict[str, Any]) -> AsyncIterator[str]:
        choice = answer["choices"][0]
        delta = choice["message"]
        delta |= {"tool_calls": [call | {"index": i} for i, call in enumerate(delta.get("tool_calls", []))]}
        for delta, reason in ((delta, None), ({}, choice["finish_reason"])):
            piece: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": reason}
            yield json.dumps(self._head("chat.completion.chunk") | {"choices": [piece]})
        yield "[DONE]"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": "", "object": kind, "created": int(time.time()), "model": self._model}

    async def models(self) -> Whole:
        model = {"id": self._model, "object": "model", "created": 0, "owned_by": "local"}
        body = json.dumps({"object": "list", "data": [model]}).encode()
        return Whole(200, body, {"content-type": "application/json"})

    async def close(self) -> None:
        """Nothing is open."""


def failure(status: int, message: str, kind: str) -> Whole:
    """An error as the OpenAI protocol words it."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return Whole(status, json.dumps(body, ensure_ascii=False).encode(), {"content-type": "application/json"})


def unreachable(error: Exception) -> Whole:
    if isinstance(error, httpx2.TimeoutException):
        return failure(504, "the upstream has not answered in time", "upstream_error")
    return failure(502, f"no answer from the upstream ({type(error).__name__})", "upstream_error")
