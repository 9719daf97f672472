"""What was asked and what was sent, in memory: tests assert bytes on the wire with it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirror.upstream.http import Request

_KEPT = ("accept-encoding", "if-match", "if-none-match", "if-range", "range", "user-agent", "want-digest")


@dataclass(slots=True)
class Exchange:
    """One request and its answer.

    Attributes:
        host: Role of the host that answered.
        headers: Headers of interest, by lower-case name; never credentials.
        authorized: Whether credentials were sent; not which.
        cookies: Whether a cookie was sent; only the share pages ever set one.
        sent: Body bytes given to the kernel, without chunk framing.
        faults: Names of the faults that struck.
        finished: Whether the answer is out, or given up.
    """

    host: str
    method: str
    path: str
    query: str
    headers: dict[str, str] = field(default_factory=dict)
    authorized: bool = False
    cookies: bool = False
    status: int = 0
    sent: int = 0
    faults: tuple[str, ...] = ()
    finished: bool = False

    @property
    def range(self) -> str | None:
        """The Range header as it was sent."""
        return self.headers.get("range")

    @property
    def if_range(self) -> str | None:
        """The If-Range header as it was sent."""
        return self.headers.get("if-range")


class Journal:
    """Every exchange, in the order of arrival; safe to read while it is written."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self._changed = threading.Condition()
        self.connections = 0

    def connected(self) -> None:
        """Count one accepted connection."""
        with self._changed:
            self.connections += 1

    def opened(self, host: str, request: Request) -> Exchange:
        """Begin an exchange."""
        exchange = Exchange(
            host,
            request.method,
            request.path,
            request.query,
            {name: value for name in _KEPT if (value := request.header(name)) is not None},
            authorized=request.header("authorization") is not None,
            cookies=request.header("cookie") is not None,
        )
        with self._changed:
            self._exchanges.append(exchange)
        return exchange

    def closed(self, exchange: Exchange) -> None:
        """End an exchange: its figures are final."""
        with self._changed:
            exchange.finished = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything so far."""
        with self._changed:
            self._exchanges.clear()
            self.connections = 0

    def all(self, *, settle: float = 5.0) -> list[Exchange]:
        """Return every exchange, waiting up to ``settle`` seconds until none is under way."""
        deadline = time.monotonic() + settle
        with self._changed:
            while any(not one.finished for one in self._exchanges):
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return list(self._exchanges)
