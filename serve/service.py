"""One tenant of the endpoint: what a request and a piece of feedback do to its ledger, learner and counts."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import random
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from config import Config
from env.base import Env
from llm import LLM, hash_prompt
from memory.store import Store
from runs.folder import RunLog
from step import Case, Step

from .batching import Batcher
from .learner import Learner, as_dict, pack
from .ledger import LEDGER, Answered, Event, Ledger
from .messages import Message, query_of, whole, with_prompt
from .stats import Stats

MOST_TOGETHER = 16  # requests that are ranked in one batch: more would make the first of them wait, and gain little
OUTCOMES = {  # of feedback: its HTTP status and what it means
    "learned": (200, "taken, and learned by now"),
    "accepted": (200, "taken: it is on disk and will be learned"),
    "repeated": (200, "the same feedback was there already; nothing changes"),
    "contradicting": (409, "other feedback for this answer was there already, and stands"),
    "unknown": (404, "no answer with this id"),
}


@dataclass(frozen=True)
class Way:
    """How the endpoint is run.

    Attributes:
        explore: "on", "off" or "shadow".
        holdout: the share of requests that are answered without cases.
        query_template: what the query is; see messages.py.
        waits: whether feedback is answered only when it has been learned.
    """

    explore: str = "on"
    holdout: float = 0.0
    query_template: str | None = None
    waits: bool = False


@dataclass
class Asked:
    """A request on its way: what the upstream is sent, and what is to be kept of it once it is answered."""

    id: str
    step: Step
    group: str
    messages: list[Message]
    began: float


class Service:
    """A bank, a policy and their records."""

    def __init__(
        self,
        config: Config,
        env: Env,
        llm: LLM,
        load_encoder: Callable[[], Any],
        log: RunLog,
        way: Way,
        store: Store | None = None,
    ) -> None:
        self.way = way
        self.ledger = Ledger(log.folder / LEDGER)
        self.stats = Stats(self.ledger)
        self.learner = Learner(config, env, llm, load_encoder, log, self.ledger, way.explore != "off", store)
        self._seed = config.seed
        self._numbers = itertools.count(self.ledger.last_request + 1)
        self._ranking: Batcher[tuple[int, str], Step] = Batcher(self.learner.choose, MOST_TOGETHER, "ranking")

    # -- requests ----------------------------------------------------------------------------------------------------

    async def begin(self, messages: list[Message]) -> Asked:
        """Choose cases for a conversation. Raises Unusable."""
        place, query = query_of(messages, self.way.query_template)
        number = next(self._numbers)
        step = await asyncio.wrap_future(self._ranking.submit((number, query)))
        group = self.group_of(number)
        sent = with_prompt(messages, place, self.learner.render(query, step.cases if group == "cases" else []))
        step.prompt_sha256 = hash_prompt(sent)
        return Asked(f"chatcmpl-{secrets.token_hex(16)}", step, group, sent, time.perf_counter())

    def group_of(self, number: int) -> str:
        """Which requests get cases: by the seed and the request's number alone."""
        if self.way.explore == "shadow":
            return "shadow"
        return "holdout" if random.Random(f"{self._seed} {number}").random() < self.way.holdout else "cases"

    async def finish(self, asked: Asked, answer: dict[str, Any]) -> None:
        """Keep an answered request; it is on disk when this returns."""
        step, (phi, arms) = asked.step, pack(asked.step)
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        answered = Answered(
            id=asked.id,
            number=step.number,
            query=step.task,
            group=asked.group,
            cases=[as_dict(case) for case in step.cases],
            scores=step.scores,
            output=output_of(answer),
            model=str(answer.get("model") or ""),
            finish_reason=_first(answer).get("finish_reason"),
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            seconds=round(time.perf_counter() - asked.began, 6),
            agent_seconds=round(step.agent_seconds, 6),
            prompt_sha256=step.prompt_sha256,
            phi=phi,
            arms=arms,
            time=time.time(),
        )
        await asyncio.wrap_future(self.ledger.put(answered))
        self.stats.answered(asked.group, step.agent_seconds, answered.seconds)

    # -- feedback ----------------------------------------------------------------------------------------------------

    async def feed(self, request: str, reward: int, answer: str | None) -> str:
        """Take feedback; its outcome, a key of OUTCOMES. Raises ValueError for a correction that is no answer."""
        answered = await asyncio.to_thread(self.ledger.get, request)
        if answered is None:
            self.stats.refuse("unknown")
            return "unknown"
        if answer is not None:
            self.learner.read_answer(answer)
        event, new = await asyncio.wrap_future(self.ledger.feed(answered, reward, answer))
        if not new:
            outcome = "repeated" if (event.reward, event.answer) == (reward, answer) else "contradicting"
            self.stats.refuse(outcome)
            return outcome
        self.stats.fed(answered.group, reward)
        return await self._learned(event)

    async def remove(self, key: str) -> bool:
        """Take the cases of this key out of the bank; whether there were any."""
        if not any(case.key == key for case in self.learner.bank):
            return False
        event = await asyncio.wrap_future(self.ledger.remove(key))
        await asyncio.wrap_future(self.learner.learn(event.number))
        return True

    async def _learned(self, event: Event) -> str:
        future = self.learner.learn(event.number)
        if not self.way.waits:
            return "accepted"
        await asyncio.wrap_future(future)
        return "learned"

    # -- what is there -----------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        return self.stats.describe() | {
            "cases": len(self.learner.bank),
            "events": self.ledger.last_event,
            "learned": self.learner.learned,
            "learning_stopped": self.learner.failure,
            "explore": self.way.explore,
            "holdout": self.way.holdout,
        }

    def nearest(self, query: str, size: int) -> list[Case]:
        """The cases nearest to a text; of a bank without embeddings those that hold it."""
        return self.learner.nearest(query, size)

    def close(self) -> None:
        """Learn what waits, save it, let go of the files; where that is interrupted, the files all the same."""
        with ExitStack() as parts:
            parts.callback(self.ledger.close)
            parts.callback(self.learner.close)
            parts.callback(self._ranking.close)


def output_of(answer: dict[str, Any]) -> str:
    """What the assistant wrote in the first choice; of calls to tools their JSON where it wrote nothing."""
    message = _first(answer).get("message")
    message = message if isinstance(message, dict) else {}
    content, calls = message.get("content"), message.get("tool_calls")
    if isinstance(content, str) and content:
        return whole(content)
    return json.dumps(calls, ensure_ascii=False) if calls else ""


def tenant_folder(name: str) -> str:
    """The folder's name of a tenant: whatever it is called, no other place."""
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:32]


def _first(answer: dict[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else 0
