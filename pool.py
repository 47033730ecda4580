"""Several steps at once: answered by worker threads, handed back in the order of the stream.

A step is answered and scored on an instance of the task of its own, so nothing of a step in flight lies where another
one could see it; what is learned from it is learned by whoever takes it from here, one after the other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from queue import SimpleQueue
from types import TracebackType

from env.base import Env
from step import Step

AHEAD = 4  # times as many steps as workers may be done or waiting behind one that takes long


class Pool:
    """Workers that answer steps.

    Args:
        env: the task, which workers take further instances of; where it has none, there are no workers, and steps are
            answered one after another.
        size: how many are to be under way at once.
        answer: has a step answered and scored, on `step.env`.
        cancel: gives up the requests that are on their way, when the block of the pool ends in an exception.
        waiting: the context in which answers are waited for.
    """

    def __init__(
        self,
        env: Env,
        size: int,
        answer: Callable[[Step], None],
        cancel: Callable[[], None] = lambda: None,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._env = env
        self._answer = answer
        self._cancel = cancel
        self._waiting = waiting
        first = env.another() if size > 1 else None
        self.size = 1 if first is None else size
        self._instances: SimpleQueue[Env] = SimpleQueue()  # those that no step is on
        if first is not None:
            self._instances.put(first)
        self._made = 1
        self._making = threading.Lock()
        self._workers = ThreadPoolExecutor(self.size, "answers")  # its threads start when they are needed

    def answered(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The steps in their order, each answered; those after it are under way meanwhile.

        Raises what answering a step has raised, once those before it were handed out.
        """
        if self.size == 1:
            for step in steps:
                self._env.place(step.number, step.turns)
                self._answer(step)
                yield step
            return
        begun: deque[tuple[Step, Future[None]]] = deque()
        for step in steps:
            begun.append((step, self._begin(step)))
            while begun and (begun[0][1].done() or len(begun) >= AHEAD * self.size):
                yield self._take(begun)
        while begun:
            yield self._take(begun)

    def _begin(self, step: Step) -> Future[None]:
        if not step.replayed:
            return self._workers.submit(self._work, step)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _take(self, begun: deque[tuple[Step, Future[None]]]) -> Step:
        step, future = begun.popleft()
        with self._waiting() if not future.done() else nullcontext():
            future.result()
        self._env.place(step.number, step.turns)
        return step

    def _work(self, step: Step) -> None:
        step.env = env = self._instance()
        try:
            env.place(step.number)
            self._answer(step)
        finally:
            step.env = None
            self._instances.put(env)

    def _instance(self) -> Env:
        """One that no step is on; there are as many as workers, made when they are first needed."""
        with self._making:
            if self._instances.empty() and self._made < self.size:
                made = self._env.another()
                assert made is not None  # there was a first
                self._made += 1
                return made
        return self._instances.get()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._cancel()
        with self._waiting():
            self._workers.shutdown(cancel_futures=True)


class Turns:
    """Lets runs that are played beside each other, each in a thread, work one at a time while others wait for answers.

    What they share (encoders, torch's random state, the terminal) so needs no locks of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def mine(self) -> Iterator[None]:
        with self._lock:
            yield

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let others work meanwhile."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
