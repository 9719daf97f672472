"""A source in memory that follows a script, for tests of transfers: a whole implementation of ``Reply``.

What the real openers check of a reply is checked by the same functions of ``wire``; only
the socket is missing. Each request uses up one ``Act``; after the last one all is well.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mirror.errors import ConnectionDroppedError, SourceError
from mirror.model import Authority, Claim, Digest, RemoteFile
from mirror.sources.access import HubAccess
from mirror.sources.opener import Openers
from mirror.sources.reply import Hop, SpannedBody
from mirror.store import Store
from mirror.transfer import Policy, Receipt, transfer
from mirror.wire import BodySpan, Fields, Validator, body_span, published_digests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import httpx2

    from mirror.transfer import Progress
    from mirror.transfer.dispute import Examine

URL = "https://source.example/weights.bin"
OTHER = "https://other.example/weights.bin"


@dataclass(frozen=True)
class Act:
    """What happens to one request.

    Attributes:
        cut: Body bytes after which the connection is gone; None never.
        refuse: Raised instead of an answer.
        ignore_range: Whether the whole file comes though a part was asked for.
        flip: Offset in the file of a byte that is wrong; None for none.
        shift: By how many bytes the ``Content-Range`` is wrong.
        extra: Bytes that come after the end, without a length that says so.
        etag: Entity tag of this reply; None is the source's own.
        step: The most bytes that one read gives.
        stated: Whether the reply says how long it is.
        page: A login page that comes instead.
    """

    cut: int | None = None
    refuse: SourceError | None = None
    ignore_range: bool = False
    flip: int | None = None
    shift: int = 0
    extra: int = 0
    etag: str | None = None
    step: int = 1 << 20
    stated: bool = True
    page: bytes = b""


@dataclass
class Origin:
    """One address and what it gives."""

    data: bytes
    acts: list[Act] = field(default_factory=list)
    etag: str | None = '"v1"'
    md5: bool = False
    asked: list[tuple[int, int | None]] = field(default_factory=list)
    sent: int = 0


class MemoryReply(SpannedBody):
    """A reply whose body is in memory."""

    def __init__(self, origin: Origin, act: Act, body: bytes, span: BodySpan, status: int, got: Fields) -> None:
        super().__init__(MemoryBody(origin, act, body), span, URL)
        self.validator = Validator.of(got)
        self.claims = published_digests(got, URL)
        self.hops: tuple[Hop, ...] = (Hop(URL, status, tuple(got)),)
        self.url = URL
        self.content_type = got.only("content-type")
        self.encoding: str | None = None


class MemoryBody:
    """A body that does what its act says."""

    def __init__(self, origin: Origin, act: Act, body: bytes) -> None:
        self._origin, self._act, self._body, self._at = origin, act, body, 0
        self._aborted = threading.Event()

    def readinto(self, buffer: memoryview) -> int:
        room = min(len(buffer), self._act.step)
        if self._act.cut is not None:
            room = min(room, self._act.cut - self._at)
        if self._aborted.is_set() or (room == 0 and self._at < len(self._body)):
            raise ConnectionDroppedError("cut")
        piece = self._body[self._at : self._at + room]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        self._origin.sent += len(piece)
        return len(piece)

    def abort(self) -> None:
        self._aborted.set()

    def close(self) -> None:
        self._aborted.set()


class MemoryOpeners(Openers):
    """Openers of addresses in memory."""

    def __init__(self, origins: dict[str, Origin]) -> None:
        super().__init__(_no_client, hub=HubAccess())
        self.origins = origins

    def open(
        self,
        url: str,
        *,
        start: int = 0,
        stop: int | None = None,
        validator: Validator | None = None,
        size: int | None = None,
    ) -> MemoryReply:
        origin = self.origins[url]
        origin.asked.append((start, stop))
        act = origin.acts.pop(0) if origin.acts else Act()
        if act.refuse is not None:
            raise act.refuse
        status, body, headers = _answer(origin, act, start, stop, validator)
        got = Fields(headers)
        span = body_span(status, got, asked=(start, stop), size=size)
        return MemoryReply(origin, act, body, span, status, got)


def _no_client() -> httpx2.Client:
    raise AssertionError("nothing here has a socket")


def _answer(
    origin: Origin, act: Act, start: int, stop: int | None, validator: Validator | None
) -> tuple[int, bytes, list[tuple[str, str]]]:
    data = bytearray(act.page or origin.data)
    if act.flip is not None and data:
        data[act.flip % len(data)] ^= 1
    etag = act.etag or origin.etag
    headers = [("Accept-Ranges", "bytes")] + ([("ETag", etag)] if etag else [])
    if origin.md5:
        headers.append(("x-goog-hash", "md5=" + base64.b64encode(hashlib.md5(origin.data).digest()).decode()))
    same = validator is None or validator.if_range in (None, etag)
    whole = (start == 0 and stop is None) or act.ignore_range or bool(act.page) or not same
    if not whole and start >= len(data):
        return 416, b"", [*headers, ("Content-Range", f"bytes */{len(data)}")]
    first, last = (0, len(data)) if whole else (start, min(stop or len(data), len(data)))
    body = bytes(data[first:last])
    if not whole:
        headers.append(("Content-Range", f"bytes {first + act.shift}-{last - 1 + act.shift}/{len(data)}"))
    headers.append(("Content-Length", str(len(body))) if act.stated and not act.extra else ("Transfer-Encoding", "x"))
    return 200 if whole else 206, body + b"+" * act.extra, headers


def promise(data: bytes, *algorithms: str) -> tuple[Claim, ...]:
    """Return the catalog's claims on ``data``."""
    known = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "git-sha1": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
        "md5": hashlib.md5(data).hexdigest(),
    }
    return tuple(Claim(Digest(name, known[name]), Authority.CATALOG, "catalog.json") for name in algorithms)


