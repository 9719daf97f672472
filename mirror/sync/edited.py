"""An artifact whose files the catalog lists: what was added there by hand, or taken out, since it was listed.

The catalog is the list, so nobody has to be asked: the next pull goes by it. What is known of
the other files stays as it was recorded, and what was taken out is forgotten, so that ``gc`` may
delete its bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.model import Event, Listing
from mirror.sources.narrow import keeps
from mirror.sources.published import list_published
from mirror.sync import rows
from mirror.sync.outcome import Change

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mirror.catalog import Artifact
    from mirror.ledger import Holding, Reader


class Edited(NamedTuple):
    """What the catalog lists today.

    Attributes:
        listing: Every file: those of before as they were recorded, and the new ones.
        added: Paths that are new, or that were left out when formats were asked for.
        removed: Paths that are not in the catalog any more.
        narrowed: Formats that the listing is narrowed to; empty for the whole artifact.
        change: What a person is told; None when only the formats are others.
    """

    listing: Listing
    added: tuple[str, ...]
    removed: frozenset[str]
    narrowed: tuple[str, ...]
    change: Change | None


def edited(artifact: Artifact, holding: Holding, formats: Sequence[str], reader: Reader) -> Edited | None:
    """Return what the catalog lists of ``artifact`` and the ledger does not, or the other way round.

    Args:
        artifact: Its kind is ``http``.
        holding: What the ledger knows of it.
        formats: Those that are asked for; empty for all.
        reader: The ledger.

    Returns:
        None where both list the same, or the catalog lists nothing.

    Raises:
        CatalogError: The catalog has no address for a file.
        LedgerError: The ledger cannot be read.
    """
    today, known = {file.path for file in artifact.files}, {state.path for state in holding.files}
    if not today or today == known:
        return None
    old = reader.listing(artifact.name)
    before = {file.path: file for file in old.files} if old is not None else {}
    files = [file for file in list_published(artifact).files if file.path in known or keeps(file.path, formats)]
    added = tuple(file.path for file in files if file.path not in known)
    removed = frozenset(known - today)
    if not (added or removed):
        return None
    told = tuple(path for path in added if keeps(path, holding.narrowed or ()))
    return Edited(
        Listing(artifact.name, holding.revision, tuple(before.get(file.path, file) for file in files)),
        added,
        removed,
        () if len(files) == len(today) else tuple(dict.fromkeys((*(holding.narrowed or ()), *formats))),
        Change(artifact.name, holding.revision, holding.revision, told, (), tuple(sorted(removed)))
        if told or removed
        else None,
    )


def recorded(edits: Sequence[Edited]) -> Iterator[Event]:
    """Yield what the ledger is told of it."""
    for edit in edits:
        yield rows.listed(edit.listing, source="catalog.json", narrowed=edit.narrowed)
        if edit.change is not None:
            yield rows.updated(edit.change)
