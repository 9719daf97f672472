"""How patient, how polite and how wide a transfer is; and the clock it goes by."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mirror.transfer.cores import Cores
from mirror.transfer.limits import HostLimits, RateLimit
from mirror.transfer.ring import SPARE

if TYPE_CHECKING:
    from collections.abc import Callable


def _sleep(seconds: float, stop: threading.Event) -> None:
    stop.wait(seconds)


def _random() -> float:
    import random  # no pull that goes well needs it

    return random.random()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a transfer may do; one for a whole pull.

    Attributes:
        stall: Seconds without a byte after which a connection counts as dead.
        connect: Seconds that a connection may take to open.
        attempts: Attempts in a row that may bring no new byte.
        restarts: Times that bytes may be thrown away and fetched again.
        backoff: Seconds of the first pause; each further one is twice as long.
        backoff_cap: The longest pause of our own, in seconds.
        retry_after_cap: The longest pause that a source may ask for, in seconds.
        max_ranges: Connections at once for one large file.
        small: Files up to so many bytes are fetched into memory.
        rate: Limit of the sum of all transfers, if any.
        hosts: Limits of requests to one host.
        spare: Buffers that its transfers share beyond the two that each has.
        cores: Who of them may hash in threads.
        clock: Seconds, never going back.
        now: The time of day, aware, UTC.
        sleep: Waits so many seconds, or until the event is set.
        random: A number from 0 up to 1, for jitter.
    """

    stall: float = 60.0
    connect: float = 10.0
    attempts: int = 6
    restarts: int = 3
    backoff: float = 0.5
    backoff_cap: float = 30.0
    retry_after_cap: float = 300.0
    max_ranges: int = 8
    small: int = 1 << 20
    rate: RateLimit | None = None
    hosts: HostLimits = field(default_factory=HostLimits)
    spare: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(SPARE))
    cores: Cores = field(default_factory=Cores)
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _now
    sleep: Callable[[float, threading.Event], None] = _sleep
    random: Callable[[], float] = _random
