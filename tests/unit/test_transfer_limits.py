"""Limits shared by all transfers: bytes a second, and requests to one host."""

from __future__ import annotations

import threading

import pytest

from mirror.stopping import Stop, TransferStopped, abortable
from mirror.transfer.limits import HostLimits, RateLimit


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_the_sum_keeps_to_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(1000, clock=clock, sleep=clock.sleep)
    for _ in range(50):
        limit.take(100)
    assert clock.now - 100.0 == pytest.approx(5.0, abs=0.2)


def test_time_that_nobody_used_is_no_burst_later() -> None:
    clock = Clock()
    limit = RateLimit(1000, clock=clock, sleep=clock.sleep)
    clock.now += 3600
    begun = clock.now
    for _ in range(10):
        limit.take(100)
    assert clock.now - begun == pytest.approx(0.9)


def test_no_single_wait_is_long_when_reads_are_of_the_grain() -> None:
    clock, waits = Clock(), []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.sleep(seconds)

    limit = RateLimit(200_000, clock=clock, sleep=sleep)
    for _ in range(30):
        limit.take(limit.grain)
    assert max(waits) <= 0.11


def test_many_threads_share_one_rate() -> None:
    lock, total = threading.Lock(), [0.0]

    def sleep(seconds: float) -> None:
        with lock:
            total[0] = max(total[0], seconds)

    limit = RateLimit(1000, clock=lambda: 0.0, sleep=sleep)

    def read() -> None:
        for _ in range(10):
            limit.take(10)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 800 bytes are booked on one line of time: the last of them is due after 0.8 s.
    assert total[0] == pytest.approx(0.8)


def test_a_rate_of_nothing_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="moves nothing"):
        RateLimit(0)


def test_a_host_gets_no_more_requests_than_allowed_and_another_its_own() -> None:
    limits = HostLimits(2)
    assert [limits.enter("a"), limits.enter("a"), limits.enter("a")] == [True, True, False]
    assert limits.enter("b")
    limits.leave("a")
    assert limits.enter("a")


def test_a_host_that_complains_is_left_alone_and_asked_for_less_afterwards() -> None:
    clock = Clock()
    limits = HostLimits(8, clock=clock)
    limits.complained("a", 30.0)
    assert limits.quiet("a") == 30.0
    assert not limits.enter("a")
    assert limits.enter("b")
    clock.now += 30.0
    assert [limits.enter("a") for _ in range(5)] == [True] * 4 + [False]


def test_a_host_that_answers_again_gets_more_again() -> None:
    clock = Clock()
    limits = HostLimits(2, clock=clock)
    limits.complained("a", 0.0)
    for _ in range(16):
        limits.answered("a")
    assert [limits.enter("a") for _ in range(3)] == [True, True, False]


def test_a_host_is_mute_once_it_was_given_up_and_until_it_answers_anything() -> None:
    limits = HostLimits()
    assert not limits.is_mute("a")
    limits.give_up("a")
    assert limits.is_mute("a")
    assert not limits.is_mute("b")
    limits.refused("a")
    assert not limits.is_mute("a")
    limits.give_up("a")
    assert not limits.is_mute("a"), "it has answered before: it may do so again"


def test_whoever_waits_for_a_host_goes_on_when_somebody_leaves() -> None:
    limits, stop = HostLimits(1), threading.Event()
    limits.wait("a", stop)
    waiter = threading.Thread(target=limits.wait, args=("a", stop))
    waiter.start()
    assert waiter.is_alive()
    limits.leave("a")
    waiter.join(2.0)
    assert not waiter.is_alive()


def test_whoever_waits_for_a_host_can_be_stopped() -> None:
    limits, stop = HostLimits(1), threading.Event()
    limits.wait("a", stop)
    stop.set()
    with pytest.raises(TransferStopped):
        limits.wait("a", stop)


def test_a_stop_aborts_what_is_open_and_what_is_opened_later_but_not_what_is_over() -> None:
    stop, aborted = Stop(), []
    with abortable(stop, lambda: aborted.append("over")):
        pass
    with abortable(stop, lambda: aborted.append("open")):
        stop.set()
        with abortable(stop, lambda: aborted.append("later")):
            pass
    assert aborted == ["open", "later"]


def test_a_plain_event_stops_as_well() -> None:
    stop = threading.Event()
    with abortable(stop, stop.clear):
        stop.set()
    assert stop.is_set()


def test_requests_under_way_can_be_counted() -> None:
    limits = HostLimits(8)
    limits.enter("a")
    limits.enter("a")
    limits.leave("a")
    assert (limits.open("a"), limits.open("b")) == (1, 0)
