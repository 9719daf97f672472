"""Every fault of the matrix: what strikes, and how a pull may end under it.

``once`` is how a pull ends when the fault strikes one request, ``always`` when it
strikes every one: ``RIGHT``, or the error that names what happened. Bytes of a file
that nothing at all is known of, neither size nor digest, cannot be told from others:
``blind`` marks faults that such lanes can only record as ``first-seen``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mirror.errors import (
    AccessError,
    ChangedError,
    ConnectionDroppedError,
    DisputedError,
    ImpostorError,
    MirrorError,
    NameResolutionError,
    NotFoundError,
    OversizeError,
    RangeError,
    RateLimitedError,
    RedirectError,
    SourceError,
    StalledError,
    StatusError,
    TlsError,
)
from tests.faults.pulling import LARGE, MIB, Lane, Word

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The file came, and it is the right one.
RIGHT = None
Ending = type[MirrorError] | None
Blind = frozenset[str]

#: Lanes by what they know: of the first nothing, of the second nothing but the size.
UNSIZED = frozenset({"plain-large"})
UNPROMISED = frozenset({"plain-large", "plain-small", "plain-weak"})
NOBODY: Blind = frozenset()


@dataclass(frozen=True, slots=True)
class Fault:
    """One way that a request goes wrong.

    Attributes:
        steps: Faults of the upstream's script that strike together.
        once: How a pull ends when they strike one request; exceptions by lane in ``but``.
        always: How it may end when they strike every request.
        interrupts: Whether it only cuts a sound body short: then no byte that came may come again.
        blind: Lanes that cannot know that these bytes are not the file's.
        only: Lanes it makes sense for; None is all.
    """

    name: str
    steps: tuple[Mapping[str, Any], ...]
    once: Ending = RIGHT
    always: tuple[Ending, ...] = (RIGHT,)
    but: Mapping[str, tuple[Ending, ...]] = field(default_factory=dict)
    interrupts: bool = False
    blind: Blind = NOBODY
    only: frozenset[str] | None = None

    def endings(self, lane: Lane) -> tuple[Ending, ...]:
        """Return how a pull of ``lane`` may end when the fault strikes one request."""
        return self.but.get(lane.name, (self.once,))


def _one(name: str, fault: str, /, **more: Any) -> Fault:
    """Return a fault of one step; what ``Fault`` does not know are the step's parameters."""
    known = {key: more.pop(key) for key in list(more) if key in Fault.__dataclass_fields__ and key != "name"}
    return Fault(name, ({"fault": fault, **more},), **known)


def _status(code: int, *, error: Ending, lasting: bool = False, name: str = "", **more: Any) -> Fault:
    ending = error if lasting else RIGHT
    return _one(name or f"status-{code}", "status", code=code, once=ending, always=(error,), **more)


def _lie(kind: str, *always: Ending, blind: Blind = NOBODY) -> Fault:
    return _one(f"content-length-{kind}", "lying_content_length", kind=kind, always=always, blind=blind)


