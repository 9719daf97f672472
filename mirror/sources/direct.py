"""Direct connections, on plain sockets that are kept alive: bytes of a request in, an answer out.

One pool for each origin, last in first out, shared by all threads. A connection that
the host has closed meanwhile is noticed before use; one that dies before the first
byte of an answer is replaced once, for these requests may be repeated (RFC 9110 §9.2.2).
A ``POST`` may not, so it always goes over a new connection.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mirror import __version__
from mirror.errors import ConnectionDroppedError, SourceError, StalledError
from mirror.sources.body import SocketBody
from mirror.sources.connection import Connection
from mirror.wire.message import framing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from mirror.wire import Fields

USER_AGENT = f"minibert-mirror/{__version__}"
#: Idle connections kept for one origin.
_KEPT = 32
_PORTS = {"http": 80, "https": 443}
_REPEATABLE = frozenset({"GET", "HEAD"})

#: Scheme, host, and port unless it is the scheme's own.
Origin: TypeAlias = tuple[str, str, int | None]


class Answer(NamedTuple):
    """The head of a response, and its body, which is still to be read.

    Attributes:
        status: Status code.
        reason: Reason phrase as sent.
        fields: Header fields.
        body: Holds the connection until it is closed.
    """

    status: int
    reason: str
    fields: Fields
    body: SocketBody


class Direct:
    """Asks hosts without a proxy.

    Args:
        tls: Gives the TLS context; called at the first https request, since loading CAs takes 20 ms.
        connect: Seconds to wait for a connection.
        stall: Seconds to wait for the next byte.

    Attributes:
        tls, connect, stall: The same.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext], *, connect: float = 10.0, stall: float = 60.0) -> None:
        self.tls = tls
        self.connect = connect
        self.stall = stall
        self._lock = threading.RLock()  # ``close`` may be called from a signal handler
        self._idle: dict[Origin, list[Connection]] = {}
        self._live: set[Connection] = set()
        self._closed = False

    def ask(
        self,
        origin: Origin,
        message: bytes,
        *,
        method: str = "GET",
        connect: float | None = None,
        stall: float | None = None,
    ) -> Answer:
        """Send ``message`` and return the answer as soon as its head is here.

        Args:
            origin: Whom to ask.
            message: The whole request.
            method: Its method; a ``HEAD`` has no body.
            connect: Seconds to wait for a connection; by default ``self.connect``.
            stall: Seconds to wait for the next byte; by default ``self.stall``.

        Raises:
            ConnectionDroppedError: Nobody answers, or the connection ended before the head did.
            StalledError: No byte came for too long.
            NameResolutionError: The host's name has no address here.
            TlsError: The host cannot be trusted.
            SourceError: The answer is malformed.
        """
        stall = self.stall if stall is None else stall
        connection = self._kept(origin) if method in _REPEATABLE else None
        if connection is not None:
            try:
                return self._exchange(connection, message, method, stall)
            except SourceError as error:
                if connection.answered or isinstance(error, StalledError):
                    raise
        fresh = self._dialled(origin, self.connect if connect is None else connect)
        return self._exchange(fresh, message, method, stall)

    def _exchange(self, connection: Connection, message: bytes, method: str, stall: float) -> Answer:
        try:
            connection.send(message, timeout=stall)
            head = connection.read_head()
            body = SocketBody(connection, framing(head, method), self._release)
        except BaseException:
            self._drop(connection)
            raise
        return Answer(head.status, head.reason, head.fields, body)

    def _kept(self, origin: Origin) -> Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                if not idle:
                    return None
                connection = idle.pop()
            if connection.is_idle():
                return connection
            self._drop(connection)

    def _dialled(self, origin: Origin, timeout: float) -> Connection:
        scheme, host, port = origin
        connection = Connection(origin)
        with self._lock:
            if self._closed:
                raise ConnectionDroppedError("stopped before it was asked")
            self._live.add(connection)
        try:
            tls = self.tls if scheme == "https" else None
            connection.dial(host, port or _PORTS.get(scheme, 0), timeout=timeout, tls=tls)
        except BaseException:
            self._drop(connection)
            raise
        return connection

    def _release(self, connection: Connection, reusable: bool) -> None:
        """Take a connection back whose body is closed."""
        with self._lock:
            idle = self._idle.setdefault(connection.origin, [])
            connection.rest()
            if reusable and not self._closed and len(idle) < _KEPT:
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
