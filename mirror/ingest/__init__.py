"""What a person fetched, taken in by content: found, recognised, taken in, recorded.

The way of the bytes: ``finds`` opens what is there, ``answers`` says what each is,
``matches`` which hand-off weights answer, ``take`` puts it into the store and the ledger.
Nothing of the person's is changed or moved; only a hard link, which has to be asked for,
takes the right to write away from the file that it shares.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import DisputedError, IntegrityError, MirrorError
from mirror.ingest.answers import Answers
from mirror.ingest.beside import is_text
from mirror.ingest.cases import Cases
from mirror.ingest.finds import finds, finds_of
from mirror.ingest.plans import Left, Plan, Take
from mirror.ingest.take import Link, Taken, listed, stored, take
from mirror.sources.narrow import FORMATS, weight_format
from mirror.sync import rows
from mirror.transfer.receipt import account_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Artifact, Catalog
    from mirror.ledger import Ledger, Reader
    from mirror.lock import Lock
    from mirror.model import Event
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
    cases = Cases(rooms.reader, rooms.store)
    with rooms.ledger() as ledger:
        disputed = ((one.find, one) for one in plan.left if one.status == "disputed")
        kept = [cases.keep(find, one.artifact or "mirror", one.why) for find, one in disputed if find is not None]
        ledger.record([event for _, event in kept if event is not None])
        takes = sorted(plan.takes, key=lambda one: one.file.artifact)
        for artifact, group in groupby(takes, key=lambda one: one.file.artifact):
            if stop.is_set():
                break
            taken = _taken(list(group), rooms, cases, ledger, done, link)
            if taken:
                narrowed = _narrowed(artifact, taken, rooms)
                ledger.record([listed(artifact, taken, rooms.reader, narrowed), *map(stored, taken)])
                done.taken += taken
    return done


def _narrowed(name: str, taken: list[Taken], rooms: Rooms) -> Sequence[str]:
    """Return which formats are listed of an artifact: of a repository, a person maybe brought only a part.

    Whoever pulls it asks for the rest then. What else a publisher has, the catalog says, or nobody.
    """
    before = next(iter(rooms.reader.holdings([name])), None) if rooms.reader is not None else None
    if before is not None:
        return before.narrowed or ()
    artifact, locked = rooms.catalog.by_artifact.get(name), rooms.lock.listings.get(name)
    paths = {one.judged.file.path for one in taken}
    whole = locked is not None and paths.issuperset(file.path for file in locked.files)
    if artifact is None or artifact.kind in {"baidu-pan", "http"} or whole:
        return ()
    return tuple(dict.fromkeys(filter(None, map(weight_format, sorted(paths))))) or FORMATS


def _taken(group: list[Take], rooms: Rooms, cases: Cases, ledger: Ledger, done: Ingested, link: Link) -> list[Taken]:
    """Take in the files of one artifact; a problem of one leaves the others be, but for what stood beside weights."""
    found: list[Taken] = []
    broken: set[str] = set()
    for one in group:
        try:
            found.append(take(one, rooms.store, link))
        except IntegrityError as error:
            done.problems.append((one.find.name, error))
            if one.share is not None and not is_text(one.find):
                broken.add(one.share)
            if isinstance(error, DisputedError):
                ledger.record(_disputed(one, error, rooms, cases))
    return [one for one in found if one.take.share not in broken]


def _disputed(one: Take, error: DisputedError, rooms: Rooms, cases: Cases) -> list[Event]:
    """Keep the evidence of a dispute; what is held already stays so, for a find is no authority."""
    case, refused = cases.keep(one.find, str(one.file), str(error))
    error.account = replace(account_of(error), quarantine=case)
    if refused is None:
        return []
    state = rooms.reader.file(one.file.artifact, one.file.path) if rooms.reader is not None else None
    held = state is not None and state.state == "held" and state.sha256 and rooms.store.find(state.sha256)
    return [refused if held else rows.failed(one.file, error)]
