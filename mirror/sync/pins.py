"""What a pin of today means for bytes that are held already: confirmed, or denied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import DisputedError
from mirror.evidence import judge
from mirror.model import Authority, Event, RemoteFile
from mirror.sync import rows
from mirror.sync.adopt import Held, adopt
from mirror.sync.outcome import Request
from mirror.sync.survey import Survey, survey
from mirror.transfer.receipt import Account

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mirror.catalog import Artifact
    from mirror.ledger import Reader
    from mirror.lock import Lock
    from mirror.store import Store


def agreed(reader: Reader, artifacts: Sequence[Artifact], store: Store, lock: Lock) -> list[Event]:
    """Return the events by which what is held of ``artifacts`` takes up the pins of today.

    Raises:
        LedgerError: The ledger cannot be read.
        StoreError: A blob has to be read, and cannot be.
    """
    found = survey(reader, artifacts, store, lock, Request(tuple(artifacts)))
    return list(recorded(found, reader, store))


def recorded(found: Survey, reader: Reader, store: Store) -> Iterator[Event]:
    """Yield the events by which held files become pinned, or disputed until what the pin means has come.

    Raises:
        LedgerError: The ledger cannot be read.
        StoreError: A blob has to be read, and cannot be.
    """
    for file in found.confirmed:
        state = reader.file(file.artifact, file.path)
        row = reader.blob(state.sha256) if state is not None and state.sha256 else None
        if row is not None:
            yield rows.adopted(adopt(file, Held(row.sha256, store.blob_path(row.sha256), digests=row.digests)))
    for file in found.denied:
        yield rows.failed(file, denial(file))


def denial(file: RemoteFile) -> DisputedError:
    """Return the error for a held file that a pin denies; what is held is among its claims."""
    claims = [claim for claim in file.claims if claim.digest.algorithm == "sha256"]
    held = next(claim.digest for claim in claims if claim.authority is Authority.LEDGER)
    evidence = judge({"sha256": held}, claims)
    error = DisputedError(str(file), claims=tuple(map(str, evidence.against)), actual=str(held))
    error.account = Account(digests={"sha256": held}, evidence=evidence)
    return error
