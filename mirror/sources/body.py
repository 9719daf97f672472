"""The body of a response that comes straight from a socket.

``readinto`` puts the bytes into the caller's memory without a copy in between. httpx2's
own path makes three copies and reads 64 KiB at a time: 2.3 times the wall time of a
440 MB body (two cores, loopback, 2026).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mirror.errors import ConnectionDroppedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.sources.connection import Connection
    from mirror.wire.message import Framing

_MAX_TRAILERS = 100


class SocketBody:
    """The body of one response.

    Args:
        connection: Where the bytes come from; nobody else reads it until ``close``.
        framing: Where the body ends.
        give_back: Called once, by ``close``, with whether the connection can carry another request.
    """

    def __init__(self, connection: Connection, framing: Framing, give_back: Callable[[Connection, bool], None]) -> None:
        self._connection = connection
        self._left = framing.length
        self._chunked = framing.chunked
        self._keep_alive = framing.keep_alive
        self._ended = framing.length == 0
        self._give_back: Callable[[Connection, bool], None] | None = give_back
        self._in_chunk = False

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes of the body into ``buffer`` and return how many; 0 at its end.

        Raises:
            ConnectionDroppedError: The connection ended before the body did, or was shut by ``abort``.
            StalledError: No byte came for too long.
            TlsError: A record was not authentic.
            SourceError: The chunks are malformed.
        """
        if self._ended or not buffer:
            return 0
        if self._chunked and not self._left and not self._next_chunk():
            return 0
        count = self._connection.readinto(buffer if self._left is None else buffer[: self._left])
        if self._left is None:
            self._ended = count == 0
            return count
        if count == 0:
            raise ConnectionDroppedError(f"the connection ended {self._left} B before the body")
        self._left -= count
        self._ended = self._left == 0 and not self._chunked
        return count

    def _next_chunk(self) -> bool:
        """Read up to the next chunk's first byte; False at the end of the body (RFC 9112 §7.1)."""
        if self._in_chunk and self._connection.readline():
            raise SourceError("a chunk does not end where it said", transient=True)
        text = self._connection.readline().partition(b";")[0].strip()
        if not 0 < len(text) <= 15 or text.strip(b"0123456789abcdefABCDEF"):
            raise SourceError(f"malformed chunk size {text[:20]!r}", transient=True)
        self._in_chunk = True
        self._left = int(text, 16)
        if self._left:
            return True
        began = time.monotonic()
        for _ in range(_MAX_TRAILERS):
            if not self._connection.readline(began):
                self._ended = True
                return False
        raise SourceError("the trailer of a chunked body does not end", transient=True)

    def close(self) -> None:
        """Let go of the connection; it is kept for another request only when the body was read to its end."""
        if (give_back := self._give_back) is not None:
            self._give_back = None
            give_back(self._connection, self._ended and self._keep_alive)

    def abort(self) -> None:
        """End the body from another thread: a blocked ``readinto`` raises at once."""
        self._connection.abort()
