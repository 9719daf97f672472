"""The sockets: one listening port per host, a thread per connection.

Each port is one host; a request that names a real one (``Host: huggingface.co``, or an
absolute address as proxies get it) is answered as that host on whatever port it came.
Loopback only.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

from mirror.upstream.connection import Connection
from mirror.upstream.delivery import hang_up
from mirror.upstream.faults import Script
from mirror.upstream.host import REAL_HOSTS, ROLE_OF, ROLES, Host
from mirror.upstream.journal import Exchange, Journal

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping
    from typing import Any

_LOOPBACK = "127.0.0.1"


class Hosts(Protocol):
    """Anything with a host for every role; a ``World`` is one."""

    @property
    def hosts(self) -> Mapping[str, Host]:
        """The hosts by role."""


class Server:
    """The hosts of a world on loopback ports; a context manager.

    Args:
        world: What the hosts answer with.
        faults: A fault script, as JSON values or parsed.
        port: Port of the hub; the others get free ones. 0 is a free one too.
        tls: Makes every port speak TLS.
        scheme: What addresses in answers to real host names start with, where a test's
            proxy ends TLS itself; by default what the port speaks.
    """

    def __init__(
        self,
        world: Hosts,
        *,
        faults: Script | Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        scheme: str | None = None,
    ) -> None:
        self.world = world
        self.faults = faults if isinstance(faults, Script) else Script.parse(faults)
        self.journal = Journal()
        self.real_scheme = scheme or ("https" if tls else "http")
        self._tls = tls
        self._stop = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._ports: dict[str, int] = {}
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        for role in ROLES:
            self._listen(role, port if role == "hub" else 0)

    def _listen(self, role: str, port: int) -> None:
        listener = socket.create_server((_LOOPBACK, port), backlog=512)
        self._ports[role] = listener.getsockname()[1]
        self._selector.register(listener, selectors.EVENT_READ, role)

    def url(self, role: str, path: str = "") -> str:
        """Return ``scheme://127.0.0.1:port`` of a host, and ``path`` after it."""
        return f"{'https' if self._tls else 'http'}://{_LOOPBACK}:{self._ports[role]}{path}"

    def port(self, role: str) -> int:
        """Return the port of a host."""
        return self._ports[role]

    def rewrite(self, url: str) -> str:
        """Return the address here of what a real address names; others are left alone."""
        parts = urlsplit(url)
        role = ROLE_OF.get(parts.hostname or "")
        if role is None:
            return url
        return self.url(role, parts.path + (f"?{parts.query}" if parts.query else ""))

    @property
    def host_map(self) -> dict[str, tuple[str, int]]:
        """Loopback address and port of every real host name, for clients that map hosts."""
        return {name: (_LOOPBACK, self._ports[role]) for role, names in REAL_HOSTS.items() for name in names}

    def requests(self, *, settle: float = 5.0) -> list[Exchange]:
        """Return every exchange so far, once none is under way (or ``settle`` seconds on)."""
        return self.journal.all(settle=settle)

    def start(self) -> Self:
        """Begin to accept connections."""
        accepting = threading.Thread(target=self._accept, name="upstream", daemon=True)
        self._threads.append(accepting)
        accepting.start()
        return self

    def close(self) -> None:
        """Close every port and connection and wait for their threads."""
        self._stop.set()
        self._waker.send(b"x")
        with self._lock:
            still_open = list(self._open)
        for sock in still_open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5.0)
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._waker.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select():
                if key.data is None or not isinstance(key.fileobj, socket.socket):
                    continue
                with contextlib.suppress(OSError):
                    sock, _ = key.fileobj.accept()
                    self._serve_in_thread(sock, key.data)

    def _serve_in_thread(self, sock: socket.socket, role: str) -> None:
        self.journal.connected()
        thread = threading.Thread(target=self._serve, args=(sock, role), name=f"upstream-{role}", daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
            self._open.add(sock)
        thread.start()

    def _serve(self, sock: socket.socket, role: str) -> None:
        """Serve one connection until either side has enough."""
        spoken = sock
        # A client may leave at any moment and in any way: that is its right, not our failure.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                spoken = self._tls.wrap_socket(sock, server_side=True)
                self._swap(sock, spoken)
            connection = Connection(self, spoken, role)
            while not self._stop.is_set() and connection.serve_one():
                pass
            hang_up(spoken)
        spoken.close()
        self._swap(spoken, None)

    def _swap(self, old: socket.socket, new: socket.socket | None) -> None:
        with self._lock:
            self._open.discard(old)
            if new is not None:
                self._open.add(new)

    @property
    def stopping(self) -> threading.Event:
        """Set once the server is being closed."""
        return self._stop

    @property
    def speaks(self) -> str:
        """Scheme of the ports."""
        return "https" if self._tls else "http"


def dead_port() -> int:
    """Return a loopback port that refuses connections: it was ours a moment ago."""
    with socket.create_server((_LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def load_script(text: str) -> Script:
    """Return the fault script of a JSON text.

    Raises:
        ValueError: It is no JSON, or names a fault that does not exist.
    """
    return Script.parse(json.loads(text))
