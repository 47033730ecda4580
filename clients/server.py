"""Servers that speak the OpenAI chat-completions protocol: an API, or vLLM.

The OpenAI SDK does connections and retries; a reply that came but cannot be read counts as one more failed try. The
run's seed goes to vLLM with every request; APIs differ in whether they take one, so there it only keeps the cached
answers of runs apart.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from clients.refusals import FILTER_REASON, brief, explain
from clients.sampling import Sampling, sampling_of
from clients.transport import BoundedClient, Requests
from config import Config
from errors import LLMError, RefusedError, UsageError
from llm import Message, Reply, with_system
from options import read_extra_body

PATH = "/chat/completions"
UNREADABLE = (openai.APIError, ValueError, TypeError, AttributeError, LookupError, RecursionError)


class Server:
    """A client of a server; the classes below say where it is and how it is asked to sample."""

    UNREADABLE_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds; the first is doubled at each unreadable reply
    KEY_VARIABLE = ""
    WHERE = ""  # what says where the server is
    AFTER_OUTAGE = ""  # what to check where it does not answer

    def __init__(self, config: Config) -> None:
        address, key = self.reach(config)
        if address is not None and not _is_address(address):
            raise UsageError(f"{address} is not a server's address: check {self.WHERE}")
        self._model = config.llm
        self._retries = config.max_retries
        self._requests = Requests()
        self._client = openai.AsyncOpenAI(
            base_url=address,
            api_key=key,
            timeout=config.timeout,
            max_retries=config.max_retries,
            http_client=BoundedClient(config.timeout),
        )
        self.address, self.key = str(self._client.base_url), key
        self._address = _without_secrets(self.address)
        self._sampling = sampling_of(config)
        self._extra = read_extra_body(config.extra_body) if config.extra_body is not None else None
        self._system = config.system_message
        self._not_sent = {"address": self._address, "run_seed": config.seed}  # in the cache's key alone

    @classmethod
    def from_config(cls, config: Config, recall_encoder: object = None) -> Server:
        client = cls(config)
        client.check()
        return client

    def for_seed(self, seed: int) -> Server:
        """The same server for a run of another seed; connections and rate limits are in common."""
        other = copy.copy(self)
        if self._sampling.seed is not None:
            other._sampling = replace(self._sampling, seed=seed)
        other._not_sent = self._not_sent | {"run_seed": seed}
        return other

    def cancel(self) -> None:
        """Give up all requests, those of `for_seed`'s others too; who waits for one gets a CancelledError."""
        self._requests.cancel()

    def reach(self, config: Config) -> tuple[str | None, str]:
        """(the base URL or None for OpenAI's own, the API key)."""
        raise NotImplementedError

    def settings(self, sampling: Sampling) -> dict[str, Any]:
        """What a request says of sampling, as the SDK takes it."""
        asked = {"temperature": sampling.temperature, "top_p": sampling.top_p}
        sent = {name: value for name, value in asked.items() if value is not None}
        return sent | {"max_completion_tokens": sampling.max_new_tokens}

    def check(self) -> None:
        """Raise LLMError where it can be known before the first question that the server will not answer."""

    def details(self) -> dict[str, Any]:
        """Which server, and how it is asked to sample; None is the server's own choice."""
        added = {"extra_body": self._extra, "system_prompt": self._system}
        own = {name: value for name, value in added.items() if value is not None}
        return {"address": self._address, **vars(self._sampling), **own}

    def request(
        self, messages: list[Message], tools: list[dict[str, Any]] | None, step: int = 0, call: int = 0
    ) -> dict[str, Any]:
        settings = self.settings(self._sampling)
        if self._extra is not None:
            settings = {"extra_body": merged(settings | settings.pop("extra_body", {}), self._extra)}
        messages = with_system(messages, self._system)
        request = {**self._not_sent, "model": self._model, "messages": messages, **settings}
        return request | ({"tools": tools} if tools else {})

    def complete(self, request: dict[str, Any]) -> Reply:
        body = {name: value for name, value in request.items() if name not in self._not_sent}
        body |= body.pop("extra_body", {})
        # not chat.completions.create: going over a request's types takes as long as all else that the SDK does
        return self._call(lambda: self._client.post(PATH, body=body, cast_to=httpx2.Response), self._read)

    def _read(self, body: Any) -> Reply:
        reply = read_completion(body)
        if reply.text or reply.tool_calls:
            return reply
        if FILTER_REASON.search(reply.finish_reason or ""):
            raise RefusedError(f"{self._address}: its content filter stopped the answer")
        said = body["choices"][0]["message"].get("refusal")
        if isinstance(said, str) and said:
            raise RefusedError(f"{self._address}: the model refused the prompt: {brief(said)}")
        return reply

    def _call(self, send: Callable[[], Awaitable[Any]], read: Callable[[Any], Any]) -> Any:
        """Send until a readable reply comes; the SDK retries what never arrived, this what arrived unreadable."""
        for attempt in range(self._retries + 1):
            try:
                return read(json.loads(self._requests.wait_for(_sent(send)).content))
            except openai.AuthenticationError as error:
                raise LLMError(f"{self._address} rejected the API key: check {self.KEY_VARIABLE}") from error
            except openai.NotFoundError as error:
                raise LLMError(
                    f"{self._address} does not know the model {self._model!r} or is not the API's address, "
                    f"which mostly ends in /v1: check both ({_reason(error)})"
                ) from error
            except (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError) as error:
                raise self._outage(error) from error
            except openai.APIStatusError as error:
                raise explain(error, self._address) from error
            except UNREADABLE as error:
                if attempt == self._retries:
                    raise self._outage(error) from error
                pause = min(self.UNREADABLE_PAUSE * 2**attempt, self.LONGEST_PAUSE)
                self._requests.wait_for(asyncio.sleep(pause))
        raise AssertionError("unreachable")

    def _outage(self, error: Exception) -> LLMError:
        tries = f"after {self._retries} retries ({_reason(error)})"
        return LLMError(f"no answer from {self._address} {tries}: {self.AFTER_OUTAGE}")


