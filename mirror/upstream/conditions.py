"""From a file and a request's conditions to an answer: ranges, validators, 304, 412, 416.

Source: RFC 9110 §13 (conditional requests), §14 (range requests).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from mirror.upstream.http import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.upstream.content import Content
    from mirror.upstream.http import Headers, Request

_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entity:
    """A file as one host offers it: its bytes, and what the host says about bytes.

    Attributes:
        content: The bytes.
        describe: The headers this host sends for given bytes; without Content-Length.
        others: Content of the same path at other revisions, where the host has any.
        spoiled: Bytes that go out in place of ``content``, whose headers they keep.
    """

    content: Content
    describe: Callable[[Content], Headers]
    others: tuple[Content, ...] = ()
    spoiled: Content | None = None


def serve(entity: Entity, request: Request) -> Answer:
    """Return what a sound server answers when ``request`` asks for ``entity``."""
    headers = entity.describe(entity.content)
    body = (entity.spoiled or entity.content).data
    size = body.nbytes
    whole = Answer(200, headers, body, size=size)
    early = _precondition(whole, request)
    if early is not None:
        return early
    span = asked_span(request.header("range"), size) if request.method == "GET" else None
    if span is None or not _if_range(whole, request.header("if-range")):
        return whole.adding(("Content-Length", str(size)))
    if span[0] >= span[1]:
        refused = Answer(416, headers, size=size).without("content-type", "content-disposition")
        return refused.adding(("Content-Range", f"bytes */{size}"), ("Content-Length", "0"))
    start, stop = span
    part = Answer(206, headers, body[start:stop], start=start, size=size)
    return part.adding(("Content-Range", f"bytes {start}-{stop - 1}/{size}"), ("Content-Length", str(stop - start)))


def asked_span(value: str | None, size: int) -> tuple[int, int] | None:
    """Return the half-open span that a Range header asks for.

    Returns:
        None where the header is to be ignored: absent, malformed, another unit, several
        ranges, or backwards. An empty span where it cannot be satisfied (416).

    Source: RFC 9110 §14.1.2 (byte ranges), §14.2 (a server may ignore Range).
    """
    match = _RANGE.fullmatch(value) if value else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return max(size - int(suffix), 0), size
    start = int(first)
    if last is not None and int(last) < start:
        return None
    return min(start, size), size if last is None else min(int(last) + 1, size)


def _precondition(whole: Answer, request: Request) -> Answer | None:
    """Return the 412 or 304 that the conditions ask for (RFC 9110 §13.2.2)."""
    etag, modified = whole.header("etag"), whole.header("last-modified")
    match, none_match = request.header("if-match"), request.header("if-none-match")
    if match is not None and not _listed(match, etag, strong=True):
        return Answer(412, (("Content-Length", "0"),), size=whole.size)
    if none_match is not None:
        fresh = _listed(none_match, etag, strong=False)
    else:
        fresh = _not_later(modified, request.header("if-modified-since"))
    return Answer(304, whole.headers, size=whole.size) if fresh else None


def _listed(value: str, etag: str | None, *, strong: bool) -> bool:
    """Whether ``etag`` is among those of an If-Match or If-None-Match (§8.8.3.2)."""
    if etag is None:
        return False
    if value.strip() == "*":
        return True
    listed = re.findall(r'(?:W/)?"[^"]*"', value)
    if strong:
        return not etag.startswith("W/") and etag in listed
    return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in listed}


def _not_later(modified: str | None, since: str | None) -> bool:
    if modified is None or since is None:
        return False
    try:
        return parsedate_to_datetime(modified) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def _if_range(whole: Answer, value: str | None) -> bool:
    """Whether the range counts: no If-Range, or one that matches strongly (§13.1.5)."""
    if value is None:
        return True
    if value.startswith(('"', "W/")):
        return value == whole.header("etag") and not value.startswith("W/")
    return value == whole.header("last-modified")
