"""Limits that all transfers of a pull share: bytes a second, and requests a host.

Both are safe to use from many threads. Clock and sleep are passed in.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mirror.stopping import TransferStopped

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds of traffic that may come at once, and after which a stop is noticed.
_GRAIN = 0.1
#: Answers that a host gives without complaint before it is asked for one more at a time.
_TRUST = 16


class RateLimit:
    """A token bucket for the sum of all transfers (``--limit-rate``).

    Every reader books its bytes on one time line and sleeps until they are due, so
    the sum is smooth however many readers there are.

    Args:
        bytes_per_second: The rate to keep to.
        clock: Seconds, never going back.
        sleep: Waits so many seconds.

    Raises:
        ValueError: The rate is not positive.
    """

    def __init__(
        self,
        bytes_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if bytes_per_second <= 0:
            raise ValueError(f"a rate of {bytes_per_second} bytes a second moves nothing")
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._due = clock()
        self._lock = threading.Lock()

    @property
    def grain(self) -> int:
        """The most bytes to read at once, so that no single wait is long."""
        return max(1024, int(self._rate * _GRAIN))

    def take(self, count: int) -> None:
        """Wait until ``count`` bytes, which have just come, are paid for."""
        with self._lock:
            now = self._clock()
            # Time that nobody used is forgotten but for one grain: no burst after a pause.
            self._due = max(self._due, now - _GRAIN) + count / self._rate
            wait = self._due - now
        if wait > 0:
            self._sleep(wait)


@dataclass(slots=True)
class _Host:
    """What is known of one host."""

    allowed: int
    open: int = 0
    answers: int = 0
    quiet_until: float = 0.0
    heard: bool = False
    mute: bool = False


class HostLimits:
    """At most so many requests at once to one host; fewer when it complains.

    A host that answers 429 or 503 is left alone by every thread for as long as it
    asks, and gets half the requests afterwards, until it has answered often enough.
    One that answered nothing to all the patience of one file is mute: others ask it once.

    Args:
        per_host: Requests at once to one host.
        clock: Seconds, never going back.
    """

    def __init__(self, per_host: int = 32, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_host = max(1, per_host)
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._changed = threading.Condition()

    def wait(self, host: str, stop: threading.Event) -> None:
        """Take one request to ``host``, as soon as there is room; ``leave`` gives it back.

        Raises:
            TransferStopped: ``stop`` was set meanwhile.
        """
        with self._changed:
            while not self._take(host):
                if stop.is_set():
                    raise TransferStopped
                self._changed.wait(_GRAIN)

    def enter(self, host: str) -> bool:
        """Take one request to ``host`` if there is room at once; ``leave`` gives it back."""
        with self._changed:
            return self._take(host)

    def open(self, host: str) -> int:
        """Return how many requests ``host`` is serving now."""
        with self._changed:
            return self._state(host).open

    def leave(self, host: str) -> None:
        """Give back a request that ``enter`` or ``wait`` took."""
        with self._changed:
            state = self._state(host)
            state.open = max(0, state.open - 1)
            self._changed.notify()

    def answered(self, host: str) -> None:
        """Note that ``host`` gave what it was asked for."""
        with self._changed:
            state = self._state(host)
            state.heard, state.mute = True, False
            state.answers += 1
            if state.answers >= _TRUST and state.allowed < self._per_host:
                state.answers = 0
                state.allowed += 1

    def complained(self, host: str, seconds: float) -> None:
        """Leave ``host`` alone for ``seconds``, and ask it for less at once from then on."""
        with self._changed:
            state = self._state(host)
            state.quiet_until = max(state.quiet_until, self._clock() + seconds)
            state.allowed = max(1, state.allowed // 2)
            state.answers = 0

    def refused(self, host: str) -> None:
        """Note that ``host`` answered, though not with what it was asked for."""
        with self._changed:
            state = self._state(host)
            state.heard, state.mute = True, False

    def give_up(self, host: str) -> None:
        """Note that all patience with ``host`` was in vain; it is mute unless it has ever answered."""
        with self._changed:
            state = self._state(host)
            state.mute = not state.heard

    def is_mute(self, host: str) -> bool:
        """Whether ``host`` has answered nobody, and was given up once."""
        with self._changed:
            return self._state(host).mute

    def quiet(self, host: str) -> float:
        """Return the seconds for which ``host`` wants to be left alone."""
        with self._changed:
            return max(0.0, self._state(host).quiet_until - self._clock())

    def _take(self, host: str) -> bool:
        state = self._state(host)
        if state.open >= state.allowed or state.quiet_until > self._clock():
            return False
        state.open += 1
        return True

    def _state(self, host: str) -> _Host:
        state = self._hosts.get(host)
        if state is None:
            state = self._hosts[host] = _Host(self._per_host)
        return state
