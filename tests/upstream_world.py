"""Small helpers around the embedded upstream, for tests of every room.

``serving`` runs a world for the length of a ``with`` block; ``exchange`` talks to it
through a bare socket, so that what is asserted is what was on the wire.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mirror.upstream.server import Server
from mirror.upstream.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: A repository, a commit and bytes that most tests of transfers can do with.
REPO = "google/bert_uncased_L-2_H-128_A-2"
COMMIT = "30b0a37ccaaa32f332884b96992754e246e48c5f"
#: Every byte differs from its neighbours, so that a misplaced range never looks right.
WEIGHTS = bytes(value * 7 % 251 for value in range(300_000))
CONFIG = b'{"model_type": "bert"}\n'


def small_world() -> World:
    """Return a world with one small and one large hub file, and the large one on every store."""
    world = World()
    world.add_hub_file(REPO, COMMIT, "config.json", CONFIG)
    world.add_hub_file(REPO, COMMIT, "model.safetensors", WEIGHTS)
    world.add_object("google", "/bert_models/2020_02_20/tiny.zip", WEIGHTS)
    world.add_object("baidu", "/paddlenlp/models/tiny.pdparams", WEIGHTS)
    world.add_object("plain", "/weights.bin", WEIGHTS)
    return world


@contextlib.contextmanager
def serving(
    world: World | None = None,
    faults: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    scheme: str | None = None,
) -> Iterator[Server]:
    """Run ``world``, by default the small one, on free loopback ports."""
    with Server(world or small_world(), faults=faults, tls=tls, scheme=scheme) as server:
        yield server


@dataclass
class Clock:
    """Seconds since 1970 that pass when somebody sleeps, and when a test says so."""

    now: float = 1_790_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def resolve(server: Server, path: str, *, repo: str = REPO, revision: str = COMMIT) -> str:
    """Return the hub's address of a file."""
    return server.url("hub", f"/{repo}/resolve/{revision}/{path}")


def self_signed() -> tuple[ssl.SSLContext, bytes]:
    """Return a server's TLS context for loopback and the real names, and its CA as PEM; nobody trusts it."""
    import trustme

    from mirror.upstream.host import ROLE_OF

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost", *ROLE_OF).configure_cert(context)
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(pem))
        return context, pem.read_bytes()


@dataclass(frozen=True, slots=True)
class Wire:
    """What a bare socket got for one request.

    Attributes:
        status: From the status line; 0 when there was none.
        headers: Names as they were sent, in order.
        body: Everything after the header block, unframed and uncut.
        ending: ``closed``, ``reset``, or ``open`` when nothing more came for a while.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    ending: str
    raw: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def exchange(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    patience: float = 5.0,
    limit: int | None = None,
) -> Wire:
    """Send one request through a socket and return every byte that comes back.

    Args:
        url: Where to.
        method: How.
        headers: More header lines; ``Connection: close`` is one unless another is given.
        body: What follows them.
        patience: Seconds of silence after which the connection counts as open.
        limit: Bytes after which nothing more is read.
    """
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    length = {"Content-Length": str(len(body))} if body else {}
    asked = {"Host": parts.netloc, "Connection": "close", **length, **(headers or {})}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items())]
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as sock:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        raw, ending = _all_bytes(sock, patience, limit)
    head, _, content = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ")[1]) if first.startswith("HTTP/1.1 ") else 0
    pairs = tuple((line.partition(":")[0], line.partition(":")[2].strip()) for line in rest)
    return Wire(status, pairs, content, ending, raw)


def _all_bytes(sock: socket.socket, patience: float, limit: int | None) -> tuple[bytes, str]:
    received = bytearray()
    sock.settimeout(patience)
    while limit is None or len(received) < limit:
        try:
            data = sock.recv(1 << 20)
        except TimeoutError:
            return bytes(received), "open"
        except ConnectionResetError:
            return bytes(received), "reset"
        if not data:
            return bytes(received), "closed"
        received += data
    return bytes(received), "open"


def unchunked(body: bytes) -> tuple[bytes, bool]:
    """Return the bytes of a chunked body, and whether its last chunk came (RFC 9112 §7.1)."""
    out = bytearray()
    while body:
        size, found, rest = body.partition(b"\r\n")
        if not found:
            break
        length = int(size, 16)
        if length == 0:
            return bytes(out), True
        out += rest[:length]
        body = rest[length + 2 :]
    return bytes(out), False
