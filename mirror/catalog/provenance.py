"""Where the values of a catalog were read, and by whom.

A repository can be looked up by anybody. A public record is one unnamed reader's pin
list: its values are claims until first contact, and are called so wherever they show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Provenance(NamedTuple):
    """Where a value was read.

    Attributes:
        key: Name that the entries of the catalog use.
        repo: Repository, where it is named.
        path: File or folder in it.
        commit: Commit, or release, that was read.
        public_record: Number of an unnamed reader's public pin list; its values are claims until first contact.
        note: What was found there.
    """

    key: str
    repo: str | None = None
    path: str | None = None
    commit: str | None = None
    public_record: str | None = None
    note: str | None = None

    @property
    def named(self) -> bool:
        """Whether anybody can look the value up; False for a public record."""
        return self.public_record is None

    def __str__(self) -> str:
        return " ".join(part for part in (self.repo, self.path) if part) or self.note or self.key


def readers(sources: Iterable[Provenance]) -> str:
    """Return where a value was read; ``unconfirmed`` when nobody but unnamed readers says it.

    ``google-research/bert README.md``, ``public record 69480406098, unconfirmed``
    """
    found = list(sources)
    records = [source.public_record for source in found if source.public_record is not None]
    words = [str(source) for source in found if source.named]
    if records:
        words.append(f"public record{'s'[: len(records) > 1]} {', '.join(records)}")
        if len(records) == len(found):
            words.append("unconfirmed")
    return ", ".join(words) or "no provenance"
