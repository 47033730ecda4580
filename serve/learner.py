"""The bank and the policy of one tenant: they choose cases for requests, and learn from feedback beside them.

Two views of one agent. Requests are ranked by a snapshot of the policy, which changes as a whole when an event has
been learned; the policy itself learns in a thread of its own, so no request waits for a training step. Cases are added
to and taken out of the bank under the lock that requests are ranked under, which is short.

What is learned depends on the order of the events alone. Each becomes a line of steps.jsonl, so the endpoint's folder
is a run folder, and checkpoints save the state as those of a run do.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from agent import Agent, NoRetrieval, make_agent
from agents.retaining import case_of
from bandit import Phi
from config import Config
from env.base import Env
from errors import UsageError
from memory.entries import Entry
from memory.store import Store
from registry import AGENTS, AgentRow
from runs.checkpoint import Checkpoint
from runs.folder import RunLog
from step import Case, Step, as_plain

from .ledger import Answered, Event, Ledger

if TYPE_CHECKING:
    from llm import LLM
    from memory.encoders import TextEncoder

MOST_TOGETHER = 16  # events that are learned before requests see what they have changed
Learned = Future[int]
T = TypeVar("T")


def check_serves(config: Config) -> None:
    """Raise UsageError for an agent that an endpoint cannot be: it asks more than once a step, or needs a label."""
    if not serves(config.agent_row):
        fits = [name for name, row in AGENTS.items() if serves(row)]
        raise UsageError(f"--agent {config.agent} cannot answer as an endpoint; these can: {', '.join(fits)}")


def serves(row: AgentRow) -> bool:
    """Whether an agent is rules alone that ask once, and learns from a bit."""
    plain = row.where == "agent:Agent" and row.answer == "once" and row.who == "one"
    return plain and row.retain != "ground_truth" and row.retrieve != "fixed"


class Learner:
    """An agent whose queries come from requests and whose rewards come when they come.

    Args:
        llm: what the agent's other parts may ask; the endpoint asks its upstream itself.
        explores: whether requests are ranked with the exploration bonus.
        store: a bank on disk, whose cases it starts from and which keeps what it learns.
    Attributes:
        learned: the number of the last event that has been learned.
        failure: why learning has stopped, where it has; requests go on being answered by what was learned before.
    """

    def __init__(
        self,
        config: Config,
        env: Env,
        llm: LLM,
        load_encoder: Callable[[], TextEncoder],
        log: RunLog,
        ledger: Ledger,
        explores: bool = True,
        store: Store | None = None,
    ) -> None:
        self.agent: Agent = make_agent(config, env, llm, load_encoder)
        self.agent.retrieval.bank.allow_removal()
        self._env = env
        self._encoder = load_encoder
        self._config = config
        self._log = log
        self._ledger = ledger
        self._explores = explores
        self._store = store
        self._source = str(log.folder)
        self._ranking = threading.Lock()
        self.failure: str | None = None
        self._view: NoRetrieval = self.agent.retrieval
        self.learned = self._steps = self._taken_over = self._noted = 0
        self._catch_up()
        self._refresh()
        self._asked: queue.SimpleQueue[tuple[int, Learned] | None] = queue.SimpleQueue()
        # a daemon: an end that is interrupted waits for nothing, and what is in the ledger is learned by the next start
        self._thread = threading.Thread(target=self._learn_all, name="learner", daemon=True)
        self._thread.start()

    # -- requests ----------------------------------------------------------------------------------------------------

    def choose(self, batch: list[tuple[tuple[int, str], Future[Step]]]) -> None:
        """For each request, its number and its query, the step with the cases that the agent would show.

        Their queries are embedded and recalled together; then each is ranked by itself, in order, all of them by the
        same bank and policy.
        """
        begin, queries = time.perf_counter(), [query for (_, query), _ in batch]
        if self.agent.retrieval.bank.has_vectors:
            self._encoder().prepare(queries)
        with self._ranking:
            self._view.recall_ahead(queries)
            seconds = (time.perf_counter() - begin) / len(batch)
            for (number, query), future in batch:
                step = Step(number, query, agent_seconds=seconds)
                try:
                    with step.measure("agent"):
                        self._view.retrieve(step)
                except Exception as error:  # such as a policy that has diverged
                    future.set_exception(error)
                else:
                    future.set_result(step)

    def render(self, query: str, cases: list[Case]) -> str:
        """The prompt of a query with these cases."""
        return str(self.agent.render(self._env, query, cases))

    @property
    def bank(self) -> list[Case]:
        """The cases, oldest first."""
        with self._ranking:
            return list(self.agent.retrieval.bank.cases)

    # -- feedback ----------------------------------------------------------------------------------------------------

    def learn(self, number: int) -> Learned:
        """Have the event of this number, which is in the ledger, learned; the future is done once it is.

        Events are learned in the order of their numbers, whoever asks first. The future raises what learning raised.
        """
        future: Learned = Future()
        future.set_running_or_notify_cancel()  # a client that goes away cancels nothing
        self._asked.put((number, future))
        return future

    def nearest(self, query: str, size: int) -> list[Case]:
        """The cases nearest to `query`, nearest first; of a bank without embeddings the latest."""
        with self._ranking:
            bank = self.agent.retrieval.bank
            return bank.recall(query, size) if bank.has_vectors else bank.latest(size)[::-1]

    def read_answer(self, text: str) -> Any:
        """A correction as the task's answer, whether it came as the bare answer or in the form of an output.

        Raises ValueError where it is no answer of the task.
        """
        for output in (text, self._env.format_answer(text)):
            answer = self._env.extraction(output)
            if answer is not None:
                return as_plain(answer)
        raise ValueError(f"not an answer of the task {self._env.name}")

    def _learn_all(self) -> None:
        waiting: dict[int, Learned] = {}
        while (asked := self._asked.get()) is not None:
            waiting[asked[0]] = asked[1]
            try:
                for events in batched(self._ledger.events(after=self.learned), MOST_TOGETHER):
                    self._apply_all(events)
                    self._refresh()
                    self._log.checkpoint(self._steps, self._save)
                    for event in events:
                        if event.number in waiting:
                            waiting.pop(event.number).set_result(event.number)
            except BaseException as error:  # what is on disk is learned by a restart, where that can be
                self.failure = f"{type(error).__name__}: {error}"
                waiting.pop(asked[0], asked[1]).set_exception(error)
            for number in [number for number in waiting if number <= self.learned]:
                waiting.pop(number).set_result(number)

    def _apply_all(self, events: list[Event]) -> None:
        """Learn these events; what they leave in the bank on disk is written at once."""
        with self._store.together() if self._store is not None else contextlib.nullcontext():
            for event in events:
                self._apply(event)
            if self._store is not None:
                self._store.set_progress(self._source, self._noted)

    def _apply(self, event: Event) -> None:
        if event.removed is not None:
            with self._ranking:
                self._forget(event.removed)
        else:
            self._take(event)
        self.learned = event.number

    def _take(self, event: Event) -> None:
        """Learn from feedback: the policy from the bit, where its choice was shown; the bank from what is right."""
        answered = self._ledger.get(str(event.request))
        assert answered is not None, "feedback is kept only for requests that are"
        self._steps += 1
        step = step_of(answered, event, self._steps)
        step.answer = as_plain(self._env.extraction(step.output))
        self.agent.update(step)
        case = self._case(step, event)
        if case is not None:
            with self._ranking:
                self.agent.retrieval.bank.add(case)
        self._keep(case)
        if self._steps > self._log.steps_logged:
            self._log.append(step)
        if self._store is not None and self._steps > self._noted:
            self._noted = self._steps
            if step.cases and step.reward is not None:
                self._store.note([shown.key for shown in step.cases], step.reward)

    def _keep(self, case: Case | None) -> None:
        """Put a new case into the bank on disk; one that is there already stays as it is."""
        if self._store is None or case is None:
            return
        entry = Entry(case, self._env.name, self._config.llm, now(), source=self._source, step=case.step)
        if self._store.get(case.key) is None:
            self._store.add([entry], self._encoder().encode([case.task]))

    def _case(self, step: Step, event: Event) -> Case | None:
        """What the step leaves in the bank: the correction, where one came, else what the agent's rule keeps."""
        retain = self.agent._retain
        if event.answer is not None and self._config.agent_row.retain != "nothing":
            corrected = replace(step, answer=self.read_answer(event.answer), reward=1, output="")
            return case_of(self._env, corrected, self._config, retain)
        if step.answer is None and self._config.agent_row.retain != "output":
            return None  # right or wrong, but not in a form that a prompt can show
        return case_of(self._env, step, self._config, retain)

    def _forget(self, key: str) -> None:
        if self._store is not None:
            self._store.remove([key])
        self.agent.retrieval.bank.remove([case for case in self.agent.retrieval.bank.cases if case.key == key])

    # -- the policy that requests see --------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Let requests be ranked by what has been learned up to here, all of it at once."""
        view = copy.copy(self.agent.retrieval)
        policy = getattr(view, "policy", None)
        if policy is not None:
            first = self._view is self.agent.retrieval  # which learns, and is no snapshot
            before = None if first else getattr(self._view, "policy", None)
            view.policy = policy.snapshot(before)  # type: ignore[attr-defined]
            if not self._explores and hasattr(view.policy, "exploration"):  # type: ignore[attr-defined]
                view.policy.exploration = 0.0  # type: ignore[attr-defined]
        with self._ranking:
            self._view = view

    # -- across restarts ---------------------------------------------------------------------------------------------

    def _save(self, checkpoint: Checkpoint) -> None:
        self.agent.save(checkpoint)
        checkpoint.put("endpoint", {"learned": self.learned, "steps": self._steps, "taken_over": self._taken_over})

    def _load(self, checkpoint: Checkpoint) -> None:
        self.agent.load(checkpoint)
        state = checkpoint.get("endpoint")
        self.learned, self._steps = state["learned"], state["steps"]
        self._taken_over = state.get("taken_over", 0)

    def _catch_up(self) -> None:
        """Be where the last process was: the newest checkpoint, and the events since then, learned once more."""
        if self._store is not None:
            self.agent.retrieval.bank.keep_graphs(self._store.graphs)
        self._log.restore(self._load)
        if self._store is not None:
            self._take_over_from(self._store)
            noted = self._store.progress(self._source)
            self._noted = self._log.steps_logged if noted is None else min(noted, self._ledger.last_event)
        for events in batched(self._ledger.events(after=self.learned), MOST_TOGETHER):
            self._apply_all(events)
            self._log.checkpoint(self._steps, self._save)  # what is killed meanwhile, again and again, comes on too
        self.agent.retrieval.bank.wait()

    def _take_over_from(self, store: Store) -> None:
        """Hold the cases that others have put into the bank on disk, all of them or those since the last start."""
        bank, found = self.agent.retrieval.bank, store.contents(after=self._taken_over)
        theirs = [i for i, entry in enumerate(found.entries) if entry.source != self._source]
        ours = {case.key for case in bank.cases} if theirs else set()
        new = [i for i in theirs if found.entries[i].key not in ours]
        vectors = None if found.vectors is None else found.vectors[new]
        bank.start_from(replace(found, entries=[found.entries[i] for i in new], vectors=vectors), str(store.path))
        self._taken_over = store.last_id

    def close(self) -> None:
        """Learn what waits, and save it."""
        self._asked.put(None)
        self._thread.join()
        if self.failure is None:
            self._log.checkpoint(self._steps, self._save, now=True)
        self._log.close()
        if self._store is not None:
            self._store.close()


