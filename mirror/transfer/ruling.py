"""What follows from a judgement: keep the bytes, fetch them again, or call it a dispute.

Bytes damaged on the way look like bytes that somebody changed. They are told apart
by fetching again: damage does not strike twice in the same place, a changed file does.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from mirror.model import STRONG, Authority, Claim
from mirror.wire import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mirror.evidence import Evidence
    from mirror.model import Digest, RemoteFile
    from mirror.sources.reply import Hop


class Ruling(Enum):
    """What to do with whole bytes."""

    KEEP = auto()
    AGAIN = auto()
    DISPUTE = auto()


def rule(evidence: Evidence, *, sha256: str, earlier: Sequence[str], restarts: int) -> Ruling:
    """Return what to do with bytes that have been judged.

    Args:
        evidence: The judgement.
        sha256: Of the bytes.
        earlier: The sha256 of whole bytes that were thrown away before them.
        restarts: Times that bytes may be thrown away.
    """
    if not evidence.against:
        return Ruling.KEEP
    vouched = any(claim.authority is Authority.PUBLISHER for claim in evidence.agreeing)
    denied = any(claim.authority is Authority.PUBLISHER for claim in evidence.against)
    if vouched and not denied:
        # The publisher means these bytes; it is somebody else who does not.
        return Ruling.DISPUTE
    if sha256 in earlier or len(earlier) >= restarts:
        return Ruling.DISPUTE
    return Ruling.AGAIN


def promises(claims: Iterable[Claim]) -> bool:
    """Whether a digest is promised for which nobody can craft other bytes."""
    return any(claim.digest.algorithm in STRONG for claim in claims)


def case(
    file: RemoteFile, digests: Mapping[str, Digest], evidence: Evidence, hops: Sequence[Hop], earlier: Sequence[str]
) -> dict[str, Any]:
    """Return what is put beside disputed bytes in the quarantine: JSON values, no secrets."""
    return {
        "artifact": file.artifact,
        "path": file.path,
        "revision": file.revision,
        "urls": [redact(url) for url in file.urls],
        "actual": {algorithm: digest.hex for algorithm, digest in sorted(digests.items())},
        "against": [_claim(claim) for claim in evidence.against],
        "agreeing": [_claim(claim) for claim in evidence.agreeing],
        "earlier": list(earlier),
        "hops": [
            {"url": hop.url, "status": hop.status, "headers": [list(pair) for pair in hop.headers]} for hop in hops
        ],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "digest": str(claim.digest),
        "authority": claim.authority.value,
        "where": claim.where,
        "secure": claim.secure,
    }
