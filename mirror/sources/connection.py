"""One socket to one origin: dialled, written to, read from, and shut from another thread.

Everything that goes wrong comes out as one of our errors, with the socket's error as
its cause; whoever asked adds the address. Reading goes through one small buffer, which holds the head of a
response; bodies pass it by, straight from the socket into the caller's memory.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

from mirror.errors import ConnectionDroppedError, SourceError, StalledError
from mirror.sources.failures import failure
from mirror.wire.message import END_OF_HEAD, MAX_HEAD, Head, parse_head

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from mirror.sources.direct import Origin

#: Informational responses that are skipped before the real one; a host that sends more is not answering.
_MAX_INFORMATIONAL = 20
#: A head, or a line within a body, may take so many times the patience for one byte.
_GRACE = 5
#: Seconds after its last use in which a connection is not asked whether the host has closed it. Should it
#: have, the request is repeated on a fresh one, as always when a connection dies before the answer begins.
_FRESH = 0.1
#: Whether the system itself ends a read that takes too long (SO_RCVTIMEO, socket(7)). Python's own timeout
#: asks with ``poll`` before every read, a tenth of the time of a small file.
_SYSTEM_TIMES = sys.platform.startswith(("linux", "darwin"))
_TIMEVAL = struct.Struct("@ll")


class Connection:
    """A connection to one origin.

    Args:
        origin: Whom it leads to.

    Attributes:
        origin: The same.
        answered: Whether a byte of the response to the last request has come.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.answered = False
        self._sock: socket.socket | None = None
        self._poll = select.poll()
        self._aborted = False
        self._timeout: float | None = None
        self._times: Callable[[float | None], None] | None = None
        self._used_at = 0.0
        self._buffer = bytearray(MAX_HEAD)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def dial(self, host: str, port: int, *, timeout: float | None, tls: Callable[[], ssl.SSLContext] | None) -> None:
        """Connect to the first address of ``host`` that answers, and agree on TLS when ``tls`` gives a context.

        Raises:
            ConnectionDroppedError: Nobody answered within ``timeout`` seconds an address, or the port is closed.
            NameResolutionError: The name has no address.
            TlsError: The host cannot be trusted.
        """
        try:
            self._connect(host, port, timeout)
            if tls is not None:
                assert self._sock is not None
                self._hold(tls().wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False))
                self._sock.do_handshake()  # type: ignore[attr-defined] # what wrap_socket returned
            assert self._sock is not None
            self._poll.register(self._sock, select.POLLIN)
            # Above TLS, a read that the system ends would be an error of the TLS layer.
            self._times = self._sock.settimeout if tls or not _SYSTEM_TIMES else self._time_by_system
            self._times(timeout)
        except TimeoutError as error:
            self.close()
            raise ConnectionDroppedError(f"nobody answers within {timeout} s") from error
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA refuses
            self.close()
            raise failure(error) from error

    def _connect(self, host: str, port: int, timeout: float | None) -> None:
        failure: OSError = OSError("the name has no address")
        # As bytes the name is not looked at by the codec of international names, which takes 3 ms to load.
        name = host.encode() if host.isascii() else host
        for family, kind, protocol, _, address in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
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

    def _time_by_system(self, seconds: float | None) -> None:
        assert self._sock is not None
        self._sock.settimeout(None)
        micros = 0 if seconds is None else max(1, round(seconds * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._sock.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(micros // 10**6, micros % 10**6))

    def send(self, message: bytes, *, timeout: float | None) -> None:
        """Write one whole request; ``timeout`` seconds hold for this and for every read that follows.

        Raises:
            StalledError: The host takes nothing.
            ConnectionDroppedError: The connection is gone.
        """
        assert self._sock is not None
        self.answered = False
        try:
            if timeout != self._timeout:
                assert self._times is not None
                self._times(timeout)
                self._timeout = timeout
            self._sock.sendall(message)
        except (TimeoutError, BlockingIOError) as error:
            raise StalledError(f"nothing was taken for {timeout} s") from error
        except OSError as error:
            raise failure(error) from error

    def read_head(self) -> Head:
        """Return the head of the next response; informational ones are skipped.

        Raises:
            ConnectionDroppedError: The connection ended before the head did, or as ``readinto``.
            StalledError, TlsError: As ``readinto``.
            SourceError: This is no HTTP response.
        """
        for _ in range(_MAX_INFORMATIONAL):
            head = parse_head(self._head_bytes())
            if head.status >= 200:
                return head
        raise SourceError("only informational responses come", transient=True)

    def _head_bytes(self) -> bytes:
        searched, began = 0, time.monotonic()
        while (match := END_OF_HEAD.search(self._buffer, self._start + max(0, searched - 3), self._end)) is None:
            searched = self._end - self._start  # a host that drips a byte at a time does not make this quadratic
            self._hurry(began)
            if not self._fill():
                raise ConnectionDroppedError("the connection ended without a response")
            self.answered = True
        data = bytes(self._view[self._start : match.start()])
        self._start = match.end()
        return data

    def readline(self, began: float | None = None) -> bytes:
        """Return the next line without its end.

        Args:
            began: When the first of the lines was asked for that may take no longer together than one; now by default.

        Raises:
            ConnectionDroppedError: The connection ended within the line, or as ``readinto``.
            StalledError: The line only drips, or as ``readinto``.
            TlsError: As ``readinto``.
            SourceError: The line has no end.
        """
        began = time.monotonic() if began is None else began
        while (at := self._buffer.find(b"\n", self._start, self._end)) < 0:
            self._hurry(began)
            if not self._fill():
                raise ConnectionDroppedError("the connection ended within a chunked body")
        line = bytes(self._view[self._start : at])
        self._start = at + 1
        return line.removesuffix(b"\r")

    def _hurry(self, began: float) -> None:
        """Refuse to wait on: every byte in time does not make an answer in time."""
        if self._timeout is not None and (seconds := time.monotonic() - began) > _GRACE * self._timeout:
            raise StalledError(f"a head or a line only drips: it is not whole after {seconds:.1f} s")

    def _fill(self) -> int:
        """Read more into the buffer; 0 at the end of the connection."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == MAX_HEAD:
            if self._start == 0:
                raise SourceError(f"a head or a line of more than {MAX_HEAD} B", transient=True)
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        count = self._receive(self._view[self._end :])
        self._end += count
        return count

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes into ``buffer`` and return how many; 0 at the end of the connection.

        Raises:
            StalledError: No byte came for as long as the timeout of the last request says.
            ConnectionDroppedError: The connection was reset, or shut by ``abort``.
            TlsError: A record was not authentic.
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
        except (TimeoutError, BlockingIOError) as error:
            raise StalledError(f"no byte for {self._timeout} s") from error
        except OSError as error:
            raise failure(error) from error
        if self._aborted:
            raise ConnectionDroppedError("stopped")
        return count

    def is_idle(self) -> bool:
        """Whether it can carry another request: nothing was left over, and the host has neither spoken nor closed."""
        if self._sock is None or self._aborted or self._start != self._end:
            return False
        return time.monotonic() - self._used_at < _FRESH or not self._poll.poll(0)

    def rest(self) -> None:
        """Note that the response to the last request was read to its end."""
        self._used_at = time.monotonic()

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
