"""One open reply: where its bytes stand in the file, who vouches for them, and the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self
from urllib.parse import urljoin

from mirror.errors import ConnectionDroppedError, OversizeError, SourceError
from mirror.wire import BodySpan, Fields, Validator, redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from mirror.model import Claim

#: Header fields that are evidence. Never a cookie, never a credential.
_KEPT = frozenset(
    {
        "accept-ranges", "age", "content-encoding", "content-length", "content-md5", "content-range", "content-type",
        "date", "digest", "etag", "last-modified", "location", "repr-digest", "retry-after", "server", "via",
        "x-cache", "x-error-code", "x-error-message", "x-linked-etag", "x-linked-size", "x-repo-commit", "x-request-id",
    }
)  # fmt: skip
_KEPT_FAMILIES = ("x-goog-", "x-bce-")
_LONGEST = 512


class Hop(NamedTuple):
    """One reply on the way to the bytes: a redirect, or the last one.

    Attributes:
        url: The address that answered, redacted.
        status: Status code; 0 where there is none, as for a local file.
        headers: The header fields that are evidence, in order; names in lower case, ``location`` redacted.
    """

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]


def hop_of(url: str, status: int, got: Fields) -> Hop:
    """Return what is kept of one reply from ``url``."""
    here = redact(url)
    kept = [
        (name, _target(here, value) if name == "location" else value[:_LONGEST])
        for name, value in got
        if name in _KEPT or name.startswith(_KEPT_FAMILIES)
    ]
    return Hop(here, status, tuple(kept))


def _target(here: str, location: str) -> str:
    try:
        return redact(urljoin(here, location))
    except ValueError:
        return "(malformed address)"


class Reply(Protocol):
    """One open reply; a context manager that closes it.

    Attributes:
        span: The bytes of the file that the body holds.
        validator: What the source says of the file's version.
        claims: Digests that the source states, on the way and at the end.
        hops: Every reply on the way, the last one included.
        url: The address that gives the bytes, redacted.
        content_type: As sent.
        encoding: ``Content-Encoding``; None, since any other than identity is refused.
    """

    span: BodySpan
    validator: Validator
    claims: tuple[Claim, ...]
    hops: tuple[Hop, ...]
    url: str
    content_type: str | None
    encoding: str | None

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes of the body into ``buffer``; return how many, 0 at its end.

        One call gives what one read of the socket gives, about 100 KB of a fast body and 16 KB of TLS.

        Raises:
            ConnectionDroppedError: The body ended early, or was aborted.
            StalledError: No byte came for as long as the watchdog waits.
            OversizeError: More bytes come than the span holds.
            TlsError: A record of the body was not authentic.
            SourceError: The body is malformed.
        """
        ...

    def abort(self) -> None:
        """End the reply from another thread; a blocked ``readinto`` raises at once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Body(Protocol):
    """What follows the head of an answer."""

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes into ``buffer``; return how many, 0 at the end. Raises one of our ``SourceError``."""
        ...

    def abort(self) -> None:
        """End it from another thread."""
        ...

    def close(self) -> None:
        """Let go of the connection, or the file."""
        ...


class SpannedBody:
    """A body, counted against the span it should hold; a context manager that closes it.

    Args:
        body: Gives the bytes.
        span: What the reply said it holds.
        name: Of the place, redacted, for the errors.
        located: Gives an error of the body the name of its place.

    Attributes:
        span: The same.
    """

    def __init__(
        self, body: Body, span: BodySpan, name: str, located: Callable[[SourceError], SourceError] = lambda error: error
    ) -> None:
        self.span = span
        self._body = body
        self._name = name
        self._located = located
        self._expected = None if span.stop is None else span.stop - span.start
        self._taken = 0

    def readinto(self, buffer: memoryview) -> int:
        """Read some bytes into ``buffer``; return how many, 0 at the end. See ``Reply.readinto`` for the errors."""
        if not buffer:
            return 0
        try:
            count = self._body.readinto(buffer)
        except SourceError as error:
            raise self._located(error) from error
        self._taken += count
        if self._expected is None:
            return count
        if self._taken > self._expected:
            raise OversizeError(f"{self._name}: more than the {self._expected} B that were promised")
        if count == 0 and self._taken < self._expected:
            raise ConnectionDroppedError(f"{self._name}: the body ended after {self._taken} of {self._expected} B")
        return count

    def abort(self) -> None:
        """End the reply from another thread."""
        self._body.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._body.close()
