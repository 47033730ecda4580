"""Asking an LLM, whichever serves it.

An `LLM` is a client, a cache if one was asked for, and the account of what the current step has spent. A client turns
chat messages into a `Reply` or raises LLMError; it never makes an answer up: an outage is not a wrong answer. The
OpenAI SDK does timeouts and retries; a reply that came but cannot be read counts as one more failed try.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from config import EMBEDDED_READER, Config
from errors import LLMError, UsageError

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

Message = dict[str, Any]
TOO_LONG = "where the prompt is too long, serve the model with a longer context or lower --max_new_tokens or --comk"


@dataclass(frozen=True)
class Reply:
    """What the LLM wrote, and what it cost."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)  # the generated tokens, where the client knows them


@dataclass
class Spent:
    """What one step has cost so far. `cached` says that every answer of it came from the cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    calls: int = 0
    from_cache: int = 0

    @property
    def cached(self) -> bool:
        return self.calls > 0 and self.from_cache == self.calls


class Client(Protocol):
    """Something that answers."""

    def request(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> dict[str, Any]:
        """Everything that can change the answer, as plain JSON values: the cache's key."""
        ...

    def complete(self, request: dict[str, Any]) -> Reply:
        """Answer a request. Raises LLMError where no answer came."""
        ...


class LLM:
    """A client with its cache and the running step's account. Calling it with a prompt gives the answer's text."""

    def __init__(self, client: Client, cache: AnswerCache | None = None) -> None:
        self._client = client
        self._cache = cache
        self._asked: dict[str, int] = {}  # how often each request was made in this step
        self._step = 0
        self.spent = Spent()

    def begin_step(self, step: int = 0) -> None:
        """Start a new account, that of `step` (from 1)."""
        self._step = step
        self.spent = Spent()
        self._asked.clear()

    def look_ahead(self, prompt_of: Callable[[int], str], steps: int) -> None:
        """Learn that each step, of `steps`, asks one question that is known by now: `prompt_of(step)`.

        Nothing has to come of it: an LLM that can work on several questions at once may start on those of later steps.
        """

    def details(self) -> dict[str, Any]:
        """What config.yaml should say of how the LLM is run, as plain values."""
        return getattr(self._client, "details", dict)()

    def __call__(self, prompt: str | list[Message]) -> str:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        return self.chat(messages).text

    def chat(self, messages: list[Message], tools: list[dict[str, Any]] | None = None) -> Reply:
        """Answer a conversation. Raises LLMError where no answer came; then nothing is cached or counted."""
        start = time.perf_counter()
        request = self._request(messages, tools)
        reply, key = None, ""
        if self._cache is not None:
            key = self._key(request)
            reply = self._cache.get(key)
        hit = reply is not None
        if reply is None:
            reply = self._complete(request)
            if self._cache is not None:
                self._cache.put(key, request, reply)
        self.spent.prompt_tokens += reply.prompt_tokens
        self.spent.completion_tokens += reply.completion_tokens
        self.spent.seconds += time.perf_counter() - start
        self.spent.calls += 1
        self.spent.from_cache += hit
        return reply

    def _request(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> dict[str, Any]:
        return self._client.request(messages, tools)

    def _complete(self, request: dict[str, Any]) -> Reply:
        return self._client.complete(request)

    def _key(self, request: dict[str, Any]) -> str:
        """A hash of the request and of how often this step has made it before: a repeat is a new sample."""
        text = json.dumps(request, sort_keys=True, ensure_ascii=False)
        repeat = self._asked.get(text, 0)
        self._asked[text] = repeat + 1
        return hashlib.sha256(f"{repeat}\n{text}".encode()).hexdigest()


class AnswerCache:
    """Answers in a SQLite file that several runs may share. Only answers are kept, never failures.

    Raises UsageError where the file is no such cache or can be read or written no longer.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with self._usable():
            Path(path).expanduser().parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(Path(path).expanduser(), timeout=60)
            self._db.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, request TEXT, reply TEXT)")
            self._db.execute("SELECT key, request, reply FROM answers LIMIT 0")  # another program's table has others
            self._db.commit()

    def get(self, key: str) -> Reply | None:
        with self._usable():
            row = self._db.execute("SELECT reply FROM answers WHERE key = ?", (key,)).fetchone()
            return None if row is None else Reply(**json.loads(row[0]))

    def put(self, key: str, request: dict[str, Any], reply: Reply) -> None:
        values = (key, json.dumps(request, ensure_ascii=False), json.dumps(asdict(reply), ensure_ascii=False))
        with self._usable(), self._db:
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", values)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            raise UsageError(f"--cache {self._path}: not a usable SQLite file ({error})") from error


class ServerClient:
    """A server that speaks the OpenAI chat-completions protocol: an API or vLLM.

    The sampling is the paper's for each mode unless the command line says otherwise. The run's seed goes to vLLM with
    every request; APIs differ in whether they take one, so there it only keeps the cached answers of runs apart.
    """

    UNREADABLE_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds; the first is doubled at each unreadable reply

    def __init__(self, config: Config) -> None:
        import openai

        self._openai = openai
        self._model = config.llm
        self._retries = config.max_retries
        self._is_vllm = config.serving_mode == "vllm"
        if self._is_vllm:
            base_url = config.server if "://" in config.server else f"http://{config.server}:{config.port}/v1"
            key = _read_key("VLLM_API_KEY") or "EMPTY"
        else:
            base_url, key = os.environ.get("OPENAI_BASE_URL") or None, _read_key("OPENAI_API_KEY")
            if not key:
                raise LLMError("no API key: set OPENAI_API_KEY (and OPENAI_BASE_URL for another provider than OpenAI)")
        if base_url is not None and not _is_address(base_url):
            where = "--server and --port" if self._is_vllm else "OPENAI_BASE_URL"
            raise UsageError(f"{base_url} is not a server's address: check {where}")
        self._client = openai.OpenAI(
            base_url=base_url, api_key=key, timeout=config.timeout, max_retries=config.max_retries
        )
        self._address = _without_secrets(str(self._client.base_url))
        self._sampling = self._sampling_of(config)
        self._not_sent = {"address": self._address, "run_seed": config.seed}  # in the cache's key alone

    def _sampling_of(self, config: Config) -> dict[str, Any]:
        default = 0.1 if self._is_vllm else 0.05
        sampling: dict[str, Any] = {
            "temperature": default if config.temperature is None else config.temperature,
            "top_p": 0.8 if config.top_p is None else config.top_p,
            "max_completion_tokens": config.max_new_tokens,
        }
        if self._is_vllm:
            sampling["seed"] = config.seed
            sampling["presence_penalty"] = 1.5
            sampling["extra_body"] = {"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}}
        return sampling

    def details(self) -> dict[str, Any]:
        """Which server, and how it is asked to sample."""
        return {"address": self._address, **self._sampling}

    def check(self) -> None:
        """Ask a vLLM server for its models, so that a wrong address or name stops the run before it starts."""
        if not self._is_vllm:
            return
        names = self._call(lambda: [str(model.id) for model in self._client.models.list().data])
        if self._model not in names:
            raise LLMError(f"--llm {self._model}: {self._address} serves {', '.join(names) or 'no model'}")

    def request(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> dict[str, Any]:
        request = {**self._not_sent, "model": self._model, "messages": messages, **self._sampling}
        return request | ({"tools": tools} if tools else {})

    def complete(self, request: dict[str, Any]) -> Reply:
        arguments = {name: value for name, value in request.items() if name not in self._not_sent}
        return self._call(lambda: _read_reply(self._client.chat.completions.create(**arguments)))

    def _call(self, send: Callable[[], Any]) -> Any:
        """Send until a readable reply comes; the SDK retries what never arrived, this what arrived unreadable."""
        openai = self._openai
        for attempt in range(self._retries + 1):
            try:
                return send()
            except openai.AuthenticationError as error:
                variable = "VLLM_API_KEY" if self._is_vllm else "OPENAI_API_KEY"
                raise LLMError(f"{self._address} rejected the API key: check {variable}") from error
            except openai.NotFoundError as error:
                raise LLMError(
                    f"{self._address} does not know the model {self._model!r} or is not the API's address, "
                    f"which mostly ends in /v1: check both ({_brief(error)})"
                ) from error
            except (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError) as error:
                raise LLMError(self._outage(error)) from error
            except openai.APIStatusError as error:
                advice = f": {TOO_LONG}" if "context" in str(error) else ""
                raise LLMError(f"{self._address} refused the request: {_brief(error)}{advice}") from error
            except (openai.APIError, ValueError, TypeError, AttributeError, LookupError) as error:
                if attempt == self._retries:
                    raise LLMError(self._outage(error)) from error
                time.sleep(min(self.UNREADABLE_PAUSE * 2**attempt, self.LONGEST_PAUSE))
        raise AssertionError("unreachable")

    def _outage(self, error: Exception) -> str:
        advice = "check the network, OPENAI_BASE_URL and your quota"
        if self._is_vllm:
            advice = "is it running? scripts/serve_qwen_8b.sh and its kin start one; --server and --port say where"
        return f"no answer from {self._address} after {self._retries} retries ({_brief(error)}): {advice}"


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


def _read_reply(completion: Any) -> Reply:
    """Raises ValueError where the body is not a chat completion."""
    if isinstance(completion, str) or not getattr(completion, "choices", None):
        raise ValueError("the reply is not a chat completion")
    message, usage = completion.choices[0].message, completion.usage
    calls = [call.model_dump() for call in message.tool_calls or []]
    if message.content is None and not calls and completion.choices[0].finish_reason is None:
        raise ValueError("the reply has no content")
    if not isinstance(message.content, str | None):
        raise ValueError("the reply's content is not text")
    text = (message.content or "").encode(errors="replace").decode()  # half a surrogate pair is not text
    tokens = (getattr(usage, name, None) or 0 for name in ("prompt_tokens", "completion_tokens"))
    return Reply(text, *tokens, tool_calls=calls)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class ScriptedClient:
    """Answers from a function of the last message, or from a list in order; for tests and for trying a task out.

    An answer is a text, or a Reply where it calls tools.
    """

    def __init__(self, answers: Callable[[str], str | Reply] | Iterable[str | Reply]) -> None:
        self._answer = answers if callable(answers) else _in_order(answers)

    def request(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> dict[str, Any]:
        return {"model": "scripted", "messages": messages, "tools": tools}

    def complete(self, request: dict[str, Any]) -> Reply:
        prompt = request["messages"][-1]["content"]
        answer = self._answer(prompt)
        if isinstance(answer, Reply):
            return answer
        return Reply(answer, prompt_tokens=len(prompt.split()), completion_tokens=len(answer.split()))


def _in_order(answers: Iterable[str | Reply]) -> Callable[[str], str | Reply]:
    remaining = iter(answers)

    def answer(prompt: str) -> str | Reply:
        try:
            return next(remaining)
        except StopIteration:
            raise LLMError("the script has no more answers") from None

    return answer


def make_llm(config: Config, text_encoder: Callable[[], TextEncoder]) -> LLM:
    """The LLM of `config`; `text_encoder` loads the embedded encoder, which only the embedded reader needs."""
    cache = AnswerCache(config.cache) if config.cache else None
    if config.llm == EMBEDDED_READER:
        from clients.embedded import EmbeddedReader

        return LLM(EmbeddedReader(text_encoder()), cache)
    if config.serving_mode == "hf":
        from clients.local import make_local_llm

        return make_local_llm(config, cache)
    client = ServerClient(config)
    client.check()
    return LLM(client, cache)
