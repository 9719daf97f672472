"""What a partial remembers of where its bytes came from, and whether more may be added.

Bytes of two versions of a file must never be joined unnoticed. Either the source says
by a strong validator that it still has the same version (RFC 9110 §13.1.5), or a
promised digest will tell.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.model import Authority, Claim, Digest
from mirror.transfer.ruling import promises
from mirror.wire import Validator, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.model import RemoteFile
    from mirror.sources.reply import Reply


class Past(NamedTuple):
    """Where the bytes of a partial came from.

    Attributes:
        source: Names the address, without showing it.
        url: The address, redacted.
        validator: Of the version.
        size: Bytes of the whole, where the source said so.
        claims: What the source says the digests are.
    """

    source: str = ""
    url: str = ""
    validator: Validator = Validator()
    size: int | None = None
    claims: tuple[Claim, ...] = ()

    def to_journal(self) -> dict[str, Any]:
        """Return JSON values for the partial's journal."""
        return {
            "source": self.source,
            "url": self.url,
            "etag": self.validator.etag,
            "last_modified": self.validator.last_modified,
            "size": self.size,
            "claims": [[str(c.digest), c.authority.value, c.where, c.secure] for c in self.claims],
        }

    @classmethod
    def from_journal(cls, journal: Mapping[str, Any]) -> Past:
        """Return what a journal says; nothing of it that cannot be understood."""
        size = journal.get("size")
        return cls(
            source=_text(journal.get("source")) or "",
            url=_text(journal.get("url")) or "",
            validator=Validator(_text(journal.get("etag")), _text(journal.get("last_modified"))),
            size=size if isinstance(size, int) and size >= 0 else None,
            claims=_claims(journal.get("claims")),
        )


def source_of(url: str) -> str:
    """Return a name for an address that shows no secret of it."""
    return hashlib.sha256(url.encode()).hexdigest()


def past_of(url: str, reply: Reply, size: int | None, claims: tuple[Claim, ...]) -> Past:
    """Return where the bytes of ``reply``, which ``url`` gave, come from.

    Args:
        url: The address that was asked.
        reply: What it gave.
        size: Bytes of the whole, where known.
        claims: What it and earlier replies say the digests are.
    """
    return Past(source_of(url), redact(url), reply.validator, size, claims)


def may_resume(past: Past, file: RemoteFile, url: str, *, doubt: bool) -> bool:
    """Whether bytes that ``url`` gives may be joined to the ones that are here.

    Args:
        past: Where the ones that are here came from.
        file: What is promised.
        url: The address that is asked next.
        doubt: Whether they may not be what was once written: after a loss of power, or from another host.
    """
    if promises(file.claims):
        return True
    return past.source == source_of(url) and past.validator.strong and not doubt


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _claims(value: object) -> tuple[Claim, ...]:
    found = []
    for row in value if isinstance(value, list) else []:
        try:
            digest, authority, where, secure = row
            found.append(Claim(Digest.parse(digest), Authority(authority), str(where), secure is True))
        except (TypeError, ValueError, AttributeError):
            continue
    return tuple(found)
