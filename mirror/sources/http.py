"""Files over http and https: ranges, redirects, credentials, and what a status means.

Redirects are followed here, one by one, so that every reply on the way is evidence and
no header goes further than it should: a token stays with the origin it belongs to, and
https never becomes http (RFC 9110 §15.4).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mirror.errors import ChangedError, ImpostorError, OversizeError, RedirectError, SourceError
from mirror.sources.failures import located
from mirror.sources.reply import Hop, SpannedBody, hop_of
from mirror.wire import (
    BodySpan,
    Fields,
    Validator,
    body_span,
    check_commit,
    explain,
    looks_like_login_page,
    published_digests,
    range_header,
    redact,
    status_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.model import Claim
    from mirror.sources.asking import Answered, Asker
    from mirror.sources.reply import Body

#: Redirects that are followed for one file.
MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXPLANATION = 4096
#: Seconds for the body of an error or of a redirect, which are read for their words and for the connection.
_ASIDE = 10.0
#: Digits of a pointer's length: git-lfs' docs/spec.md wants less than 1024 bytes, and 140 are usual.
_POINTER_DIGITS = 3
#: A redirect's body up to this size is read, so that the connection can be used again.
_DRAINED = 16384


class HttpReply(SpannedBody):
    """One reply over HTTP; see ``Reply``."""

    def __init__(self, answer: Answered, way: _Way, span: BodySpan) -> None:
        url = way.hops[-1].url
        super().__init__(answer.body, span, url, lambda error: located(error, url))
        self.validator = Validator.of(answer.fields)
        self.claims = tuple(way.claims)
        self.hops = tuple(way.hops)
        self.url = url
        self.content_type = answer.fields.only("content-type")
        self.encoding: str | None = None
        self._over = answer.status == 416

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes of the body into ``buffer``; see ``Reply.readinto`` for the errors."""
        return 0 if self._over else super().readinto(buffer)