class Bench:
    """A store, a source in memory, and a policy without pauses."""

    def __init__(self, root: Path, data: bytes, acts: Sequence[Act] = (), *, etag: str | None = '"v1"') -> None:
        self.data = data
        self.origin = Origin(data, list(acts), etag)
        self.openers = MemoryOpeners({URL: self.origin})
        self.store = Store(root)
        self.events: list[Progress] = []
        self.pauses: list[float] = []
        self.stop = threading.Event()

    def other(self, data: bytes | None = None, acts: Sequence[Act] = ()) -> Origin:
        """Add a second address."""
        self.openers.origins[OTHER] = Origin(self.data if data is None else data, list(acts))
        return self.openers.origins[OTHER]

    def file(self, *algorithms: str, size: int | None = -1, claims: tuple[Claim, ...] = ()) -> RemoteFile:
        """Return what is promised; ``size`` None is unknown."""
        known = len(self.data) if size == -1 else size
        claims = (*promise(self.data, *algorithms), *claims)
        return RemoteFile("m@s", "weights.bin", tuple(self.openers.origins), size=known, claims=claims)

    def policy(self, **fields: float) -> Policy:
        """Return a policy without real pauses, in which every file counts as large."""
        given = {"small": 0, "max_ranges": 1, **fields}
        return Policy(sleep=self._sleep, random=lambda: 0.0, **given)  # type: ignore[arg-type] # numbers only

    def _sleep(self, seconds: float, stop: threading.Event) -> None:
        self.pauses.append(seconds)

    def fetch(
        self,
        file: RemoteFile,
        *,
        policy: Policy | None = None,
        examine: Examine | None = None,
        watch: Callable[[Progress], None] | None = None,
    ) -> Receipt:
        """Transfer ``file`` and, as the recorder does, name and forget what came."""
        receipt = transfer(
            file,
            self.openers,
            self.store,
            policy=policy or self.policy(),
            watch=watch or self.events.append,
            stop=self.stop,
            examine=examine,
        )
        if receipt.data is not None:
            self.store.publish([(receipt.sha256, receipt.data)])
        if receipt.partial is not None:
            receipt.partial.forget()
        return receipt

    def got(self, receipt: Receipt) -> bytes:
        """Return the bytes in the store."""
        return self.store.blob_path(receipt.sha256).read_bytes()
