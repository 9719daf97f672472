"""httpx2's transport for direct connections, on plain sockets that are kept alive.

One pool for each origin, last in first out, shared by all threads. A connection that
the host has closed meanwhile is noticed before use; one that dies before the first
byte of an answer is replaced once, for these requests may be repeated (RFC 9110 §9.2.2).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import httpx2

from mirror.errors import SourceError
from mirror.sources.body import SocketStream
from mirror.sources.connection import Connection
from mirror.wire.message import framing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from mirror.wire.message import Framing, Head

#: Extension of a response under which its ``SocketStream`` is found; httpx2 wraps ``Response.stream``.
STREAM = "socket_stream"
#: Extension of a response under which its header is found as ``Fields``.
FIELDS = "fields"
#: Idle connections kept for one origin.
_KEPT = 32
_PORTS = {"http": 80, "https": 443}


class DirectTransport(httpx2.BaseTransport):
    """Send ``GET`` and ``HEAD`` requests without a proxy.

    Args:
        tls: Gives the TLS context; called at the first https request, since loading CAs takes 20 ms.

    Every error is one of httpx2's, also while the body is read.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._lock = threading.RLock()  # ``close`` may be called from a signal handler
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}
        self._live: set[Connection] = set()
        self._closed = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request`` and return its response as soon as the head is here.

        Raises:
            httpx2.LocalProtocolError: The request cannot be written down.
            httpx2.ConnectError, httpx2.ConnectTimeout: The origin is not reached.
            httpx2.ReadTimeout, httpx2.WriteTimeout: It does not go on.
            httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError: The connection or the answer is broken.
        """
        message = _written(request)
        url = request.url
        key = (url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme, 0))
        timeouts = request.extensions.get("timeout", {})
        connection = self._kept(key) or self._dialled(key, timeouts.get("connect"))
        try:
            head, frame = self._ask(connection, message, request.method, timeouts.get("read"))
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            if not connection.reused or connection.answered:
                raise
            connection = self._dialled(key, timeouts.get("connect"))
            head, frame = self._ask(connection, message, request.method, timeouts.get("read"))

        def give_back(connection: Connection, reusable: bool) -> None:
            self._put(key, connection) if reusable else self._drop(connection)

        stream = SocketStream(connection, frame, give_back)
        return httpx2.Response(
            head.status,
            headers=head.pairs,
            stream=stream,
            extensions={
                "http_version": b"HTTP/1.%d" % head.minor,
                "reason_phrase": head.reason,
                STREAM: stream,
                FIELDS: head.fields,
            },
        )

    def _ask(self, connection: Connection, message: bytes, method: str, timeout: float | None) -> tuple[Head, Framing]:
        try:
            connection.send(message, timeout=timeout)
            head = connection.read_head()
            return head, framing(head, method)
        except SourceError as error:
            self._drop(connection)
            raise httpx2.RemoteProtocolError(str(error)) from error
        except BaseException:
            self._drop(connection)
            raise

    def _kept(self, key: tuple[str, str, int]) -> Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(key)
                if not idle:
                    return None
                connection = idle.pop()
            if connection.is_idle():
                return connection
            self._drop(connection)

    def _dialled(self, key: tuple[str, str, int], timeout: float | None) -> Connection:
        scheme, host, port = key
        connection = Connection()
        with self._lock:
            if self._closed:
                raise httpx2.ConnectError("the transport is closed")
            self._live.add(connection)
        try:
            connection.dial(host, port, timeout=timeout, tls=self._tls if scheme == "https" else None)
        except BaseException:
            self._drop(connection)
            raise
        return connection

    def _put(self, key: tuple[str, str, int], connection: Connection) -> None:
        connection.reused = True
        with self._lock:
            idle = self._idle.setdefault(key, [])
            if not self._closed and len(idle) < _KEPT:
                idle.append(connection)
                return
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            self._live.discard(connection)
        connection.close()

    def close(self) -> None:
        """Close every connection, from any thread; requests and bodies under way fail at once."""
        with self._lock:
            self._closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()
            self._live.difference_update(idle)
            under_way = list(self._live)
        for connection in idle:
            connection.close()
        for connection in under_way:
            connection.abort()


def _written(request: httpx2.Request) -> bytes:
    """Return the bytes of a request, so that one write sends it whole."""
    if request.method not in {"GET", "HEAD"}:
        raise httpx2.LocalProtocolError(f"{request.method} is not sent from here")
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    for name, value in request.headers.raw:
        if b"\n" in value or b"\r" in value:
            raise httpx2.LocalProtocolError("a header with a line break")
        lines.append(b"%b: %b" % (name, value))
    lines.append(b"\r\n")
    return b"\r\n".join(lines)
