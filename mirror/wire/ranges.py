"""Which bytes of a file a reply holds, and whether two replies are of one file.

The rules are strict: a body that is not exactly the span that was asked for is
refused before its first byte is taken (RFC 9110 §14.4, §15.3.7).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mirror.errors import ChangedError, OversizeError, RangeError, SourceError
from mirror.wire.headers import Fields, HeaderSource, fields
from mirror.wire.status import status_error

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_PART = re.compile(r"bytes[ \t]+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII | re.IGNORECASE)
_PAST = re.compile(r"bytes[ \t]+\*/([0-9]{1,18})", re.ASCII | re.IGNORECASE)
#: RFC 9110 §8.8.3: an opaque tag holds no quote and no space.
_STRONG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')


class Validator(NamedTuple):
    """What a source says of the version of a file it sends.

    Attributes:
        etag: The entity tag as it was sent, with ``W/`` and quotes; None without one.
        last_modified: The date as it was sent; None without one.
    """

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: HeaderSource) -> Validator:
        """Return the validator that ``headers`` carry; a field that says two things counts as absent."""
        got = fields(headers)
        return cls(got.only("etag") or None, got.only("last-modified") or None)

    @property
    def strong(self) -> bool:
        """Whether equal tags mean equal bytes."""
        return self.etag is not None and _STRONG.fullmatch(self.etag) is not None

    @property
    def if_range(self) -> str | None:
        """The value of ``If-Range``: a strong tag, else none.

        A date is left out: it has a resolution of a second, and a file may change within one
        (RFC 9110 §13.1.5 wants a strong date, which needs the server's clock).
        """
        return self.etag if self.strong else None

    def contradicts(self, later: Validator) -> bool:
        """Whether ``later``, of another reply, is certainly of another version of the file.

        Weak tags are compared too (RFC 9110 §8.8.3.2, weak comparison); dates only where a
        tag is missing. A reply that says nothing contradicts nothing.
        """
        if self.etag and later.etag:
            return self.etag.removeprefix("W/") != later.etag.removeprefix("W/")
        if self.last_modified and later.last_modified:
            return self.last_modified != later.last_modified
        return False


class BodySpan(NamedTuple):
    """The part of a file that a reply's body holds.

    Attributes:
        start: Offset of the body's first byte.
        stop: Offset after its last byte; None when only the end of the body tells.
        size: Bytes of the whole file, where they are known.
    """

    start: int
    stop: int | None
    size: int | None


def content_length(headers: HeaderSource) -> int | None:
    """Return the length of the body as stated; None where it is not.

    Raises:
        SourceError: The field is garbage, or says two things.

    Source: RFC 9110 §8.6 (a list of equal values counts as one).
    """
    values = fields(headers).all("content-length")
    if not values:
        return None
    value, *different = {part.strip() for value in values for part in value.split(",")}
    if different or not _NUMBER.fullmatch(value):
        raise SourceError("the reply's Content-Length is malformed or contradicts itself", transient=True)
    return int(value)


def range_header(start: int, stop: int | None) -> str | None:
    """Return the value of ``Range`` that asks for the half-open span; None for the whole file."""
    if start == 0 and stop is None:
        return None
    return f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"


def body_span(status: int, headers: HeaderSource, *, asked: tuple[int, int | None], size: int | None) -> BodySpan:
    """Return which bytes of the file a reply's body holds.

    Args:
        status: Status code of the reply.
        headers: Headers of the reply.
        asked: The half-open span that was asked for; ``(0, None)`` is the whole file.
        size: Length of the whole file, in bytes, where it is promised.

    Returns:
        For 206, exactly what was asked for, up to the end of the file; for 200, the whole file;
        for 416 at the very end of the file, the empty span there.

    Raises:
        RangeError: The body holds other bytes than the ones asked for, or does not say which.
        ChangedError: The file has another size than promised.
        OversizeError: The source offers more bytes than promised.
        StatusError: Any other status, as ``status_error`` tells them apart.
        SourceError: The lengths are malformed.

    Source: RFC 9110 §14.4 (Content-Range), §15.3.7 (206), §15.5.17 (416).
    """
    got = fields(headers)
    if status == 200:
        return _whole(got, size)
    if status == 206:
        return _part(got, asked, size)
    if status == 416:
        return _past_the_end(got, asked[0], size)
    raise status_error(status, got)


def _whole(got: Fields, size: int | None) -> BodySpan:
    # A transfer coding overrides a length (RFC 9112 §6.3): the length then says nothing.
    length = None if "transfer-encoding" in got else content_length(got)
    if length is None:
        return BodySpan(0, size, size)
    if size is not None and length > size:
        raise OversizeError(f"the source offers {length} B, promised are {size} B")
    if size is not None and length < size:
        raise ChangedError(f"the source offers {length} B, promised are {size} B")
    return BodySpan(0, length, length)


def _part(got: Fields, asked: tuple[int, int | None], size: int | None) -> BodySpan:
    if any("multipart/byteranges" in value.lower() for value in got.all("content-type")):
        raise RangeError("one range was asked for and several come", status=206)
    stated = got.only("content-range")
    match = _PART.fullmatch(stated) if stated else None
    if match is None:
        raise RangeError("206 without a Content-Range that can be read", status=206)
    start, stop = int(match[1]), int(match[2]) + 1
    total = None if match[3] == "*" else int(match[3])
    if stop <= start or (total is not None and stop > total):
        raise RangeError(f"Content-Range {stated} is impossible", status=206)
    if size is not None and total not in (None, size):
        raise ChangedError(f"the file now has {total} B, promised are {size} B", status=206)
    whole = total if size is None else size
    wanted = asked[1]
    if whole is not None:
        wanted = whole if wanted is None else min(wanted, whole)
    if start != asked[0] or (wanted is not None and stop != wanted):
        raise RangeError(f"asked for bytes from {asked[0]} to {wanted}, got Content-Range {stated}", status=206)
    length = None if "transfer-encoding" in got else content_length(got)
    if length not in (None, stop - start):
        raise RangeError(f"Content-Range {stated} and a body of {length} B contradict each other", status=206)
    return BodySpan(start, stop, whole)


def _past_the_end(got: Fields, start: int, size: int | None) -> BodySpan:
    stated = got.only("content-range")
    match = _PAST.fullmatch(stated) if stated else None
    if match is None:
        raise RangeError(f"the source refuses bytes from {start} and does not say how many it has", status=416)
    total = int(match[1])
    if size not in (None, total) or total < start:
        raise ChangedError(f"the file now has {total} B, asked for were bytes from {start}", status=416)
    if total > start:
        raise RangeError(f"the source has {total} B and refuses bytes from {start}", status=416)
    return BodySpan(total, total, total)
