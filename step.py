"""One query on its way through the loop, and one line of steps.jsonl.

Everything that is known of a step in flight lies in its `Step`: agents, policies and clients keep nothing of it
between two verbs. So several steps can be under way at once, feedback may come late, and a step that was logged before
is a Step whose answer and reward are already filled in.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from errors import UserError

if TYPE_CHECKING:
    from env.base import Env
    from llm import Session

Metrics = dict[str, float]
Lesson = dict[str, str]  # title, when, do
Record = dict[str, Any]  # a line of steps.jsonl
SHOWS_NOTHING = "UCB/shows_nothing"  # metric of policies that may show no case: whether they chose so


@dataclass(frozen=True)
class Case:
    """Something that was answered before: what a prompt shows, and what a policy chooses among.

    Attributes:
        task: the text that it is found by and shown with.
        answer: as its task's `extraction` gives it, in plain JSON values.
        reward: 1 or 0.
        step: the step at which it was retained, from 1; 0 for one that came with the run.
        output: all that was written, where it is kept beside the answer.
        lessons: what an LLM has written down to learn from it.
        episode: its plan and its turns, where they are kept beside the answer.

    `key` is what it is, wherever it is kept: a hash of all but the step.
    """

    task: str
    answer: Any = None
    reward: int = 1
    step: int = 0
    output: str | None = None
    lessons: list[Lesson] | None = None
    episode: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        content = [self.task, self.answer, self.reward]
        content += [value for value in (self.output, self.lessons, self.episode) if value is not None]
        text = json.dumps(content, sort_keys=True, default=_plain)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def view(self) -> dict[str, Any]:
        """The case as prompt functions take it: a dict of its own, so that what they do to it changes no bank."""
        view = {"id": self.step, "task": self.task, "answer": as_plain(self.answer), "reward": self.reward}
        more = {"output": self.output, "lessons": as_plain(self.lessons), "episode": as_plain(self.episode)}
        return view | {name: value for name, value in more.items() if value is not None}


@dataclass
class Step:
    """One query on its way.

    Attributes:
        number: from 1, its place in the stream.
        task: what was observed.
        cases, scores: what the prompt shows, and the policy's score of each (None where nothing was ranked).
        arms: what the policy wants back with the reward, such as the features that it scored the shown cases by.
        output, answer, reward: what the LLM wrote, what was read from it, and whether that was right.
        turns: what a multi-turn task did.
        skipped: why the step was left out; then `reward` is None and nobody learns from it.
        tokens: the tokens of the answer, where an agent learns from them.
        lessons: what the LLM has written down to learn from the step.
        episode: the plan of a dialogue, and what was observed, thought and replied in each turn, where that is kept.
        member: the place in --llms, from 0, of who answers.
        llm: the name of who answers, where there are several.
        session: what the step was asked through, for an agent that goes on asking.
        env: the instance of the task that the step is carried out on, its cursor on the step's row, while several are
            under way at once; else None.
        metrics: numbers of agent, policy and task about this step.
        record: the line of steps.jsonl that this step was logged with before, else None.
        exchanges: whole requests and replies, where they are kept (--log_requests).
    """

    number: int
    task: str = ""
    cases: list[Case] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    arms: Any = None
    output: str = ""
    answer: Any = None
    reward: int | None = None
    turns: list[dict[str, Any]] | None = None
    skipped: str | None = None
    tokens: list[int] | None = None
    lessons: list[Lesson] | None = None
    episode: dict[str, Any] | None = None
    member: int = 0
    llm: str | None = None
    session: Session | None = None
    env: Env | None = None
    metrics: Metrics = field(default_factory=dict)
    record: Record | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    cached_completion_tokens: int = 0
    calls: int = 0
    cached: bool = False
    finish_reason: str | None = None
    prompt_sha256: str | None = None
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    llm_seconds: float = 0.0
    env_seconds: float = 0.0
    agent_seconds: float = 0.0

    def show(self, cases: list[Case], scores: list[float] | None = None, arms: Any = None) -> None:
        """Take these cases, and no others, into the prompt; `arms` are these cases' own."""
        self.cases = cases
        self.scores = list(scores) if scores is not None else [None] * len(cases)
        self.arms = arms

    @property
    def replayed(self) -> bool:
        """Whether the step was logged before: nobody is asked again, what was learned from it is learned anew."""
        return self.record is not None

    @contextmanager
    def measure(self, whose: str) -> Iterator[None]:
        """Charge the time of the block to `whose`: agent, env or llm; what the block charges to others is taken off."""
        name = f"{whose}_seconds"
        others = self._seconds() - getattr(self, name)
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            charged = self._seconds() - getattr(self, name) - others
            setattr(self, name, getattr(self, name) + max(0.0, elapsed - charged))

    def charge(self, session: Session) -> None:
        """Take over what a conversation with the LLM has cost and said of itself."""
        spent = session.spent
        self.prompt_tokens, self.completion_tokens = spent.prompt_tokens, spent.completion_tokens
        self.cached_prompt_tokens = spent.cached_prompt_tokens
        self.cached_completion_tokens = spent.cached_completion_tokens
        self.calls = spent.calls
        self.llm_seconds = spent.seconds
        self.cached = spent.cached
        self.finish_reason = spent.finish_reason
        self.prompt_sha256 = session.prompt_sha256
        self.exchanges = session.exchanges
        self.llm = session.llm

    def _seconds(self) -> float:
        return self.llm_seconds + self.env_seconds + self.agent_seconds

    # -- steps.jsonl -------------------------------------------------------------------------------------------------

    @classmethod
    def from_record(cls, record: Record) -> Step:
        """The step that was logged as `record`, answered and scored; what it showed is not filled in."""
        return cls(
            number=record["step"],
            task=record["task"],
            output=record["output"],
            answer=record["answer"],
            reward=record["reward"],
            turns=record.get("turns"),
            skipped=record.get("skipped"),
            tokens=record.get("output_tokens"),
            lessons=record.get("lessons"),
            episode=record.get("episode"),
            record=record,
        )

    def as_logged(self, record: Record) -> Step:
        """This step as it was logged before. Raises UserError where that was another task."""
        if record["task"] != self.task:
            raise self._cannot_repeat()
        return Step.from_record(record)

    def check_shown(self) -> None:
        """Refuse to go on from a log whose step was answered with other cases than are shown now. Raises UserError."""
        assert self.record is not None
        logged = [(case["id"], case.get("key")) for case in self.record["cases"]]
        shown = [(case.step, case.key if key else None) for case, (_, key) in zip(self.cases, logged)]
        if len(self.cases) != len(logged) or shown != logged or self.record.get("llm") != self.llm:
            raise self._cannot_repeat()

    def _cannot_repeat(self) -> UserError:
        """The error for a log that this code, data or machine would not have written."""
        return UserError(
            f"step {self.number} of the log cannot be repeated: it saw another task, other cases or another LLM "
            "(did the code, a package or the machine change?). --overwrite starts the run over"
        )

    def _usage(self) -> dict[str, int]:
        """The step's tokens, and of those the ones that came from the cache, where any did."""
        usage = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        cached = {
            "cached_prompt_tokens": self.cached_prompt_tokens,
            "cached_completion_tokens": self.cached_completion_tokens,
        }
        return usage | (cached if any(cached.values()) else {})

    def to_record(self, success_rate: float | None, regret: int) -> Record:
        """The step's line of steps.jsonl; `success_rate` and `regret` are those of the stream up to here."""
        record = {
            "step": self.number,
            "task": self.task,
            "cases": [
                {"id": case.step, "key": case.key, "score": score} for case, score in zip(self.cases, self.scores)
            ],
            "output": self.output,
            "answer": self.answer,
            "reward": self.reward,
            "success_rate": success_rate,
            "regret": regret,
            "usage": self._usage(),
            "calls": self.calls,
            "llm_seconds": round(self.llm_seconds, 6),
            "env_seconds": round(self.env_seconds, 6),
            "agent_seconds": round(self.agent_seconds, 6),
            "cached": self.cached,
            "finish_reason": self.finish_reason,
            "prompt_sha256": self.prompt_sha256,
            "metrics": dict(self.metrics),
        }
        optional = {
            "turns": self.turns,
            "skipped": self.skipped,
            "output_tokens": self.tokens,
            "llm": self.llm,
            "lessons": self.lessons,
            "episode": self.episode,
        }
        return record | {name: value for name, value in optional.items() if value is not None}


def as_plain(value: Any) -> Any:
    """`value` as JSON gives it back, so that an answer reads the same in this process and in one that continues it.

    Tuples become lists, sets become lists in sorted order, numbers of NumPy become Python's. Raises UserError for
    what JSON cannot hold.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"an answer must be made of texts, numbers, lists and dicts: {error}") from None
    return json.loads(text.encode(errors="replace"))


def as_number(value: Any) -> int | float | None:
    """`value` as one number of Python, also where it is a truth value or NumPy's; None where it is no number."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | float) else None


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        items = [as_plain(item) for item in value]  # what is in them may be sets as well
        return sorted(items, key=lambda item: (type(item).__name__, json.dumps(item) if _is_nested(item) else item))
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays, and tensors
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is none of these")


def _is_nested(value: Any) -> bool:
    return value is None or isinstance(value, list | dict)
