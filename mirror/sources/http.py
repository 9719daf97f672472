"""Files over http and https: ranges, redirects, credentials, and what a status means.

Redirects are followed here, one by one, so that every reply on the way is evidence and
no header goes further than it should: a token stays with the origin it belongs to, and
https never becomes http (RFC 9110 §15.4).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import httpx2

from mirror.errors import ChangedError, ConnectionDroppedError, ImpostorError, OversizeError, RedirectError, SourceError
from mirror.sources.access import HubAccess
from mirror.sources.direct import FIELDS, STREAM
from mirror.sources.proxied import ProxiedBody
from mirror.sources.reply import Counter, Hop, hop_of
from mirror.sources.translate import translate
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
    from types import TracebackType

    from mirror.model import Claim
    from mirror.sources.body import SocketStream

#: Redirects that are followed for one file.
MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXPLANATION = 4096
#: A redirect's body up to this size is read, so that the connection can be used again.
_DRAINED = 16384
_NOTHING = httpx2.ByteStream(b"")


class HttpReply:
    """One reply over HTTP; see ``Reply``."""

    def __init__(self, response: httpx2.Response, way: _Way, span: BodySpan, got: Fields) -> None:
        self.span = span
        self.validator = Validator.of(got)
        self.claims = tuple(way.claims)
        self.hops = tuple(way.hops)
        self.url = way.hops[-1].url
        self.content_type = got.only("content-type")
        self.encoding: str | None = None
        self._response = response
        self._body = _body(response)
        self._over = response.status_code == 416
        self._counter = Counter(span, self.url)

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes of the body into ``buffer``; see ``Reply.readinto`` for the errors."""
        if self._over or not buffer:
            return 0
        try:
            count = self._body.readinto(buffer)
        except httpx2.HTTPError as error:
            raise translate(error, self.url) from error
        return self._counter.take(count)

    def abort(self) -> None:
        """End the reply from another thread."""
        self._body.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()


class _Way:
    """The way to the bytes so far: where we are, what was seen and what was said."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.hops: list[Hop] = []
        self.claims: dict[Claim, None] = {}
        self._seen = {url}

    def note(self, status: int, got: Fields) -> None:
        self.hops.append(hop_of(self.url, status, got))
        self.claims.update(dict.fromkeys(published_digests(got, self.url)))

    def follow(self, got: Fields) -> None:
        """Go where a redirect points; RedirectError where it must not be followed."""
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
        client: What sends the requests.
        hub: Whose token is sent to whom.
        clock: The time, aware; a ``Retry-After`` may be a date.
    """

    def __init__(
        self,
        client: httpx2.Client,
        *,
        hub: HubAccess | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._hub = hub or HubAccess()
        self._clock = clock
        self._timeout = client.timeout.as_dict()
        # A range counts stored bytes; with a content coding it would count others.
        self._headers = [
            (b"User-Agent", client.headers.get("User-Agent", "minibert-mirror").encode()),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
        ]

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
        extra = _conditions(start, stop, validator)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(way.url, extra)
            try:
                got = _fields(response)
                way.note(response.status_code, got)
                if response.status_code not in _REDIRECTS:
                    span = self._span(response, got, way.url, (start, stop), validator, size)
                    return HttpReply(response, way, span, got)
                way.follow(got)
            except BaseException:
                response.close()
                raise
            _drain(response)
        raise RedirectError(f"{redact(url)}: more than {MAX_REDIRECTS} redirects")

    def _send(self, url: str, extra: list[tuple[bytes, bytes]]) -> httpx2.Response:
        try:
            target = httpx2.URL(url)
            headers = [(b"Host", target.netloc), *self._headers, *extra]
            if token := self._hub.token_for(url):
                headers.append((b"Authorization", f"Bearer {token}".encode()))
            request = httpx2.Request(
                "GET", target, headers=headers, stream=_NOTHING, extensions={"timeout": self._timeout}
            )
            return self._client.send(request, stream=True, follow_redirects=False)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise translate(error, url) from error
        except RuntimeError as error:
            if not self._client.is_closed:
                raise
            raise ConnectionDroppedError(f"{redact(url)}: stopped before it was asked") from error

    def _span(
        self,
        response: httpx2.Response,
        got: Fields,
        url: str,
        asked: tuple[int, int | None],
        validator: Validator | None,
        size: int | None,
    ) -> BodySpan:
        """Return which bytes come; raise what the reply stands for when they are not the ones asked for."""
        status = response.status_code
        if status not in {200, 206, 416}:
            words = explain(got.only("content-type"), _first_bytes(response))
            raise status_error(status, got, url, now=self._clock(), explanation=words)
        try:
            check_commit(got, url)
            _refuse_encoding(got)
            if status == 206 and validator is not None and validator.contradicts(Validator.of(got)):
                raise ChangedError("the source answers with another version of the file", status=206)
            return body_span(status, got, asked=asked, size=size)
        except SourceError as error:
            wrong_size = status == 200 and isinstance(error, (ChangedError, OversizeError))
            if wrong_size and looks_like_login_page(got.only("content-type"), b"", urlsplit(url).path):
                raise ImpostorError(f"{redact(url)}: a web page of another size than the file") from error
            error.args = (f"{redact(url)}: {error}",)
            raise


def _conditions(start: int, stop: int | None, validator: Validator | None) -> list[tuple[bytes, bytes]]:
    asked = range_header(start, stop)
    if asked is None:
        return []
    headers = [(b"Range", asked.encode())]
    if validator is not None and (etag := validator.if_range) is not None:
        headers.append((b"If-Range", etag.encode("latin-1")))
    return headers


def _refuse_encoding(got: Fields) -> None:
    codings = {value.strip().lower() for value in got.all("content-encoding")} - {"", "identity"}
    if codings:
        raise SourceError(f"the body comes encoded as {', '.join(sorted(codings))[:60]}", transient=True)


def _fields(response: httpx2.Response) -> Fields:
    direct: Fields | None = response.extensions.get(FIELDS)
    if direct is not None:
        return direct
    return Fields([(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw])


def _body(response: httpx2.Response) -> SocketStream | ProxiedBody:
    direct: SocketStream | None = response.extensions.get(STREAM)
    return ProxiedBody(response) if direct is None else direct


def _first_bytes(response: httpx2.Response) -> bytes:
    """Return the first bytes of an error's body; what cannot be read explains nothing."""
    buffer = memoryview(bytearray(_EXPLANATION))
    body, count = _body(response), 0
    try:
        while count < _EXPLANATION and (more := body.readinto(buffer[count:])):
            count += more
    except httpx2.HTTPError:
        pass
    return bytes(buffer[:count])


def _drain(response: httpx2.Response) -> None:
    """Read the small body of a redirect to its end, and close it."""
    body, left = _body(response), _DRAINED
    buffer = memoryview(bytearray(4096))
    try:
        while left > 0 and (count := body.readinto(buffer)):
            left -= count
    except httpx2.HTTPError:
        pass
    finally:
        response.close()
