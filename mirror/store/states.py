"""What stands under ``partial/``, seen without claiming anything; works in a store that can only be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.store import claims, disk, journal, spans
from mirror.store.layout import DATA, JOURNAL, SPANS, Layout, is_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mirror.store.owner import Owner


class PartialState(NamedTuple):
    """What can be seen of a partial without claiming it.

    Attributes:
        key: Its name.
        path: Its directory.
        held: Bytes that are there.
        size: Bytes of the whole, where known.
        owner: Who has it, or had it last.
        live: Whether that process still works on it; None when only its heartbeat could tell.
        committed: The sha256 its bytes were published under, when the ledger may still lack the row.
    """

    key: str
    path: Path
    held: int
    size: int | None
    owner: Owner | None
    live: bool | None
    committed: str | None


def iterate(layout: Layout) -> Iterator[PartialState]:
    """Yield the state of every partial, in the order of the keys.

    Raises:
        StoreError: The store cannot be read.
    """
    with disk.our_errors(layout.partial, reading=True):
        keys = [name for name in disk.names(layout.partial) if is_key(name)]
    for key in keys:
        path = layout.partial / key
        raw = claims.read_beside(path, SPANS) or b""
        try:
            there = spans.decode(raw, held=(path / DATA).stat().st_size)
        except OSError:
            there = []
        stops = [span.stop for span in there if span.stop is not None]
        owner = claims.read_owner(path)
        gone = owner.gone() if owner is not None else None
        yield PartialState(
            key=key,
            path=path,
            held=sum(span.done for span in there),
            size=max(stops) if len(stops) == len(there) > 0 else None,
            owner=owner,
            live=None if gone is None else not gone,
            committed=committed_in(path),
        )


def committed_in(directory: Path) -> str | None:
    """Return the sha256 under which a claim's bytes were published, or were about to be.

    Raises:
        StoreError: The journal cannot be read.
    """
    return journal.committed(journal.parse(claims.read_beside(directory, JOURNAL)))
