"""Requests through httpx2's client, and the bodies that come by its own transport."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

import httpx2

from mirror.errors import ConnectionDroppedError
from mirror.sources.translate import translated
from mirror.sources.transport import ANSWER
from mirror.wire import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mirror.sources.asking import Answered
    from mirror.sources.direct import Answer

_NOTHING = httpx2.ByteStream(b"")


def ask_client(client: httpx2.Client, url: str, headers: Sequence[tuple[str, str]]) -> Answered:
    """Send a GET through ``client``, which follows no redirect; see ``Asker.ask``."""
    dialled = Dialled()
    try:
        target = httpx2.URL(url)
        fields = [(b"Host", target.netloc), *((name.encode(), value.encode("latin-1")) for name, value in headers)]
        more = {"timeout": client.timeout.as_dict(), "trace": dialled}
        request = httpx2.Request("GET", target, headers=fields, stream=_NOTHING, extensions=more)
        response = client.send(request, stream=True, follow_redirects=False)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise translated(error, proxy=dialled.whom) from error
    except RuntimeError as error:
        if not client.is_closed:
            raise
        raise ConnectionDroppedError("stopped before it was asked") from error
    direct: Answer | None = response.extensions.get(ANSWER)
    if direct is not None:
        return direct  # no proxy is responsible for this host
    got = Fields([(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw])
    return _Proxied(response.status_code, got, ProxiedBody(response))


class Dialled:
    """Notes whom httpx2's own transport connects to: that is the proxy, and an error does not name it.

    Source: www.python-httpx.org/advanced/extensions, "trace".
    """

    whom = ""

    def __call__(self, event: str, details: Mapping[str, object]) -> None:
        """Take note of one step of a request."""
        if event == "connection.connect_tcp.started":
            self.whom = f"{details['host']}:{details['port']}"


class _Proxied(NamedTuple):
    status: int
    fields: Fields
    body: ProxiedBody


class ProxiedBody:
    """Gives the chunks of ``Response.iter_raw`` through ``readinto``.

    Args:
        response: An open response.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks: Iterator[bytes] | None = None
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes of the body into ``buffer``; return how many, 0 at its end.

        Raises:
            ConnectionDroppedError, StalledError, TlsError: The connection is gone.
            SourceError: The body is malformed.
        """
        try:
            if self._chunks is None:
                self._chunks = self._response.iter_raw()
            while not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return 0
                self._rest = memoryview(chunk)
        except httpx2.HTTPError as error:
            raise translated(error) from error
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def abort(self) -> None:
        """Shut the socket from another thread, so that a blocked read ends."""
        shut(self._response)

    def close(self) -> None:
        """Let go of the connection."""
        self._response.close()


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
