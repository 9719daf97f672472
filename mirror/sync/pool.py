"""A pool of threads that grows while waiting is what takes the time.

A near source answers one thread faster than several (they share the interpreter);
a far one is only as fast as the number of requests under way. So the pool begins
small, and doubles whenever its threads finish few items in one tick.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

T = TypeVar("T")

#: Seconds between two looks at the pace; a thread that finishes fewer than four
#: items in that time is waiting for a host, not working.
TICK = 0.02
_BUSY_ITEMS = 4
_FIRST_THREADS = 2
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
        self._finished = 0

    def run(self, items: Iterable[T]) -> None:
        """Work until every item is done, or ``stop`` is set and the threads have ended."""
        self._items.extend(items)
        runners: list[Future[None]] = []
        executor = ThreadPoolExecutor(self._jobs, thread_name_prefix="pull")
        try:
            fresh = min(_FIRST_THREADS, self._jobs, len(self._items))
            runners += [executor.submit(self._take) for _ in range(fresh)]
            while wait(runners, TICK, FIRST_EXCEPTION).not_done:
                _raise_first_error(runners)
                runners += [executor.submit(self._take) for _ in range(self._growth(len(runners)))]
                self._finished = 0
            _raise_first_error(runners)
        except BaseException:
            self._stop.set()
            wait(runners, _FAREWELL)
            raise
        finally:
            executor.shutdown(wait=False)

    def _growth(self, threads: int) -> int:
        """Return how many threads to add after a tick."""
        if self._finished >= _BUSY_ITEMS * threads:
            return 0
        return min(threads, self._jobs - threads, len(self._items))

    def _take(self) -> None:
        while not self._stop.is_set():
            try:
                item = self._items.popleft()
            except IndexError:
                return
            self._work(item)
            self._finished += 1


def _raise_first_error(runners: list[Future[None]]) -> None:
    for runner in runners:
        if runner.done():
            runner.result()
