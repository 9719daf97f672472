"""When one file is worth several connections: a pure rule.

A second connection is tried only where the first is slow, kept only where the sum of
both is clearly faster, and only then followed by more. On a fast link, where several
connections cost 1.3 times the wall time of one (measured over loopback), it never splits.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Above this rate, in bytes a second (a gigabit link), a second connection is never tried: it would
#: compete with hashing and writing for the same cores. A busy machine can be slow without any cap.
FAST = 120 << 20
#: A rest that one connection brings within so many seconds is not worth another.
WORTH = 0.2
#: Seconds over which a rate is measured at the least; servers that cap a connection send in
#: bursts, nginx one every 50 ms at 40 MB/s.
WINDOW = 0.05
#: How often the latency of a request has to fit into that time.
_LATENCIES = 4
#: By how much another connection has to raise the rate; where each is capped, a second one doubles it.
GAIN = 1.4
#: Seconds until it is tried again after a failure; then twice as long.
_PATIENCE = 2.0


@dataclass(slots=True)
class Widening:
    """The state of the rule for one file.

    Attributes:
        most: Connections that are allowed.
        latency: Seconds from a request to its first byte, as measured on the further connections.
        width: Connections that are wanted now.
    """

    most: int
    latency: float = 0.0
    width: int = 1
    _before: tuple[int, float] | None = None
    _since: float | None = None
    _bytes: int = 0
    _not_before: float = 0.0
    _patience: float = _PATIENCE

    def look(self, now: float, arrived: int, *, missing: int, flowing: int) -> int:
        """Return how many connections are wanted now.

        Args:
            now: The clock, in seconds.
            arrived: Bytes that came on all connections so far.
            missing: Bytes that are still to come.
            flowing: Connections that bring bytes.
        """
        if self._since is None or flowing != self.width:
            # Opening takes time that says nothing of the rate; but a server may also refuse to open.
            self._since, self._bytes = now, arrived
            return self.width
        elapsed = now - self._since
        if elapsed < max(WINDOW, _LATENCIES * self.latency):
            return self.width
        rate = (arrived - self._bytes) / elapsed
        self._since, self._bytes = now, arrived
        self.width = self._judge(now, rate, missing)
        return self.width

    def refuse(self, now: float, flowing: int) -> None:
        """Learn that a connection could not be had: stay with those that flow."""
        self.width = max(1, flowing)
        self._before = None
        self._since = None
        self._wait(now)

    def _judge(self, now: float, rate: float, missing: int) -> int:
        if self._before is not None:
            width, before = self._before
            self._before = None
            if rate < GAIN * before:
                self._wait(now)
                return width
        wider = 2 if self.width == 1 else self.most
        if wider > self.most or wider == self.width or now < self._not_before:
            return self.width
        if rate >= FAST or missing < WORTH * rate:
            return self.width
        self._before = (self.width, rate)
        return wider

    def _wait(self, now: float) -> None:
        self._not_before = now + self._patience
        self._patience *= 2
