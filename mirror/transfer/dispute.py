"""Errors for bytes, or words, that authorities disagree about; with their account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mirror.errors import DisputedError, IntegrityError
from mirror.evidence import Evidence
from mirror.model import Level
from mirror.transfer.receipt import Account
from mirror.transfer.ruling import case

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mirror.model import Claim, Digest, RemoteFile
    from mirror.sources.reply import Hop, Reply
    from mirror.transfer.course import Course


#: Looks at whole bytes, in memory or in a file, whose sha256 (hex) comes with them; returns the claims on what is
#: inside that they break.
Examine = Callable[["bytes | Path", str], Sequence["Claim"]]


def examined(
    course: Course,
    data: bytes | Path,
    digests: Mapping[str, Digest],
    evidence: Evidence,
    hops: tuple[Hop, ...],
    *,
    keep: Callable[[dict[str, Any]], Path],
) -> None:
    """Let the caller look inside bytes that fulfil every claim, before they get their name.

    Args:
        course: Of the file.
        data: The bytes, or where they are.
        digests: What was computed from them.
        evidence: Who agrees.
        hops: Every reply on the way to them.
        keep: Puts them into the quarantine.

    Raises:
        DisputedError: What is inside breaks a claim; the bytes are in quarantine.
        IntegrityError: They are not what they should be at all; likewise.
    """
    if course.examine is None:
        return
    try:
        broken = tuple(course.examine(data, digests["sha256"].hex))
    except IntegrityError as error:
        place = keep({**case(course.file, digests, evidence, hops, ()), "found": str(error)})
        error.account = Account(digests=digests, evidence=evidence, quarantine=place.name, hops=hops)
        raise
    if broken:
        denied = Evidence(Level.DISPUTED, evidence.agreeing, broken)
        place = keep(case(course.file, digests, denied, hops, ()))
        raise disputed(course.file, digests, denied, hops=hops, quarantine=place.name)


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
