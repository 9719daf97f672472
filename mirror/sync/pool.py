"""A pool of threads that grows while waiting is what takes the time.

A near source answers one thread faster than several, for they share the interpreter
and the cores; a far one is only as fast as the number of requests under way. So the
pool begins small, and multiplies whenever a tick left the processor mostly idle.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

T = TypeVar("T")

#: Seconds between two looks at what the threads do.
TICK = 0.01
#: Processor seconds of this process for every second of wall time above which it works
#: rather than waits: one more thread would only take turns with the others.
_WORKING = 0.5
_FIRST_THREADS = 2
#: How many times more threads there are after a tick of waiting.
_FACTOR = 4
#: Seconds that threads get to end after a stop. One that asks the system for a host's
#: address cannot be told; whoever waits for an answer to Ctrl-C must not wait for it.
_FAREWELL = 1.5


class Pool(Generic[T]):
    """Do ``work`` for every item, with at most ``jobs`` threads.

    Args:
        work: Called with each item, in threads; what it raises stops the pool and is raised by ``run``.
        jobs: The most threads at once.
        stop: Set to make threads take no further item.
    """

    def __init__(self, work: Callable[[T], None], *, jobs: int, stop: threading.Event) -> None:
        self._work = work
        self._jobs = max(1, jobs)
        self._stop = stop
        self._items: deque[T] = deque()

    def run(self, items: Iterable[T]) -> None:
        """Work until every item is done, or ``stop`` is set and the threads have ended."""
        self._items.extend(items)
        runners: list[Future[None]] = []
        executor = ThreadPoolExecutor(self._jobs, thread_name_prefix="pull")
        try:
            fresh = min(_FIRST_THREADS, self._jobs, len(self._items))
            runners += [executor.submit(self._take) for _ in range(fresh)]
            before = _clocks()
            while wait(runners, TICK, FIRST_EXCEPTION).not_done:
                _raise_first_error(runners)
                now = _clocks()
                if _waited(before, now):
                    runners += [executor.submit(self._take) for _ in range(self._growth(len(runners)))]
                before = now
            _raise_first_error(runners)
        except BaseException:
            self._stop.set()
            wait(runners, _FAREWELL)
            raise
        finally:
            executor.shutdown(wait=False)

    def _growth(self, threads: int) -> int:
        """Return how many threads to add after a tick of waiting."""
        return max(0, min((_FACTOR - 1) * threads, self._jobs - threads, len(self._items)))

    def _take(self) -> None:
        while not self._stop.is_set():
            try:
                item = self._items.popleft()
            except IndexError:
                return
            self._work(item)


def _raise_first_error(runners: list[Future[None]]) -> None:
    for runner in runners:
        if runner.done():
            runner.result()


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def _waited(before: tuple[float, float], now: tuple[float, float]) -> bool:
    """Whether the processor was mostly idle between two looks."""
    return now[1] - before[1] < _WORKING * (now[0] - before[0])
