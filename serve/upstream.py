"""Who answers the endpoint's requests.

`HttpUpstream` passes a body on to a server of the OpenAI protocol, as it came but for the messages, and its answer
back, streamed or whole. `LocalUpstream` asks an LLM of this process, such as the embedded reader.
"""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import httpx2

from errors import LLMError, RefusedError
from llm import LLM

LARGEST_ANSWER = 32 * 2**20  # bytes
KEPT_OPEN = 15.0  # seconds that an idle connection is used again
FAILURES = (aiohttp.ClientError, asyncio.TimeoutError, OSError)  # what asking a server raises
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
        self._headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)

    @functools.cached_property
    def _client(self) -> aiohttp.ClientSession:
        """Made by the first request: it belongs to that one's event loop."""
        trusted = httpx2.create_ssl_context(trust_env=False)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_OPEN, ssl=trusted)
        jar = aiohttp.DummyCookieJar()
        return aiohttp.ClientSession(
            headers=self._headers, timeout=self._timeout, connector=connector, cookie_jar=jar, trust_env=False
        )

    async def ask(self, body: dict[str, Any]) -> Whole:
        return await self._whole("POST", "chat/completions", body)

    async def models(self) -> Whole:
        return await self._whole("GET", "models")

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._client.request(method, f"{self._address}/{path}", json=body, allow_redirects=False)

    async def _whole(self, method: str, path: str, body: dict[str, Any] | None = None) -> Whole:
        try:
            async with self._request(method, path, body) as response:
                return await _read(response)
        except FAILURES as error:
            return unreachable(error)

    @asynccontextmanager
    async def stream(self, body: dict[str, Any]) -> AsyncIterator[Whole | AsyncIterator[str]]:
        try:
            response = await self._request("POST", "chat/completions", body)
        except FAILURES as error:
            yield unreachable(error)
            return
        async with response:
            if response.status == 200 and response.content_type == "text/event-stream":
                yield _events(response)
                return
            try:
                whole = await _read(response)
            except FAILURES as error:
                whole = unreachable(error)
            yield whole

    async def close(self) -> None:
        if "_client" in self.__dict__:
            await self._client.close()


async def _read(response: aiohttp.ClientResponse) -> Whole:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > LARGEST_ANSWER:
            response.close()
            return failure(502, "the upstream's answer is too large", "upstream_error")
    headers = {name: response.headers[name] for name in PASSED_ON if name in response.headers}
    return Whole(response.status, bytes(body), headers)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """What follows `data: ` in each line of a stream of server-sent events."""
    size, left = 0, b""
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LARGEST_ANSWER:
            response.close()
            return
        *lines, left = (left + piece).split(b"\n")
        for line in (line for line in lines if line.startswith(b"data:")):
            yield line[5:].decode(errors="replace").strip()


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
    if isinstance(error, asyncio.TimeoutError):
        return failure(504, "the upstream has not answered in time", "upstream_error")
    return failure(502, f"no answer from the upstream ({type(error).__name__})", "upstream_error")
