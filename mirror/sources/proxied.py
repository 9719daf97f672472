"""The body of a reply that comes through httpx2's own transport."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2


class ProxiedBody:
    """Gives the chunks of ``Response.iter_raw`` through ``readinto``.

    Args:
        response: An open response; whoever opened it closes it.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks: Iterator[bytes] | None = None
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes of the body into ``buffer``; return how many, 0 at its end.

        Raises:
            httpx2.TransportError: As ``Response.iter_raw``.
        """
        if self._chunks is None:
            self._chunks = self._response.iter_raw()
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def abort(self) -> None:
        """Shut the socket from another thread, so that a blocked read ends."""
        shut(self._response)


def shut(response: httpx2.Response) -> None:
    """Shut the socket under a response of httpx2's own transport; a thread that waits on it gets an error.

    Closing the transport does not do that: a closed descriptor leaves the waiting thread where it is.
    """
    stream = response.extensions.get("network_stream")
    sock = stream.get_extra_info("socket") if stream is not None else None
    if isinstance(sock, socket.socket):
        try:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            return  # already closed
