"""The bytes of a find into the store, and the record of where they came from.

Bytes first, then their row: whoever is stopped in between runs the same command again. What
was recognised is hashed once more as the store has it, since a person's files may change.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mirror.digests import BLOCKS_FROM, MultiDigest, algorithms_for
from mirror.errors import DisputedError, IntegrityError, LinkError
from mirror.evidence import judge
from mirror.ingest.cases import who
from mirror.ingest.finds import pieces
from mirror.model import Event, Listing
from mirror.store import SMALL, Way, partial_key
from mirror.sync import rows
from mirror.sync.adopt import Judged
from mirror.transfer.receipt import Account

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from mirror.ingest.plans import Take
    from mirror.ledger import Reader
    from mirror.store import Store


class Link(StrEnum):
    """How bytes get from a person's file into the store."""

    AUTO = "auto"  # a reflink where that can be, else a copy
    REFLINK = "reflink"
    HARDLINK = "hardlink"
    COPY = "copy"


class Taken(NamedTuple):
    """A find that was taken in.

    Attributes:
        take: What was planned.
        judged: What it was found to be, once more.
        way: ``reflink``, ``hardlink`` or ``copy``; ``held`` where the store had the bytes already.
    """

    take: Take
    judged: Judged
    way: str


def take(one: Take, store: Store, link: Link = Link.AUTO) -> Taken:
    """Put the bytes of a find into the store, and judge them by every claim.

    What is small, or in an archive, is copied whatever ``link`` says.

    Raises:
        DisputedError: Somebody says something else of them.
        IntegrityError: They changed since they were recognised.
        LinkError: The file cannot be linked in the way that was asked for.
        StoreError: The store cannot be written.
    """
    source = one.find.source
    if store.find(one.find.sha256) is not None:
        return Taken(one, _judged(one, source), "held")
    if isinstance(source, Path) and one.find.size > SMALL and link is not Link.COPY:
        way = Way.HARDLINK if link is Link.HARDLINK else Way.REFLINK
        try:
            with store.shared(source, way) as shared:
                judged = _judged(one, shared.path)
                shared.commit(judged.sha256)
            return Taken(one, judged, way.value)
        except LinkError:
            if link is not Link.AUTO:
                raise
    judged = _judged(one, source)
    _copy(one, store)
    return Taken(one, judged, "copy")


def _judged(one: Take, source: Path | memoryview) -> Judged:
    """Return what bytes are, read again, by every claim on the file that they should be."""
    file, size = one.file, one.find.size
    wanted = MultiDigest(algorithms_for(file.claims), size=size, blocks=size > BLOCKS_FROM)
    for piece in _read(one, source):
        wanted.update(piece)
    digests = wanted.result()
    sha256 = digests["sha256"].hex
    if sha256 != one.find.sha256:
        raise _changed(one)
    evidence = judge(digests, file.claims)
    if evidence.against:
        error = DisputedError(str(file), claims=tuple(map(str, evidence.against)), actual=str(digests["sha256"]))
        error.account = Account(digests=digests, evidence=evidence)
        raise error
    return Judged(file, sha256, size, digests, wanted.block_crcs(), evidence)


def _read(one: Take, source: Path | memoryview) -> Iterator[bytes | memoryview]:
    try:
        yield from pieces(source)
    except OSError as error:
        raise IntegrityError(f"{one.find.name} could not be read again: {error.strerror or error}") from error


def _changed(one: Take) -> IntegrityError:
    return IntegrityError(f"{one.find.name} changed while it was read", hint="run the command again")


def _copy(one: Take, store: Store) -> None:
    """Copy bytes into the store; their digest is that of what was written."""
    sha256 = one.find.sha256
    if one.find.size <= SMALL:
        data = b"".join(_read(one, one.find.source))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise _changed(one)
        store.publish([(sha256, data)])
        return
    with store.partial(partial_key("ingest", sha256)) as partial:
        partial.restart(one.find.size)
        digest, at = hashlib.sha256(), 0
        for piece in _read(one, one.find.source):
            digest.update(piece)
            at += partial.write(0, at, piece)
        if digest.hexdigest() != sha256:
            raise _changed(one)
        partial.commit(sha256)
    partial.forget()


def listed(artifact: str, taken: Collection[Taken], reader: Reader | None, narrowed: Sequence[str]) -> Event:
    """Return the event that an artifact consists of what was taken in, and what it did before and still does.

    Args:
        artifact: Its name.
        taken: What was taken in of it.
        reader: The ledger; None when there is none yet.
        narrowed: The formats that this is all of; empty where there are no others.
    """
    before = reader.listing(artifact) if reader is not None else None
    gone = {path for one in taken for path in one.take.instead_of}
    files = {file.path: file for file in (before.files if before is not None else ()) if file.path not in gone}
    for one in taken:
        files.setdefault(one.judged.file.path, one.judged.file)
    listing = Listing(artifact, before.revision if before is not None else None, tuple(files.values()))
    return rows.listed(listing, source=next((one.take.share for one in taken), None) or "ingest", narrowed=narrowed)


def stored(taken: Taken) -> Event:
    """Return the event that a find was taken in: by whom, from where, how, and which share it answers."""
    event, one = rows.adopted(taken.judged, how="ingested"), taken.take
    origin = {"name": one.find.name, "by": who(), "inside": list(one.find.outer), "share": one.share, "why": one.why}
    origin |= {"way": taken.way, **one.find.came}
    return Event(event.kind, event.subject, {**event.detail, "origin": origin})