class _Way:
    """The way to the bytes so far: where we are, what was seen and what was said."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.hops: list[Hop] = []
        self.claims: dict[Claim, None] = {}
        self._seen = {url}

    def note(self, answer: Answered) -> None:
        self.hops.append(hop_of(self.url, answer.status, answer.fields))
        self.claims.update(dict.fromkeys(published_digests(answer.fields, self.url)))

    def follow(self, got: Fields) -> None:
        """Go where a redirect points; RedirectError where it must not be followed."""
        import httpx2  # whose rules of joining addresses are those of every other client

        here = redact(self.url)
        location = got.only("location")
        if not location:
            raise RedirectError(f"{here}: a redirect that leads nowhere")
        try:
            target = str(httpx2.URL(self.url).join(location).copy_with(fragment=None))
            scheme = urlsplit(target).scheme
        except (httpx2.InvalidURL, ValueError) as error:
            raise RedirectError(f"{here}: a redirect to an address that makes no sense") from error
        if scheme not in {"http", "https"}:
            raise RedirectError(f"{here}: a redirect to the unknown scheme {scheme!r}")
        if scheme == "http" and urlsplit(self.url).scheme == "https":
            raise RedirectError(f"{here}: a redirect from https to {redact(target)}")
        if target in self._seen:
            raise RedirectError(f"{here}: the redirects go round in a circle")
        self._seen.add(target)
        self.url = target


class HttpOpener:
    """Opens files over HTTP.

    Args:
        asker: What sends the requests.
        clock: The time, aware; a ``Retry-After`` may be a date.
    """

    def __init__(self, asker: Asker, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._ask = asker.ask
        self._hub = asker.hub
        self._clock = clock

    def open(
        self,
        url: str,
        *,
        start: int = 0,
        stop: int | None = None,
        validator: Validator | None = None,
        size: int | None = None,
    ) -> HttpReply:
        """Ask for the bytes ``[start, stop)`` of the file at ``url``.

        Args:
            url: An http or https address.
            start: First byte wanted.
            stop: Byte after the last one wanted; None is the end of the file.
            validator: Of the reply that gave the bytes we hold; the rest must be of the same version.
            size: Bytes of the whole file, where they are promised.

        Returns:
            A reply whose span is the one asked for, or the whole file where the source starts over.

        Raises:
            RedirectError: Redirects loop, are too many, or lead where they must not.
            RangeError, ChangedError, OversizeError: The reply holds other bytes than the ones asked for.
            StatusError: The source refuses; ``NotFoundError``, ``AccessError``, ``RateLimitedError`` say how.
            ImpostorError: A page comes where a file was promised.
            ConnectionDroppedError, StalledError, NameResolutionError, TlsError: The source is not reached.
            SourceError: The reply is malformed or encoded.
        """
        way = _Way(url)
        conditions = _conditions(start, stop, validator)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                answer = self._ask(way.url, conditions)
            except SourceError as error:
                raise located(error, way.url) from error
            try:
                way.note(answer)
                if answer.status not in _REDIRECTS:
                    return HttpReply(answer, way, self._span(answer, way.url, (start, stop), validator, size))
                way.follow(answer.fields)
            except BaseException:
                answer.body.close()
                raise
            _drain(answer.body)
        raise RedirectError(f"{redact(url)}: more than {MAX_REDIRECTS} redirects")

    def _span(
        self,
        answer: Answered,
        url: str,
        asked: tuple[int, int | None],
        validator: Validator | None,
        size: int | None,
    ) -> BodySpan:
        """Return which bytes come; raise what the reply stands for when they are not the ones asked for."""
        status, got = answer.status, answer.fields
        if status not in {200, 206, 416}:
            words = explain(got.only("content-type"), _first_bytes(answer.body))
            raise self._hub.explained(status_error(status, got, url, now=self._clock(), explanation=words), url)
        try:
            check_commit(got, url)
            _refuse_encoding(got)
            if status == 206 and validator is not None and validator.contradicts(Validator.of(got)):
                raise ChangedError("the source answers with another version of the file", status=206)
            return body_span(status, got, asked=asked, size=size)
        except SourceError as error:
            wrong_size = status == 200 and isinstance(error, (ChangedError, OversizeError))
            if wrong_size and _is_another_thing(answer, url):
                raise ImpostorError(f"{redact(url)}: a web page or a pointer instead of the file") from error
            raise located(error, url) from error


def _conditions(start: int, stop: int | None, validator: Validator | None) -> list[tuple[str, str]]:
    asked = range_header(start, stop)
    if asked is None:
        return []
    etag = validator.if_range if validator is not None else None
    return [("Range", asked)] if etag is None else [("Range", asked), ("If-Range", etag)]


def _refuse_encoding(got: Fields) -> None:
    codings = {value.strip().lower() for value in got.all("content-encoding")} - {"", "identity"}
    if codings:
        raise SourceError(f"the body comes encoded as {', '.join(sorted(codings))[:60]}", transient=True)


def _is_another_thing(answer: Answered, url: str) -> bool:
    """Whether a reply of the wrong size is a page, which says so itself, or a Git LFS pointer, which is short."""
    length = answer.fields.only("content-length") or ""
    first = _first_bytes(answer.body) if length.isdecimal() and len(length) <= _POINTER_DIGITS else b""
    return looks_like_login_page(answer.fields.only("content-type"), first, urlsplit(url).path)


def _first_bytes(body: Body) -> bytes:
    """Return the first bytes of an error's body; what cannot be read explains nothing."""
    buffer, count, until = memoryview(bytearray(_EXPLANATION)), 0, time.monotonic() + _ASIDE
    try:
        while count < _EXPLANATION and time.monotonic() < until and (more := body.readinto(buffer[count:])):
            count += more
    except SourceError:
        pass
    return bytes(buffer[:count])


def _drain(body: Body) -> None:
    """Read the small body of a redirect to its end, and close it."""
    buffer, left, until = memoryview(bytearray(4096)), _DRAINED, time.monotonic() + _ASIDE
    try:
        while left > 0 and time.monotonic() < until and (count := body.readinto(buffer)):
            left -= count
    except SourceError:
        pass
    finally:
        body.close()