class OpenAI(Server):
    """An API: OpenAI's, or another provider's at OPENAI_BASE_URL."""

    KEY_VARIABLE = "OPENAI_API_KEY"
    WHERE = "OPENAI_BASE_URL"
    AFTER_OUTAGE = "check the network, OPENAI_BASE_URL and your quota"

    def reach(self, config: Config) -> tuple[str | None, str]:
        key = _read_key(self.KEY_VARIABLE)
        if not key:
            raise LLMError("no API key: set OPENAI_API_KEY (and OPENAI_BASE_URL for another provider than OpenAI)")
        return os.environ.get("OPENAI_BASE_URL") or None, key


class VLLM(Server):
    """A vLLM server, asked to sample as the paper did."""

    KEY_VARIABLE = "VLLM_API_KEY"
    WHERE = "--server and --port"
    AFTER_OUTAGE = "is it running? scripts/serve_qwen_8b.sh and its kin start one; --server and --port say where"

    def reach(self, config: Config) -> tuple[str | None, str]:
        address = config.server if "://" in config.server else f"http://{config.server}:{config.port}/v1"
        return address, _read_key(self.KEY_VARIABLE) or "EMPTY"

    def settings(self, sampling: Sampling) -> dict[str, Any]:
        thinking = {"enable_thinking": sampling.enable_thinking}
        return super().settings(sampling) | {
            "seed": sampling.seed,
            "presence_penalty": sampling.presence_penalty,
            "extra_body": {"top_k": sampling.top_k, "chat_template_kwargs": thinking},
        }

    def check(self) -> None:
        """Ask for the models that are served, so that a wrong address or name stops the run before it starts."""
        names = self._call(self._client.models.with_raw_response.list, read_models)
        if self._model not in names:
            served = brief(", ".join(names)) or "no model"
            raise LLMError(f"--llm {self._model}: {self._address} serves {served}")


def merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`settings` with `changes`, object by object, a null taking a setting out: JSON Merge Patch, RFC 7386."""
    made = {name: value for name, value in settings.items() if name not in changes}
    for name, value in changes.items():
        if isinstance(value, dict):
            before = settings.get(name)
            made[name] = merged(before if isinstance(before, dict) else {}, value)
        elif value is not None:
            made[name] = value
    return made


async def _sent(send: Callable[[], Awaitable[Any]]) -> Any:
    return await send()


def read_models(body: Any) -> list[str]:
    """The names in a server's list of models. Raises ValueError and the like where the body is no such list."""
    return [str(model["id"]) for model in body["data"]]


def read_completion(body: Any) -> Reply:
    """The answer in the body of a chat completion. Raises ValueError and the like where it is none."""
    choice, usage = body["choices"][0], body.get("usage")
    message, reason = choice["message"], choice.get("finish_reason")
    content, calls = message.get("content"), message.get("tool_calls")
    if content is None and not calls and reason is None:
        raise ValueError("the reply has no content")
    thoughts = (message.get(name) for name in ("reasoning_content", "reasoning"))
    reasoning = next((each for each in thoughts if isinstance(each, str)), "")
    said = {"text": "" if content is None else content, "tool_calls": calls, "finish_reason": reason}
    return Reply.read(said | {"reasoning": reasoning} | _tokens(usage if isinstance(usage, dict) else {}))


def _tokens(usage: dict[str, Any]) -> dict[str, Any]:
    """What a server says that a reply has cost; some name the tokens of a thought in the total alone."""
    prompt, completion, total = (usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    if type(prompt) is type(completion) is type(total) is int and total > prompt + completion:
        completion = total - prompt
    return {"prompt_tokens": prompt, "completion_tokens": completion}


def _read_key(variable: str) -> str:
    """The key in an environment variable, without the line's end that a file may have given it; "" for none."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise LLMError(f"{variable} holds characters that a key cannot have: copy the key again")
    return key


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or the brackets of an IPv6 address do not match
        return False


def _without_secrets(url: str) -> str:
    """`url` without user, password and query, as messages, the record and the cache may show it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _reason(error: Exception) -> str:
    """What happened, with what was behind it where the SDK says little more than that the connection failed."""
    reasons = [brief(str(each)) or type(each).__name__ for each in (error, error.__cause__) if each is not None]
    return ": ".join(dict.fromkeys(reasons))
