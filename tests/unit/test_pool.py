"""A pool that grows while waiting is what takes the time."""

from __future__ import annotations

import threading
import time

import pytest

from mirror.sync.pool import Pool


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
