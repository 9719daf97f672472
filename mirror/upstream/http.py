"""HTTP/1.1 messages as values: a request read, an answer to be written.

No socket here. An answer says exactly which header lines go out, in which order and how
often, since telling lies to the letter is what the fault script needs.

Source: RFC 9110 (semantics), RFC 9112 (HTTP/1.1 messages).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers = tuple[tuple[str, str], ...]

_TARGET = re.compile(r"(?P<origin>/.*)|https?://(?P<authority>[^/?#]+)(?P<rest>(?:[/?].*)?)")
_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class BadRequestError(ValueError):
    """What came is no request; ``status`` is what to answer."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower-case, the path is raw (still percent-encoded).

    Attributes:
        host: Host that was asked for, lower-case, without its port.
        scheme: ``http`` or ``https``, as the client sees it.
    """

    method: str
    path: str
    query: str
    host: str
    headers: Headers
    body: bytes = b""
    scheme: str = "http"
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        """Return the value of header ``name`` (lower-case); several are joined by commas."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    def without(self, *names: str) -> Request:
        """Return the request as if headers ``names`` had not been sent."""
        return replace(self, headers=tuple(h for h in self.headers if h[0] not in names))

    @property
    def parameters(self) -> dict[str, str]:
        """The query, decoded; the last of several values counts."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def token(self) -> str | None:
        """The bearer token, where one was sent."""
        kind, _, token = (self.header("authorization") or "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else None

    @property
    def keeps_alive(self) -> bool:
        """Whether the client wants the connection kept (RFC 9112 §9.3)."""
        options = {option.strip().lower() for option in (self.header("connection") or "").split(",")}
        return "close" not in options and (self.version == "HTTP/1.1" or "keep-alive" in options)

    @property
    def segments(self) -> list[str]:
        """The path's segments, split raw and then decoded: ``refs%2Fpr%2F1`` is one."""
        return [unquote(part) for part in self.path.strip("/").split("/")]


def parse_head(head: bytes, *, scheme: str) -> Request:
    """Return the request of a header block, without its final empty line.

    Raises:
        BadRequestError: It is not HTTP/1.x, or a header is malformed.

    Source: RFC 9112 §3 (request line, origin-form and absolute-form), §5.
    """
    lines = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"([A-Z]+) ([!-~]+) (HTTP/1\.[01])", lines[0])
    if match is None:
        raise BadRequestError("malformed request line")
    method, target, version = match.groups()
    headers = tuple(_header(line) for line in lines[1:])
    named = [value for name, value in headers if name == "host"]
    if len(named) > 1 or (not named and version == "HTTP/1.1"):
        raise BadRequestError("one Host header is needed")
    found = _TARGET.fullmatch(target)
    if found is None:
        raise BadRequestError("malformed request target")
    # An absolute target overrides the Host header (RFC 9112 §3.2.2).
    authority = _AUTHORITY.fullmatch(found["authority"] or "".join(named))
    if authority is None:
        raise BadRequestError("malformed host")
    path, _, query = (found["origin"] or found["rest"]).partition("?")
    return Request(method, path or "/", query, authority["host"].lower(), headers, scheme=scheme, version=version)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise BadRequestError(f"malformed header {name[:40]!r}")
    return name.lower(), value.strip(" \t")


def body_length(request: Request, *, limit: int) -> int:
    """Return how many bytes of body follow the request's header.

    Raises:
        BadRequestError: The length is no number, too large, or not told beforehand.
    """
    if request.header("transfer-encoding") is not None:
        raise BadRequestError("a Content-Length is needed", status=411)
    value = request.header("content-length") or "0"
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise BadRequestError("malformed Content-Length")
    if int(value) > limit:
        raise BadRequestError("body too large", status=413)
    return int(value)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer goes over the socket; everything but the default is a fault.

    Attributes:
        delay: Seconds of silence before the first byte.
        raw_head: Bytes sent instead of status line and headers.
        stop_after: Body bytes after which ``ending`` happens; None sends all of them.
        ending: ``keep`` the connection, ``close`` it (FIN), ``reset`` it (RST), or ``stall``.
        rate: Body bytes a second; None is as fast as it goes.
        chunk: Size of the chunks of a chunked body; None sends it plain.
        filler: Bytes that are repeated after the body, up to this many in all.
    """

    delay: float = 0.0
    raw_head: bytes | None = None
    stop_after: int | None = None
    ending: str = "keep"
    rate: float | None = None
    chunk: int | None = None
    filler: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, header lines in order, and a body.

    Attributes:
        start: Offset, in the file, of the body's first byte.
        size: Length of the whole file, where the answer is about a file.
    """

    status: int
    headers: Headers = ()
    body: memoryview = field(default_factory=lambda: memoryview(b""))
    start: int = 0
    size: int | None = None
    delivery: Delivery = Delivery()

    def header(self, name: str) -> str | None:
        """Return the first value of header ``name``, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def without(self, *names: str) -> Answer:
        """Return the answer without headers ``names``."""
        gone = {name.lower() for name in names}
        return replace(self, headers=tuple(h for h in self.headers if h[0].lower() not in gone))

    def adding(self, *headers: tuple[str, str]) -> Answer:
        """Return the answer with more header lines, whatever is there already."""
        return replace(self, headers=(*self.headers, *headers))

    def setting(self, name: str, value: str) -> Answer:
        """Return the answer with one header ``name``, where the first one stood."""
        kept = self.without(name).headers
        at = next((i for i, (key, _) in enumerate(self.headers) if key.lower() == name.lower()), len(kept))
        return replace(self, headers=(*kept[:at], (name, value), *kept[at:]))

    def delivered(self, **changes: object) -> Answer:
        """Return the answer with other ways of delivery."""
        return replace(self, delivery=replace(self.delivery, **changes))  # type: ignore[arg-type] # names are Delivery's

    def head(self) -> bytes:
        """Return the status line and header block as bytes."""
        if self.delivery.raw_head is not None:
            return self.delivery.raw_head
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def plain(
    status: int, body: str | bytes, content_type: str = "text/plain; charset=utf-8", *headers: tuple[str, str]
) -> Answer:
    """Return an answer with a small body and its length."""
    data = body.encode() if isinstance(body, str) else body
    lines = (*headers, ("Content-Type", content_type), ("Content-Length", str(len(data))))
    return Answer(status, lines, memoryview(data))


def as_json(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer whose body is the JSON ``text``."""
    return plain(status, text, "application/json; charset=utf-8", *(headers or {}).items())


def http_date(when: datetime | None = None) -> str:
    """Return ``when``, now by default, as an HTTP-date (RFC 9110 §5.6.7)."""
    return format_datetime((when or datetime.now(UTC)).astimezone(UTC), usegmt=True)
