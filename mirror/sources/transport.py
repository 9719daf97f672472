"""httpx2's way to our direct connections: its client, and whoever is lent it, sends through here.

Errors come out as httpx2's, with ours as their cause: ``translate`` finds it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from mirror.errors import ConnectionDroppedError, SourceError, StalledError, TlsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.sources.body import SocketBody
    from mirror.sources.direct import Direct

#: Extension of a response under which its ``Answer`` is found; httpx2 wraps ``Response.stream``.
ANSWER = "direct_answer"
_CHUNK = 65536


class DirectTransport(httpx2.BaseTransport):
    """Send ``GET``, ``HEAD`` and ``POST`` requests without a proxy.

    Args:
        direct: What sends them.
    """

    def __init__(self, direct: Direct) -> None:
        self._direct = direct

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request`` and return its response as soon as the head is here.

        Raises:
            httpx2.LocalProtocolError: The request cannot be written down.
            httpx2.NetworkError: The origin is not reached, or the connection is gone.
            httpx2.ReadTimeout: It does not go on.
            httpx2.RemoteProtocolError: The answer is broken.
        """
        url, message = request.url, _written(request)
        timeouts = request.extensions.get("timeout", {})
        try:
            answer = self._direct.ask(
                (url.scheme, url.raw_host.decode("ascii"), url.port),
                message,
                method=request.method,
                connect=timeouts.get("connect"),
                stall=timeouts.get("read"),
            )
        except SourceError as error:
            raise _as_httpx2(error) from error
        return httpx2.Response(
            answer.status,
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.fields],
            stream=_Stream(answer.body),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": answer.reason.encode("latin-1"), ANSWER: answer},
        )

    def close(self) -> None:
        """Close every connection, from any thread; requests and bodies under way fail at once."""
        self._direct.close()


class _Stream(httpx2.SyncByteStream):
    """The body of an answer, for whoever reads it through httpx2."""

    def __init__(self, body: SocketBody) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        view = memoryview(bytearray(_CHUNK))
        try:
            while count := self._body.readinto(view):
                yield bytes(view[:count])
        except SourceError as error:
            raise _as_httpx2(error) from error

    def close(self) -> None:
        self._body.close()


def _as_httpx2(error: SourceError) -> httpx2.TransportError:
    if isinstance(error, StalledError):
        return httpx2.ReadTimeout(str(error))
    if isinstance(error, (ConnectionDroppedError, TlsError)):
        return httpx2.NetworkError(str(error))
    return httpx2.RemoteProtocolError(str(error))


def _written(request: httpx2.Request) -> bytes:
    """Return the bytes of a request, so that one write sends it whole."""
    if request.method not in {"GET", "HEAD", "POST"}:
        raise httpx2.LocalProtocolError(f"{request.method} is not sent from here")
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    for name, value in request.headers.raw:
        if b"\n" in value or b"\r" in value:
            raise httpx2.LocalProtocolError("a header with a line break")
        lines.append(b"%b: %b" % (name, value))
    lines.append(b"\r\n")
    return b"\r\n".join(lines) + request.read()
