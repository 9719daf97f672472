"""A pool that grows while waiting is what takes the time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from mirror.sync.pool import TICK, Growth, Pool

if TYPE_CHECKING:
    from collections.abc import Callable


def test_every_item_is_done_once() -> None:
    done: list[int] = []
    Pool(done.append, jobs=8, stop=threading.Event()).run(range(1000))
    assert sorted(done) == list(range(1000))


def test_waiting_work_gets_many_threads_and_never_more_than_allowed() -> None:
    under_way, most = 0, 0
    lock = threading.Lock()

    def wait(item: int) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1

    Pool(wait, jobs=6, stop=threading.Event()).run(range(60))
    assert 3 <= most <= 6


def test_an_error_stops_the_pool_and_is_raised() -> None:
    stop = threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        if item == 3:
            raise OSError("full")
        done.append(item)
        time.sleep(0.001)

    with pytest.raises(OSError, match="full"):
        Pool(work, jobs=2, stop=stop).run(range(10_000))
    assert stop.is_set()
    assert len(done) < 10_000


def test_a_stop_lets_no_further_item_begin() -> None:
    stop = threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        done.append(item)
        if item == 5:
            stop.set()

    Pool(work, jobs=1, stop=stop).run(range(100))
    assert done == list(range(6))


def test_nothing_to_do_starts_no_thread() -> None:
    before = threading.active_count()
    Pool(print, jobs=4, stop=threading.Event()).run([])
    assert threading.active_count() == before


def test_a_thread_that_cannot_end_does_not_hold_up_an_error() -> None:
    stuck = threading.Event()

    def work(item: int) -> None:
        if item:
            raise OSError("full")
        stuck.wait(30)

    begun = time.monotonic()
    with pytest.raises(OSError, match="full"):
        Pool(work, jobs=2, stop=threading.Event()).run(range(2))
    assert time.monotonic() - begun < 10
    stuck.set()


def grown(share: float, rate: Callable[[int], float], *, ticks: int = 100, most: int = 32) -> int:
    """Return how many threads the rule comes to where they use ``share`` of a core and do ``rate`` items a second."""
    rule, threads, done, now = Growth((0.0, 0.0)), 1, 0.0, (0.0, 0.0)
    for _ in range(ticks):
        now = (now[0] + TICK, now[1] + share * TICK)
        done += rate(threads) * TICK
        if not rule.over:
            threads = min(most, threads + rule.look(now, threads, int(done)))
    return threads


@pytest.mark.parametrize(
    ("share", "rate", "threads"),
    [
        (0.02, lambda threads: 50 * threads, 32),  # 20 ms away: each thread does as much as the first
        (0.02, lambda threads: 2 * threads, 32),  # across the world
        (0.7, lambda threads: 3000, 1),  # near: the interpreter is what is busy
        (0.2, lambda threads: 300, 6),  # a machine that is busy with other work: more threads did not help
        (0.01, lambda threads: 0, 32),  # nobody has answered yet
    ],
)
def test_threads_are_added_where_they_help(share: float, rate: Callable[[int], float], threads: int) -> None:
    assert grown(share, rate) == threads
