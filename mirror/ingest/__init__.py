"""What a person fetched, taken in by content: found, recognised, taken in, recorded.

The way of the bytes: ``finds`` opens what is there, ``answers`` says what each is,
``take`` puts it into the store and the ledger. Nothing of the person's is changed or moved;
only a hard link, which has to be asked for, takes the right to write away from the file that it shares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import DisputedError, IntegrityError, MirrorError
from mirror.ingest.answers import Answers
from mirror.ingest.finds import finds, finds_of
from mirror.ingest.plans import Left, Plan, Take
from mirror.ingest.take import Link, Taken, listed, refused, stored, take
from mirror.sync import rows

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Artifact, Catalog
    from mirror.ledger import Ledger, Reader
    from mirror.lock import Lock
    from mirror.store import Store

__all__ = ["Ingested", "Left", "Link", "Plan", "Rooms", "Take", "Taken", "ingest", "look", "look_at"]


class Rooms(NamedTuple):
    """What an ingest works with.

    Attributes:
        catalog: Models, pins, and hand-offs.
        reader: The ledger; None when there is none yet.
        store: Takes the bytes.
        lock: Pins, which count as claims.
        scratch: A directory with room for the content of an archive; nothing in it has a name.
        ledger: Opens the ledger for writing.
    """

    catalog: Catalog
    reader: Reader | None
    store: Store
    lock: Lock
    scratch: Path
    ledger: Callable[[], Ledger]


@dataclass(eq=False)
class Ingested:
    """What came of an ingest.

    Attributes:
        plan: What was found.
        taken: What was taken in, with its evidence.
        problems: What could not be, by name.
    """

    plan: Plan
    taken: list[Taken] = field(default_factory=list)
    problems: list[tuple[str, MirrorError]] = field(default_factory=list)

    @property
    def artifacts(self) -> list[str]:
        """Artifacts of which something was taken in."""
        return sorted({one.judged.file.artifact for one in self.taken})


def look(paths: Sequence[Path], rooms: Rooms, named: Artifact | None = None) -> Plan:
    """Return what is to be done with everything in ``paths``; nothing is done yet.

    Raises:
        UsageError: A path is neither a file nor a folder.
        StoreError: There is no room to unpack an archive.
        LedgerError: The ledger cannot be read.
    """
    answers = Answers(rooms.catalog, rooms.reader, rooms.store, rooms.lock, rooms.scratch, named)
    return answers.plan(finds(list(paths), answers.is_known, rooms.scratch))


def look_at(files: Mapping[str, Path], rooms: Rooms) -> Plan:
    """Return what is to be done with files that a program fetched, by the names they had; see ``look``."""
    answers = Answers(rooms.catalog, rooms.reader, rooms.store, rooms.lock, rooms.scratch)
    return answers.plan(finds_of(files, answers.is_known, rooms.scratch))


def ingest(plan: Plan, rooms: Rooms, stop: threading.Event, link: Link = Link.AUTO) -> Ingested:
    """Do what was planned; each artifact is recorded when its bytes are there.

    Raises:
        LinkError: A file cannot be linked in the way that was asked for.
        StoreError: The store cannot be written; what was recorded until then stays.
        LedgerError: Likewise, the ledger.
    """
    done = Ingested(plan)
    if not plan.takes and not any(one.status == "disputed" for one in plan.left):
        return done
    if link in {Link.AUTO, Link.COPY}:
        rooms.store.check_room(sum(one.find.size for one in plan.takes))
    with rooms.ledger() as ledger:
        ledger.record([event for one in plan.left if (event := refused(one, rooms.store)) is not None])
        takes = sorted(plan.takes, key=lambda one: one.file.artifact)
        for artifact, group in groupby(takes, key=lambda one: one.file.artifact):
            if stop.is_set():
                break
            taken = _taken(list(group), rooms.store, ledger, done, link)
            if taken:
                before = listed(artifact, (one.judged for one in taken), rooms.reader, taken[0].take.share)
                ledger.record([before, *map(stored, taken)])
                done.taken += taken
    return done


def _taken(group: list[Take], store: Store, ledger: Ledger, done: Ingested, link: Link) -> list[Taken]:
    """Take in the files of one artifact; a problem of one of them leaves the others be."""
    found: list[Taken] = []
    for one in group:
        try:
            found.append(take(one, store, link))
        except IntegrityError as error:
            done.problems.append((one.find.name, error))
            if isinstance(error, DisputedError):
                ledger.record([rows.failed(one.file, error)])
    return found
