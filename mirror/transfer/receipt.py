"""What is left of a transfer: a receipt when it succeeds, an account when it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.errors import MirrorError
    from mirror.evidence import Evidence
    from mirror.model import Blob, Digest, RemoteFile
    from mirror.sources.reply import Hop
    from mirror.store import Partial
    from mirror.wire import Validator


class Attempt(NamedTuple):
    """One request that did not bring what was asked for; the ledger keeps it.

    Attributes:
        at: When it began, ISO 8601, UTC.
        url: Address without user info, query and fragment.
        status: HTTP status, where one is known.
        offset: First byte that was asked for.
        bytes: Body bytes that came.
        error: Name of the error's class.
        message: Its text.
        seconds: How long it took.
    """

    at: str
    url: str
    status: int | None
    offset: int
    bytes: int
    error: str
    message: str
    seconds: float


class Receipt(NamedTuple):
    """The bytes of one file are whole and judged.

    Attributes:
        file: What was asked for.
        sha256: Name of the blob.
        size: Bytes.
        data: The bytes themselves when they are few; they have no name in the store yet.
        blob: Where the bytes are, when they are many.
        partial: Its claim, to be forgotten once the ledger has the row.
        digests: Everything that was computed, by algorithm.
        evidence: What the authorities say of it.
        url: Address that gave the last bytes, redacted.
        hops: Every reply on the way to them.
        validator: The source's validators.
        wire_bytes: Body bytes received, those of failed attempts too.
        seconds: Wall time.
        attempts: What failed before it succeeded.
        blocks: CRC-32 of every block of a large file, else nothing.
    """

    file: RemoteFile
    sha256: str
    size: int
    data: bytes | None
    blob: Blob | None
    partial: Partial | None
    digests: Mapping[str, Digest]
    evidence: Evidence
    url: str
    hops: tuple[Hop, ...]
    validator: Validator
    wire_bytes: int
    seconds: float
    attempts: tuple[Attempt, ...] = ()
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What a failed transfer knows; see ``account_of``.

    Attributes:
        attempts: Every request that failed.
        digests: Of disputed bytes, what was computed.
        evidence: Of disputed bytes, who agrees and who does not.
        quarantine: Of disputed bytes, the name they are kept under.
        hops: Of disputed bytes, every reply on the way to them.
        wire_bytes: Body bytes received.
    """

    attempts: tuple[Attempt, ...] = ()
    digests: Mapping[str, Digest] = field(default_factory=dict)
    evidence: Evidence | None = None
    quarantine: str | None = None
    hops: tuple[Hop, ...] = ()
    wire_bytes: int = 0


def account_of(error: MirrorError) -> Account:
    """Return what a transfer knows of its failure; an empty account for errors from elsewhere."""
    return error.account if isinstance(error.account, Account) else Account()
