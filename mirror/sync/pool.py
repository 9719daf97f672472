"""A pool of threads that grows while waiting is what takes the time.

A near source answers one thread faster than several, for they share the interpreter
and the cores; a far one is only as fast as the number of requests under way. So the
pool begins small, and grows as long as the processor idles and growing helps.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

#: Seconds between two looks at what the threads do.
TICK = 0.01
#: Processor seconds of this process for every second of wall time above which it works
#: rather than waits: one more thread would only take turns with the others.
_WORKING = 0.25
#: How many times more threads there are, at the most, after a tick of waiting.
_FACTOR = 6
#: By how much more threads must have raised the number of items a second for even more to be tried: on a
#: machine that is busy with other work the processor's share is low as well, and more threads do not help.
_GAIN = 1.2
#: Seconds between two looks once there is nothing more to decide: a look lets a signal in.
_REST = 0.5
#: Seconds that threads get to end after a stop. One that asks the system for a host's
#: address cannot be told; whoever waits for an answer to Ctrl-C must not wait for it.
_FAREWELL = 1.5


class Pool(Generic[T]):
    """Do ``work`` for every item, with at most ``jobs`` threads.

    Args:
        work: Called with each item, in threads; what it raises stops the pool and is raised by ``run``.
        jobs: The most threads at once.
        first: Threads to begin with.
        stop: Set to make threads take no further item.
    """

    def __init__(self, work: Callable[[T], None], *, jobs: int, stop: threading.Event, first: int = 1) -> None:
        self._work = work
        self._jobs = max(1, jobs)
        self._first = min(first, self._jobs)
        self._stop = stop
        self._items: deque[T] = deque()
        self._threads = 0
        self._running = 0
        self._error: BaseException | None = None
        self._ended = threading.Condition()

    def run(self, items: Iterable[T]) -> None:
        """Work until every item is done, or ``stop`` is set and the threads have ended."""
        self._items.extend(items)
        try:
            with self._ended:
                self._start(min(self._first, len(self._items)))
                self._grow_until_the_end()
        except BaseException:
            self._stop.set()
            with self._ended:
                self._ended.wait_for(lambda: not self._running, _FAREWELL)
            raise

    def _grow_until_the_end(self) -> None:
        growth, whole = Growth(_clocks()), len(self._items) + self._running
        while self._running and self._error is None:
            growing = self._items and self._threads < self._jobs and not growth.over
            self._ended.wait(TICK if growing else _REST)
            if growing:
                more = growth.look(_clocks(), self._threads, whole - len(self._items) - self._running)
                self._start(min(more, self._jobs - self._threads, len(self._items)))
        if self._error is not None:
            raise self._error

    def _start(self, count: int) -> None:
        for _ in range(count):
            self._threads += 1
            self._running += 1
            threading.Thread(target=self._take, name=f"pull-{self._threads}", daemon=True).start()

    def _take(self) -> None:
        error: BaseException | None = None
        try:
            while not self._stop.is_set():
                try:
                    item = self._items.popleft()
                except IndexError:
                    return
                self._work(item)
        except BaseException as raised:  # noqa: BLE001 - ``run`` raises it, whatever it is
            error = raised
        finally:
            with self._ended:
                self._running -= 1
                self._error = self._error or error
                if error is not None or not self._running:
                    self._ended.notify_all()


class Growth:
    """The rule of how many threads to add; asked once a tick.

    Args:
        now: The wall clock and the processor time of this process, in seconds.

    Attributes:
        over: Whether more threads have shown not to help.
    """

    def __init__(self, now: tuple[float, float]) -> None:
        self.over = False
        self._before = now
        self._done = 0
        self._since = (self._before[0], 0)
        self._rate = 0.0

    def look(self, now: tuple[float, float], threads: int, done: int) -> int:
        """Return how many threads to add to ``threads`` after this tick, by whose end ``done`` items were done."""
        wall, worked = now[0] - self._before[0], now[1] - self._before[1]
        moving = done > self._done
        self._before, self._done = now, done
        if worked >= _WORKING * wall:
            return 0
        # Where nothing is done in a whole tick, everybody waits; else the last growth must have paid.
        if moving and not self._paid(now[0], threads, done):
            return 0
        self._since = (now[0], done)
        return (_FACTOR - 1) * threads

    def _paid(self, now: float, threads: int, done: int) -> bool:
        """Whether the threads that were added last do more; no as well while too few items are done to tell."""
        began, before = self._since
        if done - before < threads:
            return False
        rate = (done - before) / (now - began)
        self.over = rate < _GAIN * self._rate
        self._rate = rate
        return not self.over


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()
