"""Work that waits is done together: what comes while a batch is under way makes the next one.

So nothing waits for company; and the more there is to do, the larger are the batches, and the less each item costs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """A thread that works on what it is handed, in the order in which that came.

    Args:
        work: takes a batch, and sets the result or the exception of each item's future.
        most: items in a batch.
    """

    def __init__(self, work: Callable[[list[tuple[T, Future[R]]]], None], most: int, name: str) -> None:
        self._work, self._most = work, most
        self._waiting: queue.SimpleQueue[tuple[T, Future[R]] | None] = queue.SimpleQueue()
        # a daemon: a process that is ended twice does not wait for it
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: T) -> Future[R]:
        """What will be the result of `item`; from any thread."""
        future: Future[R] = Future()
        self._waiting.put((item, future))
        return future

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < self._most and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                batch.append(following)
            batch = [each for each in batch if each[1].set_running_or_notify_cancel()]
            if not batch:
                continue
            try:
                self._work(batch)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)

    def close(self) -> None:
        """Finish what waits."""
        self._waiting.put(None)
        self._thread.join()
