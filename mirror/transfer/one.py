"""One file, from its addresses to judged bytes: what the rest of the program calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mirror.digests import BLOCKS_FROM, algorithms_for, digest_file
from mirror.errors import MirrorError, StoreError
from mirror.evidence import conflicts, judge
from mirror.model import STRONG
from mirror.transfer.course import Course
from mirror.transfer.dispute import contradiction, disputed, examined
from mirror.transfer.events import Done, Failed, Started
from mirror.transfer.receipt import Receipt, account_of
from mirror.transfer.ruling import Ruling, case, rule
from mirror.transfer.small import fetch_small
from mirror.wire import redact

if TYPE_CHECKING:
    import threading

    from mirror.evidence import Evidence
    from mirror.model import Digest, RemoteFile
    from mirror.sources.opener import Openers
    from mirror.store import Partial, Store
    from mirror.transfer.dispute import Examine
    from mirror.transfer.events import Watch
    from mirror.transfer.large import Large
    from mirror.transfer.policy import Policy


def transfer(
    file: RemoteFile,
    openers: Openers,
    store: Store,
    *,
    policy: Policy,
    watch: Watch,
    stop: threading.Event,
    examine: Examine | None = None,
) -> Receipt:
    """Bring one file whole and judged, from whichever of its addresses gives it.

    Small files come back as bytes, to be published by the caller; large ones are in the
    store, and their claim stays until the caller has recorded them.

    Args:
        file: What is wanted.
        openers: Open its addresses.
        store: Where bytes are kept.
        policy: How patient and how polite.
        watch: Is told how it goes, from several threads.
        stop: Ends it; a ``Stop`` does so at once.
        examine: Looks inside bytes that fulfil every claim; returns the claims that what is inside breaks.

    Raises:
        DisputedError: Authorities disagree; what bytes there are, are in quarantine.
        ImpostorError: Every address gives something else than the file.
        IntegrityError: ``examine`` says that this is not the file at all.
        SourceError: No address gives it; the narrowest class says why.
        BusyError: Another process, or thread, is fetching the same bytes.
        StoreError: The store cannot be written.
        TransferStopped: ``stop`` was set; what has come is kept.
    """
    course = Course(file, openers, policy, watch, stop, examine)
    try:
        receipt = _bring(course, store)
    except MirrorError as error:
        account = account_of(error)
        error.account = replace(account, attempts=tuple(course.attempts), wire_bytes=course.wire_bytes)
        watch(Failed(file, error))
        raise
    watch(Done(file, receipt.size))
    return receipt


def key_of(file: RemoteFile) -> str:
    """Return the key of a file's partial: the strongest identity that is known beforehand."""
    from mirror.store import partial_key

    strong = sorted(claim.digest for claim in file.claims if claim.digest.algorithm in STRONG)
    if strong:
        best = next((digest for digest in strong if digest.algorithm == "sha256"), strong[0])
        return partial_key(str(best))
    return partial_key("url", file.urls[0] if file.urls else str(file), file.revision or "")


def _bring(course: Course, store: Store) -> Receipt:
    file = course.file
    if file.size is not None and file.size <= course.policy.small:
        # Also when its promises contradict each other: what the source gives is kept as evidence.
        return fetch_small(course, store, file.size)
    if clash := conflicts(file.claims):
        # The same of gigabytes would be a high price for what both words say already.
        raise contradiction(file, clash)
    with store.partial(key_of(file)) as partial:
        if partial.committed is not None:
            receipt = _recorded_late(course, store, partial, partial.committed)
            if receipt is not None:
                return receipt
            partial.restart(file.size)
        return _fetch_large(course, partial)


def _fetch_large(course: Course, partial: Partial) -> Receipt:
    from mirror.transfer.large import Large  # many pulls bring small files only

    large = Large(course, partial)
    earlier: list[str] = []
    try:
        while True:
            large.complete()
            digests, blocks, evidence = large.held.judge()
            sha256 = digests["sha256"].hex
            ruling = rule(evidence, sha256=sha256, earlier=earlier, restarts=course.policy.restarts)
            if ruling is Ruling.KEEP:
                hops = large.reply.hops if large.reply is not None else ()
                examined(course, partial.path, digests, evidence, hops, keep=partial.quarantine)
                return _committed(course, large, digests, blocks, evidence)
            why = "; ".join(map(str, evidence.against))
            course.note_mismatch(f"sha256:{sha256}", why, large.held.board.held)
            if ruling is Ruling.DISPUTE:
                hops = large.reply.hops if large.reply is not None else ()
                place = partial.quarantine(case(course.file, digests, evidence, hops, earlier))
                raise disputed(course.file, digests, evidence, hops=hops, quarantine=place.name)
            earlier.append(sha256)
            large.start_over(why)
    finally:
        large.close()


def _committed(
    course: Course, large: Large, digests: dict[str, Digest], blocks: tuple[int, ...], evidence: Evidence
) -> Receipt:
    course.check_stop()
    past, partial, size = large.held.past, large.held.partial, large.held.board.held
    blob = partial.commit(digests["sha256"].hex)
    return Receipt(
        file=course.file,
        sha256=blob.sha256,
        size=size,
        data=None,
        blob=blob,
        partial=partial,
        digests=digests,
        evidence=evidence,
        url=past.url,
        hops=large.reply.hops if large.reply is not None else (),
        validator=past.validator,
        wire_bytes=course.wire_bytes,
        seconds=course.seconds,
        attempts=tuple(course.attempts),
        blocks=blocks,
    )


def _recorded_late(course: Course, store: Store, partial: Partial, sha256: str) -> Receipt | None:
    """Return a receipt for bytes that got their name just before an earlier process died; None if they do not do.

    They are read again: nothing but the bytes themselves can say what they are.
    """
    from mirror.transfer.resume import Past

    file, blob, past = course.file, store.find(sha256), Past.from_journal(partial.journal)
    if blob is None:
        return None
    claims = tuple(dict.fromkeys((*file.claims, *past.claims)))
    try:
        digests, blocks = digest_file(blob.path, algorithms_for(claims), blocks=True)
    except OSError as error:
        raise StoreError(f"{blob.path}: {error.strerror or error!r}") from error
    evidence = judge(digests, claims)
    if evidence.against or digests["sha256"].hex != sha256:
        return None
    examined(course, blob.path, digests, evidence, (), keep=lambda case: store.quarantine(blob.path, case))
    course.watch(Started(file, blob.size, blob.size))
    return Receipt(
        file=file,
        sha256=sha256,
        size=blob.size,
        data=None,
        blob=blob,
        partial=partial,
        digests=digests,
        evidence=evidence,
        url=past.url or redact(course.url),
        hops=(),
        validator=past.validator,
        wire_bytes=0,
        seconds=course.seconds,
        blocks=blocks if blob.size > BLOCKS_FROM else (),
    )
