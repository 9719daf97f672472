"""A ledger that is gone, or has lost its end: what the store holds is recorded again.

``index.json``, written beside the blobs after every pull, still says which file each of them
is. Nothing of it is believed: every blob is hashed, and the catalog's pins are asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.digests import BLOCKS_FROM, digest_file
from mirror.errors import StoreError
from mirror.evidence import judge
from mirror.model import HEX_LENGTH, Authority, Claim, Digest, Event, RemoteFile
from mirror.sources.peer import INDEX, read_index
from mirror.sync import rows
from mirror.sync.adopt import Judged
from mirror.sync.survey import pins_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mirror.catalog import Artifact
    from mirror.ledger import Reader
    from mirror.sources.peer import Offer
    from mirror.sync.parts import Parts


class Recovered(NamedTuple):
    """What was recorded again."""

    files: int
    bytes: int


def recover(parts: Parts, reader: Reader | None) -> Recovered:
    """Record every file that the index names and the ledger does not know, and whose blob is what its name says.

    Raises:
        SourceError: The index is damaged.
        StoreError: A blob cannot be read.
        LedgerError: The ledger cannot be read or written.
    """
    path = parts.store.root / INDEX
    try:
        offers = read_index(path.read_bytes(), parts.store.root.absolute().as_uri())
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    known = set(reader.artifacts()) if reader is not None else set()
    files = size = 0
    with parts.ledger() as ledger:
        for offer in offers:
            if offer.listing.artifact in known:
                continue
            found = list(_found(parts, offer))
            files, size = files + len(found), size + sum(judged.size for judged in found)
            ledger.record([*_listed(parts, offer), *[rows.adopted(judged, how="healed") for judged in found]])
    return Recovered(files, size)


def _listed(parts: Parts, offer: Offer) -> Iterator[Event]:
    """Yield the listing of an artifact whose files the catalog knows; of others, their sources are asked again."""
    artifact = parts.artifact(offer.listing.artifact)
    if artifact is not None and artifact.kind == "http":
        from mirror.sources.published import list_published

        listing = list_published(artifact, formats=offer.narrowed or ())
        yield rows.listed(listing, source="catalog.json", narrowed=offer.narrowed or ())


def _found(parts: Parts, offer: Offer) -> Iterator[Judged]:
    artifact = parts.artifact(offer.listing.artifact)
    for file in offer.held:
        blob = parts.store.find(file.sha256) if file.sha256 else None
        if blob is not None and (judged := _judged(file, blob.path, artifact)) is not None:
            yield judged


def _judged(file: RemoteFile, blob: Path, artifact: Artifact | None) -> Judged | None:
    """Return what a blob is as ``file``; None when it is not what its name says, or a pin denies it."""
    size = blob.stat().st_size
    # All that any source may ask for later: nothing has to be read once more then.
    digests, blocks = digest_file(blob, HEX_LENGTH, blocks=size > BLOCKS_FROM)
    if digests["sha256"].hex != file.sha256:
        return None
    first = Claim(Digest("sha256", file.sha256), Authority.LEDGER, f"first contact, by {INDEX}")
    pins = pins_of(artifact).get(file.path, ()) if artifact is not None else ()
    again = RemoteFile(file.artifact, file.path, (), size, (*pins, first), file.revision)
    evidence = judge(digests, again.claims)
    return None if evidence.against else Judged(again, digests["sha256"].hex, size, digests, blocks, evidence)
