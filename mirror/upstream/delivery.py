"""An answer's way over the socket, exact to the byte.

Header and small body go out in one send with TCP_NODELAY, so that a keep-alive
connection never waits 40 ms for a delayed acknowledgement. A cut sends exactly the bytes
it says and then FIN; a reset waits until the client's kernel has them, then RST.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from mirror.upstream.http import Answer
    from mirror.upstream.journal import Exchange

#: Body bytes that are joined to the header, and the size of one counted send.
_TOGETHER = 65536
_SLICE = 1 << 20
#: A dripping body comes in this many slices a second.
_DRIPS = 20
_LINGER = 2.0


def deliver(sock: socket.socket, answer: Answer, exchange: Exchange, *, head_only: bool, stop: threading.Event) -> bool:
    """Send ``answer``; return whether the connection may serve another request.

    Raises:
        OSError: The client went away; what it got is in ``exchange.sent``.
    """
    way = answer.delivery
    if way.delay and _waits(sock, way.delay, stop):
        return False
    head = answer.head()
    if head_only:
        sock.sendall(head)
        return _end(sock, way.ending, stop)
    limit = way.stop_after
    body = answer.body if limit is None else answer.body[:limit]
    if way.rate is None and way.chunk is None:
        _send_whole(sock, head, body, exchange)
    else:
        sock.sendall(head)
        for piece in _pieces(body, answer, stop):
            _send_piece(sock, piece, exchange, chunked=way.chunk is not None)
        if way.chunk is not None and limit is None:
            sock.sendall(b"0\r\n\r\n")
    return _end(sock, way.ending, stop)


def _send_whole(sock: socket.socket, head: bytes, body: memoryview, exchange: Exchange) -> None:
    """Send header and the first of the body at once, then the rest in counted slices."""
    sock.sendall(head + body[:_TOGETHER])
    exchange.sent += min(body.nbytes, _TOGETHER)
    for start in range(_TOGETHER, body.nbytes, _SLICE):
        piece = body[start : start + _SLICE]
        while piece:
            sent = sock.send(piece)
            exchange.sent += sent
            piece = piece[sent:]


def _send_piece(sock: socket.socket, piece: memoryview, exchange: Exchange, *, chunked: bool) -> None:
    sock.sendall(b"%x\r\n%b\r\n" % (piece.nbytes, bytes(piece)) if chunked else piece)
    exchange.sent += piece.nbytes


def _pieces(body: memoryview, answer: Answer, stop: threading.Event) -> Iterator[memoryview]:
    """Cut the body, and what is repeated after it, as rate and chunk size ask."""
    way = answer.delivery
    size = way.chunk or max(int((way.rate or 0) / _DRIPS), 1)
    filler = memoryview(b"\0" * size)
    filled = max(way.filler - body.nbytes, 0)
    begin, given = time.monotonic(), 0
    for source, length in ((body, body.nbytes), (None, filled)):
        for start in range(0, length, size):
            # The first slice is due at once and the pause follows, so a byte never comes early.
            if way.rate and stop.wait(max(begin + given / way.rate - time.monotonic(), 0)):
                return
            piece = source[start : start + size] if source is not None else filler[: length - start]
            yield piece
            given += piece.nbytes


def _end(sock: socket.socket, ending: str, stop: threading.Event) -> bool:
    """Do with the connection what the answer says; return whether it is still good."""
    if ending == "keep":
        return True
    if ending == "stall":
        _waits(sock, 3600.0, stop)
    elif ending == "reset":
        reset(sock)
    else:
        hang_up(sock)
    return False


def _waits(sock: socket.socket, seconds: float, stop: threading.Event) -> bool:
    """Be silent for ``seconds``; return early, and True, when client or server gives up."""
    deadline = time.monotonic() + seconds
    try:
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            sock.settimeout(min(left, 0.5))
            with contextlib.suppress(TimeoutError):
                # A client that waits for an answer says nothing: what comes is its farewell.
                if not sock.recv(1, socket.MSG_PEEK if type(sock) is socket.socket else 0):
                    return True
                stop.wait(0.05)
    finally:
        sock.settimeout(None)
    return stop.is_set()


def reset(sock: socket.socket) -> None:
    """Send RST, once every byte sent before has been acknowledged by the client's kernel."""
    deadline = time.monotonic() + _LINGER
    while _unacknowledged(sock) and time.monotonic() < deadline:
        time.sleep(0.001)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _unacknowledged(sock: socket.socket) -> int:
    """Return the bytes in the send queue (Linux ``SIOCOUTQ``, which is ``TIOCOUTQ``)."""
    answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def hang_up(sock: socket.socket) -> None:
    """Send FIN and wait for the client's, so that nothing in flight is lost to an RST."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(_LINGER)
        while sock.recv(_TOGETHER):
            pass
    sock.close()
