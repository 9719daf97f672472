"""The bytes of a find into the store, and the record of where they came from.

Bytes first, then their row: whoever is stopped in between runs the same command again. What
was recognised is hashed once more while it is copied, since a person's files may change.
"""

from __future__ import annotations

import getpass
import hashlib
from typing import TYPE_CHECKING, Any

from mirror.digests import BLOCKS_FROM, MultiDigest, algorithms_for
from mirror.errors import DisputedError, IntegrityError
from mirror.evidence import judge
from mirror.model import Event, Listing
from mirror.store import SMALL, partial_key
from mirror.sync import rows
from mirror.sync.adopt import Judged
from mirror.transfer.receipt import Account

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mirror.ingest.plans import Left, Take
    from mirror.ledger import Reader
    from mirror.store import Store

_PIECE = 1 << 20


def take(one: Take, store: Store) -> Judged:
    """Put the bytes of a find into the store, and judge them by every claim.

    Raises:
        DisputedError: Somebody says something else of them; a copy is in the quarantine.
        IntegrityError: They changed since they were recognised.
        StoreError: The store cannot be written.
    """
    view, file = one.find.view, one.file
    wanted = MultiDigest(algorithms_for(file.claims), size=len(view), blocks=len(view) > BLOCKS_FROM)
    for at in range(0, len(view), _PIECE):
        wanted.update(view[at : at + _PIECE])
    digests = wanted.result()
    sha256 = digests["sha256"].hex
    if sha256 != one.find.sha256:
        raise IntegrityError(f"{one.find.name} changed while it was read", hint="run the command again")
    evidence = judge(digests, file.claims)
    if evidence.against:
        place = store.quarantine(bytes(view), {"file": str(file), "found_by": "ingest", "name": one.find.name})
        error = DisputedError(str(file), claims=tuple(map(str, evidence.against)), actual=str(digests["sha256"]))
        error.account = Account(digests=digests, evidence=evidence, quarantine=place.name)
        raise error
    if store.find(sha256) is None:
        _copy(view, sha256, store)
    return Judged(file, sha256, len(view), digests, wanted.block_crcs(), evidence)


def _copy(view: memoryview, sha256: str, store: Store) -> None:
    if len(view) <= SMALL:
        data = bytes(view)
        if hashlib.sha256(data).hexdigest() == sha256:
            store.publish([(sha256, data)])
            return
        raise IntegrityError("the bytes changed while they were copied", hint="run the command again")
    with store.partial(partial_key("ingest", sha256)) as partial:
        partial.restart(len(view))
        digest = hashlib.sha256()
        for at in range(0, len(view), _PIECE):
            piece = bytes(view[at : at + _PIECE])
            digest.update(piece)
            partial.write(0, at, piece)
        if digest.hexdigest() != sha256:
            raise IntegrityError("the bytes changed while they were copied", hint="run the command again")
        partial.commit(sha256)
    partial.forget()


def listed(artifact: str, taken: Iterable[Judged], reader: Reader | None, url: str | None) -> Event:
    """Return the event that an artifact consists of what it did before, and what was taken in."""
    before = reader.listing(artifact) if reader is not None else None
    files = {file.path: file for file in (before.files if before is not None else ())}
    for judged in taken:
        files.setdefault(judged.file.path, judged.file)
    listing = Listing(artifact, before.revision if before is not None else None, tuple(files.values()))
    return rows.listed(listing, source=url or "ingest", narrowed=())


def stored(one: Take, judged: Judged) -> Event:
    """Return the event that a find was taken in: by whom, from where, and which share it answers."""
    event = rows.adopted(judged, how="ingested")
    origin = {"name": one.find.name, "by": _who(), "inside": list(one.find.outer), "share": one.share, "why": one.why}
    return Event(event.kind, event.subject, {**event.detail, "origin": {**origin, **one.find.came}})


def refused(one: Left, store: Store) -> Event | None:
    """Keep a copy of what is disputed, and return the event; None for everything that is only left."""
    if one.status != "disputed" or one.find is None:
        return None
    detail: dict[str, Any] = {"name": one.name, "sha256": one.find.sha256, "why": one.why, "by": _who()}
    place = store.quarantine(bytes(one.find.view), {"found_by": "ingest", **detail})
    return Event("refused", one.artifact or "mirror", {**detail, "quarantine": place.name})


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "somebody"
