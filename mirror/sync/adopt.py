"""Files whose bytes are here already: judged by their own claims, recorded, not fetched.

Or put away, where a blob has not even the size that was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mirror.digests import BLOCKS_FROM, MultiDigest, algorithms_for, digest_file
from mirror.errors import DisputedError, IntegrityError, ReadOnlyStoreError, StoreError
from mirror.evidence import Evidence, judge
from mirror.model import Event
from mirror.transfer.receipt import Account

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mirror.ledger import FileState
    from mirror.model import Digest, RemoteFile
    from mirror.store import Store


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that are in the store, or will be in a moment.

    Attributes:
        sha256: Their name.
        path: Where they are; None while ``data`` waits to be published.
        data: The bytes, while they wait to be published.
        digests: What is known of them, by algorithm.
    """

    sha256: str
    path: Path | None = None
    data: bytes | None = None
    digests: Mapping[str, Digest] = field(default_factory=dict)


class Judged(NamedTuple):
    """Bytes with everything that ``file`` needs to be known of them."""

    file: RemoteFile
    sha256: str
    size: int
    digests: Mapping[str, Digest]
    blocks: tuple[int, ...]
    evidence: Evidence


def adopt(file: RemoteFile, held: Held) -> Judged:
    """Judge bytes that are here by the claims on ``file``; they are read only if a digest is missing.

    Raises:
        DisputedError: They are not what somebody says of this file; the blob itself stays.
        IntegrityError: The blob is not what its name says.
        StoreError: The blob cannot be read.
    """
    digests, size, blocks = _known(held, algorithms_for(file.claims))
    if digests["sha256"].hex != held.sha256:
        raise IntegrityError(
            f"{held.path} holds {digests['sha256']}", hint="run `minibert-mirror verify`: the blob was altered"
        )
    evidence = judge(digests, file.claims)
    if evidence.against:
        error = DisputedError(str(file), claims=tuple(map(str, evidence.against)), actual=str(digests["sha256"]))
        error.account = Account(digests=digests, evidence=evidence)
        raise error
    return Judged(file, held.sha256, size, digests, blocks, evidence)


def put_away(states: Iterable[FileState], store: Store) -> list[Event]:
    """Move the blobs of ``states``, which have another size than was recorded, to the quarantine, as ``verify`` does.

    Returns:
        Events for the ledger. Where the store cannot be written, the blobs stay.

    Raises:
        StoreError: A blob cannot be moved.
    """
    events = []
    for sha256, size in {state.sha256: state.size for state in states if state.sha256}.items():
        evidence = {"expected": {"sha256": sha256, "size": size}, "found_by": "pull"}
        path = store.blob_path(sha256)
        try:
            store.quarantine(path, evidence)
        except ReadOnlyStoreError:
            continue
        except StoreError as error:
            # Whoever else found it bad may just have done so.
            if not isinstance(error.__cause__, FileNotFoundError) or path.exists():
                raise
        detail = {"sha256": sha256, "level": "stat", "verdict": "resized"}
        events.append(Event("verified", f"sha256:{sha256}", detail))
    return events


def _known(held: Held, wanted: frozenset[str]) -> tuple[Mapping[str, Digest], int, tuple[int, ...]]:
    """Return digests, size and block CRCs; of bytes that must not be read again, no CRCs."""
    enough = wanted <= held.digests.keys()
    if held.data is not None:
        if enough:
            return held.digests, len(held.data), ()
        fresh = MultiDigest(wanted, size=len(held.data))
        fresh.update(held.data)
        return fresh.result(), len(held.data), ()
    assert held.path is not None
    try:
        size = held.path.stat().st_size
        if enough:
            return held.digests, size, ()
        digests, blocks = digest_file(held.path, wanted, blocks=size > BLOCKS_FROM)
    except OSError as error:
        raise StoreError(f"{held.path}: {error.strerror}") from error
    return digests, size, blocks
