"""The head of an HTTP/1.1 response: from bytes to values, and where its body ends.

Pure: the caller reads the socket. The limits are those of the standard library's
``http.client``: a head of 64 KiB, a hundred fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mirror.errors import SourceError
from mirror.wire.headers import Fields
from mirror.wire.ranges import content_length

#: Largest head, in bytes, that is read.
MAX_HEAD = 65536
#: Most header fields in one head.
MAX_FIELDS = 100
#: The empty line that ends a head; a bare line feed is recognised (RFC 9112 §2.2).
END_OF_HEAD = re.compile(rb"\r?\n\r?\n")

_LINE = re.compile(rb"\r?\n")
_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: (.*))?", re.S)
#: RFC 9110 §5.5: a field value with one of these is refused.
_CONTROL = re.compile(rb"\0|\r(?!\n)")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and header fields of one response.

    Attributes:
        minor: Minor version of HTTP/1.
        status: Status code.
        reason: Reason phrase as sent.
        pairs: Field names and values as sent, in order; repeated fields are kept.
        fields: The same, as the rules want them.
    """

    minor: int
    status: int
    reason: bytes
    pairs: list[tuple[bytes, bytes]]
    fields: Fields


@dataclass(frozen=True, slots=True)
class Framing:
    """How long a response's body is.

    Attributes:
        length: Bytes of the body; None when it is chunked or ends with the connection.
        chunked: Whether it comes in chunks.
        keep_alive: Whether another response may follow on the same connection.
    """

    length: int | None
    chunked: bool
    keep_alive: bool


def parse_head(data: bytes) -> Head:
    """Return the head written in ``data``, which ends before the empty line.

    Raises:
        SourceError: This is not the head of an HTTP/1 response, or has too many fields.

    Source: RFC 9112 §4 (status line), §5 (fields; a folded line is joined by a space, §5.2).
    """
    lines = _LINE.split(data)
    match = _STATUS.fullmatch(lines[0])
    if match is None:
        raise SourceError(f"not an HTTP/1 response: {lines[0][:60]!r}", transient=True)
    if _CONTROL.search(data):
        raise SourceError("a response head with control characters", transient=True)
    if len(lines) > MAX_FIELDS + 1:
        raise SourceError(f"a response with {len(lines) - 1} header lines", transient=True)
    pairs: list[tuple[bytes, bytes]] = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name):
            pairs.append((name, value.strip(b" \t")))
        elif line.startswith((b" ", b"\t")) and pairs:
            pairs[-1] = (pairs[-1][0], pairs[-1][1] + b" " + line.strip(b" \t"))
        else:
            raise SourceError(f"malformed header line: {line[:60]!r}", transient=True)
    # RFC 9110 §5.5: fields were ISO-8859-1 once; it reads every byte.
    got = Fields([(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs])
    return Head(int(match[1]), int(match[2]), match[3] or b"", pairs, got)


def framing(head: Head, method: str) -> Framing:
    """Return where the body of a response ends.

    Args:
        head: The response's head.
        method: Method of the request; a ``HEAD`` has no body.

    Raises:
        SourceError: The length contradicts itself, or the transfer coding is unknown.

    Source: RFC 9112 §6.3 (message body length), §9.3 (persistence).
    """
    got = head.fields
    keep_alive = head.minor >= 1
    if "connection" in got:
        options = {option.strip().lower() for value in got.all("connection") for option in value.split(",")}
        keep_alive = "close" not in options and (keep_alive or "keep-alive" in options)
    if method == "HEAD" or head.status in {204, 304}:
        return Framing(0, chunked=False, keep_alive=keep_alive)
    if "transfer-encoding" in got:
        codings = [c.strip().lower() for value in got.all("transfer-encoding") for c in value.split(",")]
        if codings != ["chunked"]:
            raise SourceError(f"unknown transfer coding {', '.join(codings)[:60]}", transient=True)
        # With a length as well, or from HTTP/1.0, somebody on the way may see another end than we do.
        trusted = head.minor >= 1 and "content-length" not in got
        return Framing(None, chunked=True, keep_alive=keep_alive and trusted)
    length = content_length(got)
    return Framing(length, chunked=False, keep_alive=keep_alive and length is not None)
