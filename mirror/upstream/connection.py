"""One connection: requests in, answers out, until either side has enough.

Source: RFC 9112 §9 (connection management), §2.2 (message parsing).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mirror.upstream.delivery import deliver
from mirror.upstream.host import REAL_HOSTS, ROLE_OF, SERVER_NAMES
from mirror.upstream.http import Answer, BadRequestError, Request, body_length, http_date, parse_head, plain
from mirror.upstream.mischief import spoil

if TYPE_CHECKING:
    import socket

    from mirror.upstream.journal import Exchange
    from mirror.upstream.server import Server

_HEAD_LIMIT = 65536
_BODY_LIMIT = 1 << 20
_METHODS = ("GET", "HEAD", "POST")


@dataclass(frozen=True, slots=True)
class _Place:
    """Addresses for one request: real names for a client that used one, else ports."""

    server: Server
    real: bool
    ranges: int

    def url(self, role: str) -> str:
        if self.real:
            return f"{self.server.real_scheme}://{REAL_HOSTS[role][0]}"
        return self.server.url(role)


class Connection:
    """One connection: requests in, answers out."""

    def __init__(self, server: Server, sock: socket.socket, role: str) -> None:
        self._server, self._sock, self._role = server, sock, role
        self._buffer = bytearray()
        self._ranges = 0

    def serve_one(self) -> bool:
        """Read and answer one request; return whether another may follow."""
        try:
            request = self._read()
        except BadRequestError as error:
            answer = plain(error.status, f"{error}\n", "text/plain", ("Connection", "close"))
            self._sock.sendall(answer.head() + answer.body)
            return False
        if request is None:
            return False
        role = ROLE_OF.get(request.host, self._role)
        exchange = self._server.journal.opened(role, request)
        try:
            return self._answer(request, role, exchange)
        finally:
            self._server.journal.closed(exchange)

    def _answer(self, request: Request, role: str, exchange: Exchange) -> bool:
        answer = self._reply(request, role, exchange)
        head_only = request.method == "HEAD" or answer.status in {204, 304}
        keeps = request.keeps_alive
        # Persistence goes without saying in HTTP/1.1 only.
        option = "close" if not keeps else "keep-alive" if request.version == "HTTP/1.0" else ""
        answer = _signed(answer, role, option)
        exchange.status = answer.status
        good = deliver(self._sock, answer, exchange, head_only=head_only, stop=self._server.stopping)
        return good and keeps

    def _reply(self, request: Request, role: str, exchange: Exchange) -> Answer:
        if request.method not in _METHODS:
            return plain(405, "method not allowed\n", "text/plain", ("Allow", ", ".join(_METHODS)))
        host = self._server.world.hosts[role]
        place = _Place(self._server, request.host in ROLE_OF, self._ranges)
        self._ranges += request.header("range") is not None
        reply = host.reply(request, place)
        effects = self._server.faults.take(host.names(request), request, role, reply)
        exchange.faults = tuple(effect.name for effect in effects)
        return spoil(effects, request, reply, place)

    def _read(self) -> Request | None:
        """Return the next request, or None when the client is done.

        Raises:
            BadRequestError: What came is no request, or too much of one.
        """
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise BadRequestError("request header too large", status=431)
            if not self._more():
                return None
        head = bytes(self._buffer[:end]).lstrip(b"\r\n")
        del self._buffer[: end + 4]
        request = parse_head(head, scheme=self._server.speaks)
        length = body_length(request, limit=_BODY_LIMIT)
        if length and (request.header("expect") or "").lower() == "100-continue":
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._buffer) < length:
            if not self._more():
                return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return replace(request, body=body)

    def _more(self) -> bool:
        data = self._sock.recv(_HEAD_LIMIT)
        self._buffer += data
        return bool(data)


def _signed(answer: Answer, role: str, connection: str) -> Answer:
    """Return the answer with Date, Server and, where needed, Connection in front."""
    lines = [("Date", http_date()), ("Server", SERVER_NAMES.get(role, "minibert-upstream"))]
    if connection:
        lines.append(("Connection", connection))
    return replace(answer, headers=(*lines, *answer.headers))
