"""Small files: one request, all bytes in memory, judged before anything is written.

Nothing is resumed here: fetching a small file again costs less than keeping a partial.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mirror.digests import MultiDigest, algorithms_for
from mirror.errors import ConnectionDroppedError, ImpostorError, OversizeError, SourceError
from mirror.evidence import judge
from mirror.transfer.dispute import disputed, examined
from mirror.transfer.events import Advanced, Restarted, Started
from mirror.transfer.receipt import Receipt
from mirror.transfer.ruling import Ruling, case, promises, rule
from mirror.wire import looks_like_login_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.evidence import Evidence
    from mirror.model import Digest
    from mirror.sources.reply import Reply
    from mirror.store import Store
    from mirror.transfer.course import Course
    from mirror.transfer.request import Tap


def fetch_small(course: Course, store: Store, size: int) -> Receipt:
    """Bring a file of ``size`` bytes, which fit into memory.

    Raises:
        DisputedError: Authorities disagree about the bytes, which are in quarantine.
        ImpostorError: Every address gives something else than the file.
        SourceError: No address gives it.
        StoreError: Disputed bytes could not be put into quarantine.
        TransferStopped: A stop was wanted.
    """
    file = course.file
    earlier: list[str] = []
    course.watch(Started(file, size, 0))
    while True:
        try:
            with course.ask(size=size) as tap:
                data = _read(course, tap, size)
                digests, evidence = _judge(course, tap.reply, data)
                _look(course, tap.reply, data, evidence)
        except (SourceError, ImpostorError) as error:
            course.again(error, progressed=False)
            continue
        course.watch(Advanced(file, len(data)))
        sha256 = digests["sha256"].hex
        ruling = rule(evidence, sha256=sha256, earlier=earlier, restarts=course.policy.restarts)
        if ruling is Ruling.KEEP:
            keep = partial(store.quarantine, data)
            examined(course, data, digests, evidence, tap.reply.hops, keep=keep)
            return _receipt(course, tap.reply, data, digests, evidence)
        why = "; ".join(map(str, evidence.against))
        course.note_mismatch(f"sha256:{sha256}", why, len(data))
        if ruling is Ruling.DISPUTE:
            place = store.quarantine(data, case(file, digests, evidence, tap.reply.hops, earlier))
            raise disputed(file, digests, evidence, hops=tap.reply.hops, quarantine=place.name)
        earlier.append(sha256)
        course.watch(Restarted(file, why))


def _read(course: Course, tap: Tap, size: int) -> bytes:
    """Return the whole body; one byte of room more shows a body that does not end."""
    buffer = memoryview(bytearray(size + 1))
    filled = 0
    while count := tap.fill(buffer[filled:]):
        filled += count
        if filled > size:
            raise OversizeError(f"{tap.reply.url}: more than the {size} B that were promised")
        course.check_stop()
    if filled < size:
        raise ConnectionDroppedError(f"{tap.reply.url}: {filled} of {size} B came")
    return bytes(buffer[:size])


def _judge(course: Course, reply: Reply, data: bytes) -> tuple[dict[str, Digest], Evidence]:
    claims = tuple(dict.fromkeys((*course.file.claims, *reply.claims)))
    digest = MultiDigest(algorithms_for(claims), size=len(data))
    digest.update(data)
    digests = digest.result()
    return digests, judge(digests, claims)


def _look(course: Course, reply: Reply, data: bytes, evidence: Evidence) -> None:
    """Refuse a page in place of the file, unless a strong digest says that the page is the file."""
    if promises(evidence.agreeing) and not evidence.against:
        return
    if looks_like_login_page(reply.content_type, data[:1024], course.file.path) and data:
        raise ImpostorError(f"{reply.url}: a web page or a pointer instead of {course.file}")


def _receipt(course: Course, reply: Reply, data: bytes, digests: Mapping[str, Digest], evidence: Evidence) -> Receipt:
    return Receipt(
        file=course.file,
        sha256=digests["sha256"].hex,
        size=len(data),
        data=data,
        blob=None,
        partial=None,
        digests=digests,
        evidence=evidence,
        url=reply.url,
        hops=reply.hops,
        validator=reply.validator,
        wire_bytes=course.wire_bytes,
        seconds=course.seconds,
        attempts=tuple(course.attempts),
    )
