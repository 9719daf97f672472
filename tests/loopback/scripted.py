"""A server on loopback that follows a script, byte by byte.

A script is a function that is called for every connection, in a thread of its own; it
reads requests and sends whatever bytes it likes. No HTTP library is in the way, so that
everything a host can do wrong can be done here.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True)
class Asked:
    """One request as it came.

    Attributes:
        connection: Number of the connection, from 0.
        line: The request line.
        headers: Header fields by lower-case name.
    """

    connection: int
    line: str
    headers: dict[str, str]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


@dataclass
class Peer:
    """The server's end of one connection."""

    number: int
    sock: socket.socket
    asked: list[Asked]
    stopped: threading.Event = field(repr=False)

    def request(self) -> Asked | None:
        """Read one request; None when the client has gone."""
        head = b""
        while b"\r\n\r\n" not in head:
            try:
                more = self.sock.recv(65536)
            except OSError:
                return None
            if not more:
                return None
            head += more
        line, *rest = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        found = Asked(self.number, line, {k.lower(): v for k, _, v in (each.partition(": ") for each in rest)})
        self.asked.append(found)
        return found

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(data)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hang(self) -> None:
        """Say nothing until the test ends."""
        self.stopped.wait(10)


Script = Callable[[Peer], None]


class Scripted:
    """The server; ``url`` is its base address."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.asked: list[Asked] = []
        self._script, self._tls, self._host = script, tls, host
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._socks: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            thread = threading.Thread(target=self._serve, args=(number, sock), daemon=True)
            self._threads.append(thread)
            thread.start()
            number += 1

    def _serve(self, number: int, sock: socket.socket) -> None:
        sock.settimeout(10)
        with contextlib.suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._socks.append(sock)
            self._script(Peer(number, sock, self.asked, self._stopped))
        sock.close()

    def close(self) -> None:
        self._stopped.set()
        for sock in [self._listener, *self._socks]:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@contextlib.contextmanager
def scripted(script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Scripted]:
    """Run a server for the length of a block."""
    server = Scripted(script, tls, host)
    try:
        yield server
    finally:
        server.close()


def answer(body: bytes = b"", *headers: str, status: str = "200 OK", length: int | None = -1) -> bytes:
    """Return a whole response; ``length`` None leaves Content-Length out, -1 states the body's own."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def always(*responses: bytes) -> Script:
    """Answer the requests of each connection with ``responses``, the last one for ever."""

    def script(peer: Peer) -> None:
        at = 0
        while peer.request() is not None:
            peer.send(responses[min(at, len(responses) - 1)])
            at += 1

    return script


def routes(table: dict[str, bytes]) -> Script:
    """Answer by the request's target; 404 for any other."""

    def script(peer: Peer) -> None:
        while (asked := peer.request()) is not None:
            peer.send(
                table.get(asked.target, answer(b"no such file", "Content-Type: text/plain", status="404 Not Found"))
            )

    return script
