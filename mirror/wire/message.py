"""The head of an HTTP/1.1 response: from bytes to values, and where its body ends.

Pure: the caller reads the socket. The limits are those of the standard library's
``http.client``: a head of 64 KiB, a hundred fields.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mirror.errors import SourceError
from mirror.wire.headers import Fields
from mirror.wire.ranges import content_length

#: Largest head, in bytes, that is read.
MAX_HEAD = 65536
#: Most header fields in one head.
MAX_FIELDS = 100
#: The empty line that ends a head; a bare line feed is recognised (RFC 9112 §2.2).
END_OF_HEAD = re.compile(rb"\r?\n\r?\n")

_STATUS = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\0\r\n]*))?(?:\r?\n|\Z)", re.ASCII)
#: A field line. RFC 9110 §5.5: a value with a zero byte or a bare CR is refused.
_FIELD = re.compile(r"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0\r\n]*)(?:\r?\n|\Z)", re.MULTILINE)
_FOLD = re.compile(r"\r?\n[ \t]+")


class Head(NamedTuple):
    """Status line and header fields of one response.

    Attributes:
        minor: Minor version of HTTP/1.
        status: Status code.
        reason: Reason phrase as sent.
        fields: Field names and values, in order; repeated fields are kept.
    """

    minor: int
    status: int
    reason: str
    fields: Fields


class Framing(NamedTuple):
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
    text = data.decode("latin-1")  # RFC 9110 §5.5: fields were ISO-8859-1 once; it reads every byte
    status = _STATUS.match(text)
    if status is None:
        raise SourceError(f"not an HTTP/1 response: {text[:60]!r}", transient=True)
    lines = text[status.end() :]
    count = text.count("\n")
    if count > MAX_FIELDS:
        raise SourceError(f"a response with {count} header lines", transient=True)
    found = _FIELD.findall(lines)  # one search for all of them takes half the time of a loop over lines
    if len(found) != count:
        lines = _FOLD.sub(" ", lines)
        found = _FIELD.findall(lines)
        if len(found) != lines.count("\n") + 1:
            raise SourceError("a response with malformed header lines", transient=True)
    fields = Fields([(name, value.strip(" \t")) for name, value in found])
    return Head(int(status[1]), int(status[2]), status[3] or "", fields)


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
