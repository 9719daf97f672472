"""Errors for bytes, or words, that authorities disagree about; with their account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import DisputedError
from mirror.evidence import Evidence
from mirror.model import Level
from mirror.transfer.receipt import Account

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mirror.model import Claim, Digest, RemoteFile
    from mirror.sources.reply import Hop, Reply


def contradiction(file: RemoteFile, clash: Iterable[Claim], reply: Reply | None = None) -> DisputedError:
    """Return the error for claims that contradict each other, whatever the bytes may be.

    Args:
        file: What they are about.
        clash: The claims.
        reply: What brought some of them.
    """
    evidence = Evidence(Level.DISPUTED, (), tuple(clash))
    return disputed(file, {}, evidence, hops=reply.hops if reply is not None else (), quarantine=None)


def disputed(
    file: RemoteFile,
    digests: Mapping[str, Digest],
    evidence: Evidence,
    *,
    hops: tuple[Hop, ...],
    quarantine: str | None,
) -> DisputedError:
    """Return the error for bytes that somebody denies.

    Args:
        file: What they should be.
        digests: What was computed from them; nothing when they were never fetched.
        evidence: Who agrees and who does not.
        hops: Every reply on the way to them.
        quarantine: Name under which they are kept.
    """
    actual = str(digests["sha256"]) if "sha256" in digests else "nothing yet"
    error = DisputedError(str(file), claims=tuple(map(str, evidence.against)), actual=actual)
    error.account = Account(digests=digests, evidence=evidence, quarantine=quarantine, hops=hops)
    return error
