"""From digests and authorities to a level; disputes.

Every digest that any authority offers is computed while the bytes pass and judged
here before they get a name. No I/O.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from mirror.model import STRONG, Authority, Claim, Digest, Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Who promises by a pin.
PINS = frozenset({Authority.CATALOG, Authority.LOCK})
#: Who says nothing of what the publisher gave: ourselves at first contact, and whoever only carried it.
_NO_WITNESS = frozenset({Authority.LEDGER, Authority.CARRIER})


class Evidence(NamedTuple):
    """The verdict of the authorities on one file's bytes.

    Attributes:
        level: What may be said of the bytes.
        agreeing: Claims that the bytes fulfil.
        against: Claims that the bytes break; not empty exactly when the level is disputed.
    """

    level: Level
    agreeing: tuple[Claim, ...]
    against: tuple[Claim, ...]


def judge(actual: Mapping[str, Digest], claims: Iterable[Claim]) -> Evidence:
    """Return the evidence level of bytes whose digests are ``actual``.

    Args:
        actual: Digests computed from the bytes, by algorithm.
        claims: What the authorities say; claims in an algorithm that was not
            computed are a bug of the caller.

    Raises:
        KeyError: A claim's algorithm is not in ``actual``.
    """
    agreeing: list[Claim] = []
    against: list[Claim] = []
    for claim in claims:
        same = actual[claim.digest.algorithm] == claim.digest
        (agreeing if same else against).append(claim)
    if against:
        level = Level.DISPUTED
    elif any(c.authority in PINS and c.digest.algorithm == "sha256" for c in agreeing):
        level = Level.PINNED
    elif any(c.authority is Authority.PUBLISHER and c.secure and c.digest.algorithm in STRONG for c in agreeing):
        level = Level.ATTESTED
    elif any(c.authority not in _NO_WITNESS for c in agreeing):
        level = Level.CHECKED
    else:
        level = Level.FIRST_SEEN
    return Evidence(level, tuple(agreeing), tuple(against))


def conflicts(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Return the claims that contradict each other before a byte has been fetched."""
    by_algorithm: dict[str, list[Claim]] = {}
    for claim in claims:
        by_algorithm.setdefault(claim.digest.algorithm, []).append(claim)
    return tuple(c for group in by_algorithm.values() if len({c.digest for c in group}) > 1 for c in group)


def is_secure(url: str) -> bool:
    """Whether nobody between ``url`` and us can change what is said.

    TLS, a local file, and loopback, whose bytes never leave the machine
    (W3C Secure Contexts §3.1, potentially trustworthy origins).
    """
    parts = urlsplit(url)
    if parts.scheme in {"https", "file", ""}:
        return True
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