def step_of(answered: Answered, event: Event, number: int) -> Step:
    """The step that feedback completes. What was not shown (holdout, shadow) is not in it: the bit says nothing of it.

    Its number is that of the feedback, as the order of a bank is that of what was learned.
    """
    step = Step(number, answered.query, output=answered.output, reward=event.reward)
    if answered.group == "cases":
        cases = [Case(**case) for case in answered.cases]
        step.show(cases, answered.scores, unpack(answered))  # type: ignore[arg-type]
    step.metrics["feedback/seconds"] = round(event.time - answered.time, 6)
    step.prompt_tokens, step.completion_tokens = answered.prompt_tokens, answered.completion_tokens
    step.calls, step.llm_seconds, step.agent_seconds = 1, answered.seconds, answered.agent_seconds
    step.finish_reason, step.prompt_sha256 = answered.finish_reason, answered.prompt_sha256
    return step


def pack(step: Step) -> tuple[dict[str, Any] | None, bytes | None]:
    """The features that the shown cases were ranked by, to be kept with the request."""
    if not isinstance(step.arms, Phi):
        return None, None
    rows = step.arms.rows.detach().cpu().contiguous()
    about = {"dtype": str(rows.dtype).partition(".")[2], "shape": list(rows.shape), "version": step.arms.version}
    about |= {"beside": list(step.arms.beside)} if step.arms.beside else {}
    return about, rows.numpy().tobytes()


def unpack(answered: Answered) -> Phi | None:
    """What `pack` has kept."""
    if answered.phi is None or answered.arms is None:
        return None
    dtype = getattr(torch, answered.phi["dtype"])
    rows = torch.frombuffer(bytearray(answered.arms), dtype=dtype).reshape(answered.phi["shape"])
    return Phi(rows, answered.phi["version"], tuple(answered.phi.get("beside", ())))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`; the last may be shorter."""
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def as_dict(case: Case) -> dict[str, Any]:
    """A case with all its fields."""
    return dataclasses.asdict(case)


def now() -> str:
    """This moment in UTC, as a bank says when a case was retained."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
