"""Asking an LLM, whichever serves it.

An `LLM` is a client and, if one was asked for, a cache; it remembers nothing between questions, so several steps may
be on their way at once. Each step asks through a `Session` of its own, which keeps the step's account. A client turns
chat messages into a `Reply` or raises LLMError; it never makes an answer up: an outage is not a wrong answer.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from config import Config
from errors import UsageError
from registry import CLIENTS

if TYPE_CHECKING:
    from memory.encoders import TextEncoder
    from runs.journal import Journal

Message = dict[str, Any]
CUT = "length"  # the finish_reason of an answer that reached the token limit
LARGEST_COUNT = 2**53  # of tokens; what is above it is no count
THOUGHT = re.compile(r"\s*<think>(.*?)(?:</think>|\Z)", re.S)


@dataclass(frozen=True)
class Reply:
    """What the LLM wrote, and what it cost."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)  # the generated tokens, where the client knows them
    finish_reason: str | None = None  # "stop", "length" where the token limit cut it, or what a server says
    reasoning: str = ""  # what it thought before: no part of the answer, but of what it cost

    @classmethod
    def read(cls, said: Any) -> Reply:
        """A reply out of parsed JSON that anything may have written, every field of its type.

        A count that is none becomes 0, half a character a question mark. Raises ValueError where it is no reply.
        """
        if not isinstance(said, dict) or not isinstance(said.get("text"), str):
            raise ValueError("the reply has no text")
        calls, tokens, reason = said.get("tool_calls") or [], said.get("tokens") or [], said.get("finish_reason")
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            raise ValueError("the reply's tool calls are not a list of objects")
        if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
            raise ValueError("the reply's tokens are not a list of numbers")
        before = _whole(said.get("reasoning"))
        reasoning, text = split_reasoning(_whole(said["text"]))
        return cls(
            text,
            _count(said.get("prompt_tokens")),
            _count(said.get("completion_tokens")),
            [_tool_call(call) for call in calls],
            tokens,
            _whole(reason) or None,
            "\n\n".join(part for part in (before, reasoning) if part),
        )


def split_reasoning(text: str) -> tuple[str, str]:
    """(what a model thought, what it answered): <think>...</think> before the answer is no part of it.

    A thought that the token limit cut has no end, and there is no answer. Templates that open the thought themselves
    leave its end alone in the text.
    """
    thoughts, rest = [], text
    if "</think>" in text and "<think>" not in text.partition("</think>")[0]:
        thought, _, rest = text.partition("</think>")
        thoughts.append(thought)
    while found := THOUGHT.match(rest):
        thoughts.append(found[1])
        rest = rest[found.end() :]
    if not thoughts:
        return "", text
    return "\n\n".join(thought.strip() for thought in thoughts if thought.strip()), rest.lstrip()


