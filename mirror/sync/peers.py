"""Another mirror that is asked first, and what this one tells others.

A peer's word is good for finding bytes and for knowing what an artifact consists of; it
never outweighs a publisher's or a pin. Where its bytes or its word turn out wrong, they
are refused, and the publisher is asked as if there had been no peer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mirror.errors import ImpostorError, NotFoundError, ReadOnlyStoreError, SourceError, StoreError
from mirror.evidence import judge
from mirror.model import Authority, Listing, RemoteFile
from mirror.sources.narrow import narrow
from mirror.sources.peer import INDEX, Offer, index_lines, list_peer, peer_base, promised, with_peers
from mirror.wire import redact, resolve_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mirror.catalog import Artifact
    from mirror.ledger import Reader
    from mirror.sources.access import HubAccess
    from mirror.store import Store
    from mirror.sync.parts import Parts
    from mirror.transfer.receipt import Receipt

_EVENT = re.compile(r'"event": ([0-9]{1,18})\b')


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer, and what it offers.

    Attributes:
        base: Its address.
        offers: What its index says, by artifact.
        digests: sha256 of every file that it holds by its index, by artifact, revision and path.
        held: The same, as a set; None without an index: then it may hold anything.
    """

    base: str
    offers: Mapping[str, Offer] = field(default_factory=dict)
    digests: Mapping[tuple[str, str | None, str], str] = field(default_factory=dict)
    held: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """Its address, for people."""
        return redact(self.base)

    def listing(self, artifact: Artifact, hub: HubAccess, formats: Sequence[str]) -> Listing | None:
        """Return what a repository consists of by the peer's word, so that its hub need not be asked.

        None when the peer does not know it, knows only a part, or has another commit than the catalog's;
        and for other kinds of sources, whose files the catalog knows.
        """
        offer = self.offers.get(artifact.name)
        revision = offer.listing.revision if offer is not None else None
        if offer is None or artifact.repo is None or revision is None or artifact.revision not in {None, revision}:
            return None
        if offer.narrowed is not None and not (formats and set(formats) <= set(offer.narrowed)):
            return None
        files = [
            replace(file, urls=(resolve_url(hub.endpoint, artifact.repo, revision, file.path),), claims=())
            for file in offer.listing.files
        ]
        return Listing(artifact.name, revision, narrow(files, formats), offer.listing.refused)

    def promise(self, file: RemoteFile) -> RemoteFile | None:
        """Return ``file`` with the peer's address in front; None when the peer has nothing to say of it."""
        if file.sha256 is not None:
            known = self.held is None or file.sha256 in self.held
            return with_peers(file, [self.base]) if known else None
        sha256 = self.digests.get((file.artifact, file.revision, file.path))
        return None if sha256 is None else promised(file, self.base, sha256)

    def own(self, receipt: Receipt) -> Receipt:
        """Return a receipt in which what the peer's server says of the bytes is the peer's word, no publisher's."""
        if not receipt.hops or not receipt.hops[0].url.startswith(self.name):
            return receipt
        known = set(receipt.file.claims)
        claims = [c if c in known else c._replace(authority=Authority.PEER) for c in receipt.evidence.agreeing]
        return receipt._replace(evidence=judge(receipt.digests, claims))


def meet(text: str, parts: Parts, notes: list[str]) -> Peer | None:
    """Ask a peer what it holds.

    Args:
        text: Its http address, its mirror's folder or its ``cache/``.
        parts: For the network.
        notes: Is told what is not as it should be.

    Returns:
        The peer; None when it does not answer.

    Raises:
        NotFoundError: A folder that is no mirror.
        SourceError: A ``file://`` address that makes no sense.
    """
    base = peer_base(text)
    try:
        offers = list_peer(base, parts.openers)
    except NotFoundError:
        notes.append(f"{redact(base)} has no {INDEX}: it is asked only for files whose sha256 is known")
        return Peer(base)
    except (SourceError, ImpostorError) as error:
        notes.append(f"{error}; the publishers are asked instead")
        return None
    files = [file for offer in offers for file in offer.held]
    digests = {(file.artifact, file.revision, file.path): file.sha256 for file in files if file.sha256}
    return Peer(base, {offer.listing.artifact: offer for offer in offers}, digests, frozenset(digests.values()))


def tell(parts: Parts, notes: list[str]) -> None:
    """Say what this mirror holds beside its blobs, so that any web server over ``cache/`` makes it a peer.

    Written when the ledger has gone on since, whoever wrote it, and even if that process died. A mirror that
    can only be read is left as it is.

    Args:
        parts: The mirror.
        notes: Is told when there is no room for it: what was pulled is held all the same.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with parts.reader() as reader:
        if reader is None:
            return
        event = reader.head().seq
        try:
            if parts.store.first_line(INDEX) != next(index_lines((), event)):
                parts.store.write(INDEX, index_lines(reader.holdings(reader.artifacts()), event))
        except ReadOnlyStoreError:
            return
        except StoreError as error:
            notes.append(f"{INDEX}, for other mirrors, is not up to date: {error}")


def is_behind(store: Store, reader: Reader | None) -> bool:
    """Whether the store's index was written after an event that the ledger no longer has.

    Raises:
        LedgerError: The ledger cannot be read.
        StoreError: The index cannot be read.
    """
    found = _EVENT.search(store.first_line(INDEX) or "")
    return found is not None and int(found[1]) > (reader.head().seq if reader is not None else 0)
