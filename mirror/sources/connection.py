"""One socket to one origin: dialled, written to, read from, and shut from another thread.

Everything that goes wrong comes out as one of httpx2's own errors, with the socket's
error as its cause. Reading goes through one small buffer, which holds the head of a
response; bodies pass it by, straight from the socket into the caller's memory.
"""

from __future__ import annotations

import select
import socket
import ssl
from typing import TYPE_CHECKING

import httpx2

from mirror.errors import SourceError
from mirror.wire.message import END_OF_HEAD, MAX_HEAD, Head, parse_head

if TYPE_CHECKING:
    from collections.abc import Callable

#: Informational responses that are skipped before the real one; a host that sends more is not answering.
_MAX_INFORMATIONAL = 20


class Connection:
    """A connection to one origin.

    Attributes:
        answered: Whether a byte of the response to the last request has come.
        reused: Whether an earlier request has been answered on it.
    """

    def __init__(self) -> None:
        self.answered = False
        self.reused = False
        self._sock: socket.socket | None = None
        self._aborted = False
        self._timeout: float | None = None
        self._buffer = bytearray(MAX_HEAD)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def dial(self, host: str, port: int, *, timeout: float | None, tls: Callable[[], ssl.SSLContext] | None) -> None:
        """Connect to the first address of ``host`` that answers, and agree on TLS when ``tls`` gives a context.

        Raises:
            httpx2.ConnectTimeout: Nobody answered within ``timeout`` seconds an address.
            httpx2.ConnectError: The name has no address, the port is closed, or TLS failed; the cause tells which.
        """
        try:
            self._connect(host, port, timeout)
            if tls is not None:
                assert self._sock is not None
                self._hold(tls().wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False))
                assert isinstance(self._sock, ssl.SSLSocket)
                self._sock.do_handshake()
        except TimeoutError as error:
            self.close()
            raise httpx2.ConnectTimeout(f"no answer within {timeout} s") from error
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA refuses
            self.close()
            raise httpx2.ConnectError(str(error)) from error

    def _connect(self, host: str, port: int, timeout: float | None) -> None:
        failure: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(timeout)
            self._timeout = timeout
            self._hold(sock)
            try:
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
            else:
                # A request is one small write; without this it may wait for the answer to the last one (RFC 896).
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return
        raise failure

    def _hold(self, sock: socket.socket) -> None:
        self._sock = sock
        if self._aborted:
            raise ConnectionAbortedError("stopped")

    def send(self, message: bytes, *, timeout: float | None) -> None:
        """Write one whole request; ``timeout`` seconds hold for this and for every read that follows.

        Raises:
            httpx2.WriteTimeout: The host takes nothing.
            httpx2.WriteError: The connection is gone.
        """
        assert self._sock is not None
        self.answered = False
        try:
            if timeout != self._timeout:
                self._sock.settimeout(timeout)
                self._timeout = timeout
            self._sock.sendall(message)
        except TimeoutError as error:
            raise httpx2.WriteTimeout(f"nothing was taken for {timeout} s") from error
        except OSError as error:
            raise httpx2.WriteError(str(error)) from error

    def read_head(self) -> Head:
        """Return the head of the next response; informational ones are skipped.

        Raises:
            httpx2.RemoteProtocolError: The connection ended, or this is no HTTP response.
            httpx2.ReadTimeout, httpx2.ReadError: As ``readinto``.
        """
        for _ in range(_MAX_INFORMATIONAL):
            try:
                head = parse_head(self._head_bytes())
            except SourceError as error:
                raise httpx2.RemoteProtocolError(str(error)) from error
            if head.status >= 200:
                return head
        raise httpx2.RemoteProtocolError("only informational responses come")

    def _head_bytes(self) -> bytes:
        searched = 0
        while (match := END_OF_HEAD.search(self._buffer, self._start + max(0, searched - 3), self._end)) is None:
            searched = self._end - self._start  # a host that drips a byte at a time does not make this quadratic
            if not self._fill():
                raise httpx2.RemoteProtocolError("the connection ended without a response")
            self.answered = True
        data = bytes(self._view[self._start : match.start()])
        self._start = match.end()
        return data

    def readline(self) -> bytes:
        """Return the next line without its end.

        Raises:
            httpx2.RemoteProtocolError: The connection ended within the line, or the line has no end.
            httpx2.ReadTimeout, httpx2.ReadError: As ``readinto``.
        """
        while (at := self._buffer.find(b"\n", self._start, self._end)) < 0:
            if not self._fill():
                raise httpx2.RemoteProtocolError("the connection ended within a chunked body")
        line = bytes(self._view[self._start : at])
        self._start = at + 1
        return line.removesuffix(b"\r")

    def _fill(self) -> int:
        """Read more into the buffer; 0 at the end of the connection."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == MAX_HEAD:
            if self._start == 0:
                raise httpx2.RemoteProtocolError(f"a head or a line of more than {MAX_HEAD} B")
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        count = self._receive(self._view[self._end :])
        self._end += count
        return count

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes into ``buffer`` and return how many; 0 at the end of the connection.

        Raises:
            httpx2.ReadTimeout: No byte came for as long as the timeout of the last request says.
            httpx2.ReadError: The connection was reset, or shut by ``abort``.
        """
        if waiting := self._end - self._start:
            count = min(waiting, len(buffer))
            buffer[:count] = self._view[self._start : self._start + count]
            self._start += count
            return count
        return self._receive(buffer)

    def _receive(self, buffer: memoryview) -> int:
        assert self._sock is not None
        try:
            count = self._sock.recv_into(buffer)
        except TimeoutError as error:
            raise httpx2.ReadTimeout(f"no byte for {self._timeout} s") from error
        except OSError as error:
            raise httpx2.ReadError(str(error)) from error
        if self._aborted:
            raise httpx2.ReadError("stopped")
        return count

    def is_idle(self) -> bool:
        """Whether it can carry another request: nothing was left over, and the host has neither spoken nor closed."""
        if self._sock is None or self._aborted or self._start != self._end:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def abort(self) -> None:
        """End it from another thread: whoever is blocked in a read gets an error at once."""
        self._aborted = True
        if (sock := self._sock) is not None:
            try:
                # The plain socket's method: the one of ``SSLSocket`` takes TLS away from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                return  # never connected, or already closed

    def close(self) -> None:
        """Close the socket; only by the thread that uses it."""
        if self._sock is not None:
            self._sock.close()
