"""What happened, as rows of the ledger: values in, events out; no I/O.

The details are JSON values only and hold no secret: addresses come redacted.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from mirror.errors import DisputedError, MirrorError, SourceError
from mirror.model import Claim, Digest, Event, Listing, RemoteFile
from mirror.transfer.receipt import Account, account_of
from mirror.wire import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mirror.evidence import Evidence
    from mirror.formats.archive import Member
    from mirror.sources.reply import Hop
    from mirror.sync.adopt import Judged
    from mirror.sync.outcome import Change, Outcome
    from mirror.transfer.receipt import Receipt


def listed(listing: Listing, *, source: str, narrowed: Sequence[str]) -> Event:
    """Return the event that an artifact's files are known.

    Args:
        listing: The files.
        source: The endpoint, host or lock that said so.
        narrowed: Formats that the user asked for; empty for the whole artifact.
    """
    detail = {
        "artifact": listing.artifact,
        "revision": listing.revision,
        "narrowed": list(narrowed) or None,
        "source": source,
        "files": [_file(file) for file in listing.files],
    }
    return Event("listed", listing.artifact, detail)


def fetched(receipt: Receipt) -> Event:
    """Return the event that a file's bytes came from a source and were judged."""
    return Event(
        "stored",
        str(receipt.file),
        {
            **_stored(receipt.file, receipt.sha256, receipt.size, receipt.digests, receipt.evidence),
            # Without a single reply, the bytes had got their name just before their row was lost.
            "how": "fetched" if receipt.hops else "healed",
            "url": receipt.url,
            "hops": [_hop(hop) for hop in receipt.hops],
            "validator": {"etag": receipt.validator.etag, "last_modified": receipt.validator.last_modified},
            "bytes": receipt.wire_bytes,
            "seconds": round(receipt.seconds, 3),
            "attempts": [attempt._asdict() for attempt in receipt.attempts],
            "blocks": block_text(receipt.blocks),
        },
    )


def adopted(judged: Judged, *, how: str = "held") -> Event:
    """Return the event that a file's bytes were in the store already.

    Args:
        judged: The bytes.
        how: ``held``, recorded for another file; ``healed``, when their row was lost.
    """
    detail = _stored(judged.file, judged.sha256, judged.size, judged.digests, judged.evidence)
    return Event("stored", str(judged.file), {**detail, "how": how, "blocks": block_text(judged.blocks)})


def failed(file: RemoteFile, error: MirrorError) -> Event:
    """Return the event that a file did not come; a dispute is an event of its own kind."""
    account = account_of(error)
    if isinstance(error, DisputedError) and account.evidence is not None:
        return _disputed(file, account, account.evidence)
    detail = {
        "artifact": file.artifact,
        "path": file.path,
        "error": type(error).__name__,
        "message": str(error),
        "status": error.status if isinstance(error, SourceError) else None,
        "quarantine": account.quarantine,
        "attempts": [attempt._asdict() for attempt in account.attempts],
    }
    return Event("failed", str(file), detail)


def refused(artifact: str, error: MirrorError) -> Event:
    """Return the event that a source lists a file so that it cannot be taken; its path is no row's."""
    detail = {"artifact": artifact, "path": None, "error": type(error).__name__, "message": str(error)}
    return Event("failed", artifact, {**detail, "status": None, "quarantine": None, "attempts": []})


def members(sha256: str, found: Iterable[Member]) -> Event:
    """Return the event that an archive's members are known."""
    rows = [{"path": m.path, "size": m.size, "crc32": m.crc32, "sha256": m.sha256} for m in found]
    return Event("members", f"sha256:{sha256}", {"sha256": sha256, "members": rows})


def updated(change: Change) -> Event:
    """Return the event that a source has something else than it had."""
    detail = {
        "before": change.before,
        "after": change.after,
        "added": list(change.added),
        "changed": list(change.changed),
        "removed": list(change.removed),
    }
    return Event("updated", change.artifact, detail)


def pulled(outcome: Outcome) -> Event:
    """Return the event that sums up one pull."""
    detail = {
        "stored": outcome.stored,
        "adopted": outcome.adopted,
        "wire_bytes": outcome.wire_bytes,
        "levels": dict(outcome.levels),
        "problems": [{"subject": p.subject, "error": type(p.error).__name__} for p in outcome.problems[:1000]],
    }
    return Event("pulled", "mirror", detail)


def claim_row(claim: Claim) -> dict[str, Any]:
    """Return one claim as JSON values."""
    return {
        "digest": str(claim.digest),
        "authority": claim.authority.value,
        "where": claim.where,
        "secure": claim.secure,
    }


def block_text(blocks: Sequence[int]) -> str | None:
    """Return block CRCs as base64 of little-endian 32-bit numbers; None for none."""
    return base64.b64encode(struct.pack(f"<{len(blocks)}I", *blocks)).decode() if blocks else None


def _disputed(file: RemoteFile, account: Account, evidence: Evidence) -> Event:
    detail = {
        "artifact": file.artifact,
        "path": file.path,
        "actual": {algorithm: digest.hex for algorithm, digest in account.digests.items()},
        "against": [claim_row(claim) for claim in evidence.against],
        "agreeing": [claim_row(claim) for claim in evidence.agreeing],
        "quarantine": account.quarantine,
        "hops": [_hop(hop) for hop in account.hops],
        "attempts": [attempt._asdict() for attempt in account.attempts],
    }
    return Event("disputed", str(file), detail)


def _hop(hop: Hop) -> dict[str, Any]:
    return {"url": hop.url, "status": hop.status, "headers": [list(pair) for pair in hop.headers]}


def _file(file: RemoteFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "size": file.size,
        "urls": [redact(url) for url in file.urls],
        "revision": file.revision,
        "claims": [claim_row(claim) for claim in file.claims],
    }


def _stored(
    file: RemoteFile, sha256: str, size: int, digests: Mapping[str, Digest], evidence: Evidence
) -> dict[str, Any]:
    return {
        "artifact": file.artifact,
        "path": file.path,
        "sha256": sha256,
        "size": size,
        "level": evidence.level.value,
        "digests": {algorithm: digest.hex for algorithm, digest in digests.items()},
        "agreeing": [claim_row(claim) for claim in evidence.agreeing],
    }