_DROPPED = (RIGHT, ConnectionDroppedError)
_CUTS = (0, 1, 4095, 65536, MIB - 1, MIB, MIB + 1, LARGE // 2 + 3, LARGE - 1)
_RANGES = ("shifted", "size", "unknown", "unit", "backwards", "garbage", "missing")
_HUB = frozenset({"hub-large", "hub-small"})
_REDIRECTED = frozenset({"hub-large"})
#: A page or a pointer comes with its own length: only where a size is promised that is told at once.
_EMPTY_UNSIZED = dict.fromkeys(("plain-large", "google-large"), (ImpostorError, RIGHT))

SOCKET = (
    *(_one(f"cut-{at}", "cut_after", bytes=at, always=_DROPPED, interrupts=True) for at in _CUTS),
    *(
        _one(f"reset-{at}", "reset_after", bytes=at, always=_DROPPED, interrupts=True)
        for at in (0, 1, 20_000, MIB + 77)
    ),
    *(
        _one(f"stall-{at}", "stall_after", bytes=at, always=(RIGHT, StalledError), interrupts=True)
        for at in (0, 20_000, MIB + 99)
    ),
    _one("stall-before-headers", "stall_before_headers", always=(StalledError,), interrupts=True),
    _one("close-before-headers", "close_before_headers", always=(ConnectionDroppedError,), interrupts=True),
    _one("reset-before-headers", "close_before_headers", reset=True, always=(ConnectionDroppedError,), interrupts=True),
    _one("no-http", "garbage_status_line", always=(ConnectionDroppedError,), interrupts=True),
    _one("half-a-header", "truncated_headers", always=(ConnectionDroppedError,), interrupts=True),
    _one("header-bomb", "header_bomb", always=(SourceError,)),
    _one("short-body", "short_body", always=_DROPPED, interrupts=True),
    _one("long-body", "long_body"),
    _one("long-body-declared", "long_body", declared=True, always=(OversizeError, DisputedError), blind=UNSIZED),
    _one("endless-body", "endless_body", cap=6 * MIB, always=(RIGHT, OversizeError, DisputedError), blind=UNSIZED),
    _one("chunked", "chunked"),
    _one("chunked-cut", "truncated_chunked", bytes=30_000, always=_DROPPED, interrupts=True),
    _one("no-length", "no_length"),
    Fault(
        "no-length-cut",
        ({"fault": "no_length"}, {"fault": "cut_after", "bytes": 30_000}),
        always=(RIGHT, ConnectionDroppedError, DisputedError),
        blind=UNSIZED,
    ),
    _lie("big", OversizeError, ChangedError, ConnectionDroppedError, DisputedError),
    _lie("small", ChangedError, DisputedError, blind=UNSIZED),
    _lie("negative", SourceError),
    _lie("garbage", SourceError),
    _one("content-length-twice", "duplicate_headers", header="content-length", always=(SourceError,)),
    _one("content-range-twice", "duplicate_headers", header="content-range"),
    _one("etag-twice", "duplicate_headers", header="etag"),
    _one("slow-drip", "slow_drip", rate=2e7),
    _one("delay", "delay", seconds=0.1),
)
STATUS = (
    *(_status(code, error=AccessError, lasting=True) for code in (401, 403, 407, 451)),
    *(_status(code, error=NotFoundError, lasting=True) for code in (404, 410)),
    *(_status(code, error=StatusError, lasting=True) for code in (400, 418, 501, 505)),
    *(_status(code, error=StatusError) for code in (408, 425, 500, 502, 504)),
    *(_status(code, error=RateLimitedError) for code in (429, 503)),
    _status(416, error=RangeError),
    _status(429, name="retry-after-seconds", error=RateLimitedError, retry_after=1, only=frozenset({"hub-large"})),
    _status(429, name="retry-after-date", error=RateLimitedError, retry_date=1, only=frozenset({"google-large"})),
    _status(429, name="ratelimit-header", error=RateLimitedError, ratelimit=1, only=frozenset({"hub-small"})),
    _status(
        503, name="unavailable-retry-after", error=RateLimitedError, retry_after=1, only=frozenset({"plain-large"})
    ),
    _status(500, name="hub-500", error=StatusError, host="hub", only=_HUB),
    _status(404, name="hub-entry-gone", error=NotFoundError, lasting=True, host="hub", only=_HUB),
    _status(403, name="hub-gated", error=AccessError, lasting=True, host="hub", error_code="GatedRepo", only=_HUB),
)
IMPOSTOR = (
    _one("login-page", "html_login", once=ImpostorError, always=(ImpostorError,)),
    _one("login-page-of-the-hub", "html_login", host="hub", once=ImpostorError, always=(ImpostorError,), only=_HUB),
    _one("lfs-pointer", "lfs_pointer", once=ImpostorError, always=(ImpostorError,)),
    _one("no-bytes", "empty_body", always=(ChangedError, ImpostorError), but=_EMPTY_UNSIZED),
)
REDIRECT = (
    _one("circle", "redirect_loop", once=RedirectError, always=(RedirectError,)),
    _one("endless-redirects", "redirect_loop", growing=True, always=(RedirectError,)),
    *(
        _one(f"elsewhere-{code}", "redirect_to", to="plain", path="/elsewhere/other.bin", code=code)
        for code in (301, 302, 303, 307, 308)
    ),
    _one("elsewhere-from-the-hub", "redirect_to", to="plain", path="/elsewhere/other.bin", host="hub", only=_HUB),
    _one("refused", "redirect_to", url="{dead}/x", always=(ConnectionDroppedError,)),
    _one("no-such-name", "redirect_to", url="http://no-such-host.invalid/x", always=(NameResolutionError,)),
    _one("unknown-authority", "redirect_to", url="{untrusted}/weights.bin", once=TlsError, always=(TlsError,)),
    _one("ftp", "redirect_to", url="ftp://127.0.0.1/x", once=RedirectError, always=(RedirectError,)),
    _one("local-file", "redirect_to", url="file:///etc/hostname", once=RedirectError, always=(RedirectError,)),
    _one("redirect-cut-short", "cut_after", bytes=3, host="hub", only=_REDIRECTED),
)
RANGE = (
    _one("weak-etag", "weak_etag"),
    _one("no-etag", "no_etag"),
    _one("no-digests", "no_digests"),
    *(_one(f"content-range-{kind}", "wrong_content_range", kind=kind) for kind in _RANGES),
    _one("misplaced-range", "misplaced_range", always=(RIGHT, DisputedError)),
    _one("shorter-range", "shorter_range", bytes=1000, always=(RIGHT, RangeError)),
    _one("multipart", "multipart_range"),
    _one("gzip", "gzip", always=(SourceError,)),
    _one("range-ignored", "ignore_range"),
)
CONTENT = (
    _one("bit-flipped", "flip_bit", offset=1234, always=(RIGHT, DisputedError), blind=UNPROMISED),
    _one("bit-flipped-near-the-end", "flip_bit", offset=LARGE - 10, always=(DisputedError,), blind=UNPROMISED),
    _one("zeros", "zeros", always=(DisputedError,), blind=UNPROMISED),
    _one("changed", "etag_change", always=(RIGHT, ChangedError, DisputedError)),
    # Where nobody promises anything, the new version is as good as the old one; a mixture never is.
    _one("changed-while-sent", "etag_change_mid", always=(RIGHT, DisputedError)),
    _one("another-revision", "other_revision", always=(RIGHT, DisputedError)),
)
FAULTS = {fault.name: fault for fault in (*SOCKET, *STATUS, *IMPOSTOR, *REDIRECT, *RANGE, *CONTENT)}


def cannot_tell(fault: Fault, lane: Lane) -> bool:
    """Whether the lane knows too little of its file to refuse what the fault gives."""
    return lane.word is Word.NOTHING and lane.name in fault.blind