def with_system(messages: list[Message], text: str | None) -> list[Message]:
    """A conversation with --system_prompt in front; before what a task says as the system itself."""
    if text is None:
        return messages
    first = messages[0] if messages else {}
    if first.get("role") == "system":
        return [first | {"content": f"{text}\n\n{first['content']}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else 0


def _whole(value: Any) -> str:
    """`value` where it is a text, without halves of surrogate pairs, which cannot be written; else nothing."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        arguments = json.dumps(arguments, ensure_ascii=False)
    function = {"name": _whole(function.get("name")), "arguments": _whole(arguments)}
    return {"id": _whole(call.get("id")), "type": "function", "function": function}


@dataclass
class Spent:
    """What one step has cost so far."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    calls: int = 0
    from_cache: int = 0
    cached_prompt_tokens: int = 0  # of the replies from the cache
    cached_completion_tokens: int = 0
    cut: int = 0  # replies that the token limit cut
    finish_reason: str | None = None  # of the last reply

    @property
    def cached(self) -> bool:
        """Whether every answer of the step came from the cache."""
        return self.calls > 0 and self.from_cache == self.calls

    def add(self, reply: Reply, seconds: float, from_cache: bool) -> None:
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        self.seconds += seconds
        self.calls += 1
        self.from_cache += from_cache
        if from_cache:
            self.cached_prompt_tokens += reply.prompt_tokens
            self.cached_completion_tokens += reply.completion_tokens
        self.cut += reply.finish_reason == CUT
        self.finish_reason = reply.finish_reason


class Client(Protocol):
    """Something that answers.

    One that a row of the registry names is made by `from_config(config, recall_encoder)`. One that answers several
    questions as one batch may have `look_ahead(step, prompt_of, steps)`: see Session. One whose row reads `concurrency`
    is asked by several threads at once, and has `for_seed(seed)`, itself for another run with the same connections, and
    `cancel()`, which gives up all that is asked, now and later.
    """

    def details(self) -> dict[str, Any]:
        """What config.yaml should say of it, as plain values: where it runs, and every setting of its sampling."""
        ...

    def request(
        self, messages: list[Message], tools: list[dict[str, Any]] | None, step: int, call: int
    ) -> dict[str, Any]:
        """Everything that can change the answer, as plain JSON values: the cache's key.

        `step` and `call`, the question's number within it, are for a client whose random draws depend on them.
        """
        ...

    def complete(self, request: dict[str, Any]) -> Reply:
        """Answer a request. Raises LLMError where no answer came, RefusedError where none will."""
        ...


class LLM:
    """A client with its cache. Calling it with a prompt gives the answer's text, in a session of its own.

    `keep_exchanges` lets the sessions keep whole requests and replies (--log_requests).
    """

    def __init__(
        self, client: Client, cache: AnswerCache | None = None, keep_exchanges: bool = False, name: str | None = None
    ) -> None:
        self.name = name  # where there are several
        self.journal: Journal | None = None
        self.client = client
        self.cache = cache
        self.keep_exchanges = keep_exchanges

    def member(self, place: int) -> LLM:
        """Who is asked where number `place`, from 0, was chosen; here there is one."""
        return self

    def session(self, step: int = 0) -> Session:
        """What `step` (from 1) asks through."""
        return Session(self, step)

    def keep_replies(self, journal: Journal) -> None:
        """Let what is answered go into `journal`, and be taken from there."""
        self.journal = journal

    def for_seed(self, seed: int) -> LLM:
        """The same LLM for a run of another seed, with the client's connections and the cache in common."""
        client: Any = self.client
        return LLM(client.for_seed(seed), self.cache, self.keep_exchanges, self.name)

    def cancel(self) -> None:
        """Give up what is being asked, where the client can; who waits for it gets a CancelledError."""
        cancel = getattr(self.client, "cancel", None)
        if cancel is not None:
            cancel()

    def wrapped(self, wrap: Callable[[Client], Client]) -> LLM:
        """The same LLM behind another client, made of its own; both share the cache."""
        return LLM(wrap(self.client), self.cache, self.keep_exchanges)

    def details(self) -> dict[str, Any]:
        """What config.yaml should say of how the LLM is run, as plain values."""
        return self.client.details()

    def __call__(self, prompt: str | list[Message]) -> str:
        return self.session()(prompt)

    def chat(self, messages: list[Message], tools: list[dict[str, Any]] | None = None) -> Reply:
        return self.session().chat(messages, tools)


class Roster(LLM):
    """Several LLMs, of which each step asks one: `member`."""

    def __init__(self, llms: list[LLM]) -> None:
        super().__init__(llms[0].client, llms[0].cache, llms[0].keep_exchanges)
        self.llms = llms

    def member(self, place: int) -> LLM:
        return self.llms[place]

    def keep_replies(self, journal: Journal) -> None:
        for llm in self.llms:
            llm.keep_replies(journal)

    def for_seed(self, seed: int) -> Roster:
        return Roster([llm.for_seed(seed) for llm in self.llms])

    def cancel(self) -> None:
        for llm in self.llms:
            llm.cancel()

    def details(self) -> dict[str, Any]:
        return {"llms": [{"name": llm.name, **llm.details()} for llm in self.llms]}


class SharedLLMs:
    """Makes the LLMs of runs that are played beside each other; those that differ in the seed alone share a client.

    So their requests have one pool of connections, and what a rate limit says to one holds for all.
    """

    def __init__(self, recall_encoder: Callable[[], TextEncoder]) -> None:
        self._recall_encoder = recall_encoder
        self._made: dict[Config, LLM] = {}
        self._cancelled = False

    def make(self, config: Config) -> LLM:
        """The LLM of `config`. Raises UserError as `make_llm`, and CancelledError once all was given up."""
        if self._cancelled:
            raise CancelledError
        alike = replace(config, seed=0)
        if alike not in self._made:
            self._made[alike] = make_llm(alike, self._recall_encoder)
        return self._made[alike].for_seed(config.seed)

    def cancel(self) -> None:
        """Give up all that is being asked, now and later."""
        self._cancelled = True
        for llm in self._made.values():
            llm.cancel()


class Session:
    """One step's conversation with an LLM, and its account. Calling it with a prompt gives the answer's text.

    Attributes:
        llm: the name of who answers, where there are several.
        spent: what the step has cost so far.
        prompt_sha256: of the first question's messages and tools, whoever answers them; None before it was asked.
        exchanges: each whole request and its reply, where the LLM was told to keep them.
    """

    def __init__(self, llm: LLM, step: int) -> None:
        self.step = step
        self.llm = llm.name
        self.spent = Spent()
        self.prompt_sha256: str | None = None
        self.exchanges: list[dict[str, Any]] = []
        self._llm = llm
        self._asked: dict[str, int] = {}  # how often each request was answered

    def __call__(self, prompt: str | list[Message]) -> str:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        return self.chat(messages).text

    def chat(self, messages: list[Message], tools: list[dict[str, Any]] | None = None) -> Reply:
        """Answer a conversation. Raises LLMError where no answer came; then nothing is cached or counted."""
        start = time.perf_counter()
        messages = json.loads(_as_json(messages, sort_keys=False))  # as they are now: the caller's list grows
        if self.prompt_sha256 is None:
            self.prompt_sha256 = hash_prompt(messages, tools)
        request = self._llm.client.request(messages, tools, self.step, self.spent.calls)
        text, cache = _as_json(request), self._llm.cache
        repeat = self._asked.get(text, 0)  # a repeat is a new sample
        key = hashlib.sha256(f"{repeat}\n{text}".encode()).hexdigest()
        journal = self._llm.journal
        before = journal.get(self.step, key) if journal else None
        if before is not None:
            reply, hit, seconds = Reply.read(before["reply"]), before["cached"], before["seconds"]
        else:
            with cache.alone(key) if cache else nullcontext():
                answer = cache.get(key) if cache else None
                hit = answer is not None
                reply = answer or Reply.read(asdict(self._llm.client.complete(request)))
                if cache and not hit:
                    cache.put(key, text, reply)
            seconds = time.perf_counter() - start
            if journal:
                journal.put(self.step, key, {"reply": asdict(reply), "cached": hit, "seconds": round(seconds, 6)})
        self._asked[text] = repeat + 1
        self.spent.add(reply, seconds, hit)
        if self._llm.keep_exchanges:
            times = {"step": self.step, "cached": hit, "seconds": round(seconds, 6)}
            self.exchanges.append(times | {"request": json.loads(text), "reply": asdict(reply)})
        return reply

    def look_ahead(self, prompt_of: Callable[[int], str], steps: int) -> None:
        """Learn that each step, of `steps`, asks one question that is known by now: `prompt_of(step)`.

        Nothing has to come of it: a client that can work on several questions at once may start on those of others.
        """
        ahead = getattr(self._llm.client, "look_ahead", None)
        if ahead is not None:
            ahead(self.step, prompt_of, steps)


def hash_prompt(messages: list[Message], tools: list[dict[str, Any]] | None = None) -> str:
    """The sha256 of what is asked, apart from who is asked and how answers are sampled."""
    return hashlib.sha256(_as_json({"messages": messages, "tools": tools or []}).encode()).hexdigest()


def _as_json(value: Any, sort_keys: bool = True) -> str:
    """`value` as JSON, the same text for equal values, without halves of characters."""
    return json.dumps(value, sort_keys=sort_keys, ensure_ascii=False).encode(errors="replace").decode()


class AnswerCache:
    """Answers in a SQLite file that several runs may share. Only answers are kept, never failures.

    What cannot be read counts as not there, and the next answer replaces it. Raises UsageError where the file is no
    such cache or can be read or written no longer, OSError where the disk is full.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._asking: dict[str, tuple[threading.Lock, int]] = {}  # by key, with how many are at it
        with self._usable():
            Path(path).expanduser().parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(Path(path).expanduser(), timeout=60, check_same_thread=False)
            self._db.text_factory = bytes  # what is not UTF-8 is a reply that cannot be read, not a broken file
            self._db.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, request TEXT, reply TEXT)")
            self._db.execute("SELECT key, request, reply FROM answers LIMIT 0")  # another program's table has others
            self._db.commit()

    def get(self, key: str) -> Reply | None:
        with self._usable():
            row = self._db.execute("SELECT reply FROM answers WHERE key = ?", (key,)).fetchone()
        try:
            return None if row is None else Reply.read(json.loads(row[0]))
        except (ValueError, TypeError, RecursionError):
            return None

    def put(self, key: str, request: str, reply: Reply) -> None:
        with self._usable(), self._db:
            values = (key, request, json.dumps(asdict(reply), ensure_ascii=False))
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", values)

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """One at a time for each key: of two that ask the same at once, the second finds the first one's answer."""
        with self._lock:
            lock, users = self._asking.get(key, (threading.Lock(), 0))
            self._asking[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._asking.pop(key)
                if users > 1:
                    self._asking[key] = lock, users - 1

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.Error, OSError, ValueError) as error:
            if "database or disk is full" in str(error):  # SQLite's words; Python 3.10 does not give the code
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path) from error
            raise UsageError(f"--cache {self._path}: not a usable SQLite file ({error})") from error


def make_llm(config: Config, recall_encoder: Callable[[], TextEncoder]) -> LLM:
    """The LLM of `config`. Raises UserError where it is known already that it cannot answer.

    `recall_encoder` loads the encoder of --embedding_model_path, which a client may share instead of loading it again.
    """
    cache = AnswerCache(config.cache) if config.cache else None
    members = config.members
    if not members:
        return _make_one(config, recall_encoder, cache)
    names = str(config.llm).split(",") if len(members) > 1 else [None]
    return Roster([_make_one(member, recall_encoder, cache, name) for member, name in zip(members, names)])


def _make_one(
    config: Config, recall_encoder: Callable[[], TextEncoder], cache: AnswerCache | None, name: str | None = None
) -> LLM:
    client = CLIENTS[str(config.serving_mode)].load().from_config(config, recall_encoder)
    return LLM(client, cache, config.log_requests, name)
