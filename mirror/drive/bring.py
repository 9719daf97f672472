"""A whole run: what is in the app's folder and not here yet, fetched folder by folder, taken in by content.

What stands together is taken in together: a configuration belongs to the weights beside
it. A folder of which a file may still come waits for it; every byte that is here stays.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mirror.drive.fetch import SOURCE, Fetched, Fetcher
from mirror.drive.links import Links
from mirror.errors import BaiduError, LoginNeededError, MirrorError, QuotaError, RemovedError, StoreError
from mirror.ingest import Ingested, Plan, ingest, look_at
from mirror.model import Event
from mirror.sources.baidu_open.words import Remedy
from mirror.stopping import TransferStopped
from mirror.store import partial_key
from mirror.sync.rows import claim_row

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from mirror.drive.session import Session
    from mirror.ingest import Rooms
    from mirror.ledger import Reader
    from mirror.sources.baidu_open.files import Entry
    from mirror.sources.baidu_open.node import Nodes
    from mirror.store import Store
    from mirror.transfer.events import Watch

#: Kinds of events in the ledger: a file came, and what it was taken for; a file did not come, and why.
RECEIVED = "received"
MISSED = "missed"


@dataclass(eq=False)
class Brought:
    """What came of a run.

    Attributes:
        folder: The app's.
        listed: Files in it.
        wanted: Those that were to be fetched.
        known: Those of the others that an earlier run has brought.
        ingested: What was taken in, what not, and why.
        problems: What did not come, by path.
        ended: Why nothing more was asked, where the run ended early.
        wire_bytes: Body bytes that came.
        calls_left: What may still be asked within the hour.
    """

    folder: str
    listed: int
    wanted: list[Entry]
    known: int
    ingested: Ingested = field(default_factory=lambda: Ingested(Plan()))
    problems: list[tuple[str, MirrorError]] = field(default_factory=list)
    ended: MirrorError | None = None
    wire_bytes: int = 0
    calls_left: int = 0


def survey(
    session: Session, reader: Reader | None, patterns: Sequence[str], *, update: bool = False, again: bool = False
) -> Brought:
    """Return what a run would fetch; at most a listing is asked.

    Args:
        session: Asks.
        reader: The ledger; None when there is none yet.
        patterns: Globs over the path below the app's folder; none means everything.
        update: Ask for a fresh listing in any case.
        again: Fetch also what came before and was of no use.

    Raises:
        QuotaError, LoginNeededError, BaiduError, SourceError: As ``Session.listing``.
        UsageError, StoreError: Likewise.
        LedgerError: The ledger cannot be read.
    """
    listed = session.listing(update=update)
    before = received(reader) if reader is not None else {}
    chosen = [entry for entry in listed.entries if entry.size and _named(entry, listed.folder, patterns)]
    wanted = [entry for entry in chosen if again or not _is_known(before.get(_key(entry)), reader)]
    done = Brought(listed.folder, len(listed.entries), wanted, len(chosen) - len(wanted))
    done.calls_left = session.calls_left()
    return done


def bring(
    session: Session,
    nodes: Nodes,
    rooms: Callable[[], AbstractContextManager[Rooms]],
    done: Brought,
    *,
    watch: Watch,
    stop: threading.Event,
) -> None:
    """Fetch what ``survey`` wants, and take it in; ``done`` is told what came of it.

    Args:
        session: Asks.
        nodes: Gives the bytes.
        rooms: Opens what an ingest works with, as it then is.
        done: What to fetch.
        watch: Is told how it goes.
        stop: Ends it; what has come is kept.

    Raises:
        StoreError: The store cannot be written; what was recorded until then stays.
        LedgerError: Likewise, the ledger.
    """
    if not done.wanted:
        return
    with rooms() as now:
        store = now.store
    _check_room(done.wanted, store)
    fetcher = Fetcher(session, Links(session, done.wanted), nodes, store, watch, stop)
    wanted = sorted(done.wanted, key=lambda entry: (posixpath.dirname(entry.path), entry.path))
    try:
        for _, group in groupby(wanted, key=lambda entry: posixpath.dirname(entry.path)):
            fetched = _fetched(list(group), fetcher, done)
            if fetched:
                with rooms() as now:
                    _take_in(fetched, now, done, stop)
                for one in fetched:
                    fetcher.forget(one)
            if done.ended is not None or stop.is_set():
                break
    except TransferStopped:
        pass  # somebody asked for it; what has come is kept
    finally:
        done.wire_bytes = fetcher.wire_bytes
        _record_problems(done, rooms)
        with suppress(StoreError):
            done.calls_left = session.calls_left()


def _fetched(group: list[Entry], fetcher: Fetcher, done: Brought) -> list[Fetched]:
    """Fetch the files that stand together and return them; none while a later run may bring more of them."""
    fetched, waits = [], False
    for entry in group:
        try:
            fetched.append(fetcher.fetch(entry))
        except StoreError:
            raise
        except MirrorError as error:
            done.problems.append((entry.path, error))
            waits = waits or not _is_lasting(error)
            if _ends_the_run(error):
                done.ended = error
                break
        fetcher.links.done(entry)
    return [] if waits else fetched


def _take_in(fetched: list[Fetched], rooms: Rooms, done: Brought, stop: threading.Event) -> None:
    """Let ``ingest`` say what the bytes are, and record how they came."""
    by_name = {f"{SOURCE}:{one.entry.path}": one for one in fetched}
    plan = look_at({name: one.path for name, one in by_name.items()}, rooms)
    for take in plan.takes:
        one = by_name[take.find.name.partition("!")[0]]
        take.find.came = {"source": SOURCE, "path": one.entry.path, "fs_id": str(one.entry.fs_id)}
        if "!" not in take.find.name:
            take.file = replace(take.file, claims=(*take.file.claims, *one.claims))
    found = ingest(plan, rooms, stop)
    with rooms.ledger() as ledger:
        ledger.record([_received(one, found, name) for name, one in by_name.items()])
    whole = done.ingested
    whole.plan.takes += plan.takes
    whole.plan.left += plan.left
    whole.plan.others += plan.others
    whole.taken += found.taken
    whole.problems += found.problems


def _received(one: Fetched, found: Ingested, name: str) -> Event:
    """Return the event that a file came from the disk, and what it was taken for."""
    files = [str(one.judged.file) for one in found.taken if one.take.find.name.partition("!")[0] == name]
    left = [each.status for each in found.plan.left if each.name.partition("!")[0] == name]
    entry = one.entry
    detail: dict[str, Any] = {
        "path": entry.path,
        "fs_id": str(entry.fs_id),
        "size": entry.size,
        "mtime": entry.mtime,
        "listed_md5": entry.md5 or None,
        "digests": {algorithm: digest.hex for algorithm, digest in one.digests.items()},
        "agreeing": [claim_row(claim) for claim in one.claims],
        "outcome": "taken" if files else left[0] if left else "unknown",
        "files": files,
        "bytes": one.wire_bytes,
    }
    return Event(RECEIVED, SOURCE, detail)


def _record_problems(done: Brought, rooms: Callable[[], AbstractContextManager[Rooms]]) -> None:
    """Record what did not come; the kind is one that changes no table, for nobody knows what it would have been."""
    if done.problems:
        numbers = {entry.path: str(entry.fs_id) for entry in done.wanted}
        details = [
            {"path": path, "fs_id": numbers.get(path), "error": type(error).__name__, "message": str(error)}
            for path, error in done.problems
        ]
        with rooms() as now, now.ledger() as ledger:
            ledger.record([Event(MISSED, SOURCE, detail) for detail in details])


def received(reader: Reader) -> dict[tuple[str, int, int], list[str]]:
    """Return what became of every file that ever came this way, by number, size and time.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    details = (entry.detail for entry in reader.events(subject=SOURCE, kind=RECEIVED))
    return {(told["fs_id"], told["size"], told["mtime"]): told["files"] for told in details}


def _key(entry: Entry) -> tuple[str, int, int]:
    return str(entry.fs_id), entry.size, entry.mtime


def _is_known(files: list[str] | None, reader: Reader | None) -> bool:
    """Whether a file came before, and whatever was taken of it is still held."""
    if files is None or reader is None:
        return False
    states = (reader.file(*name.split("/", 1)) for name in files)
    return all(state is not None and state.state == "held" for state in states)


def _named(entry: Entry, folder: str, patterns: Sequence[str]) -> bool:
    path = entry.path.removeprefix(f"{folder}/")
    return not patterns or any(fnmatchcase(path, pattern) or path.startswith(f"{pattern}/") for pattern in patterns)


def _check_room(wanted: Sequence[Entry], store: Store) -> None:
    """Refuse what would not fit: every missing byte, and once more the largest folder, while it is taken in."""
    sizes: dict[str, int] = {}
    for entry in wanted:
        folder = posixpath.dirname(entry.path)
        sizes[folder] = sizes.get(folder, 0) + entry.size
    keys = {partial_key(SOURCE, str(entry.fs_id)) for entry in wanted}
    here = sum(state.held for state in store.iter_partials() if state.key in keys)
    store.check_room(max(sum(sizes.values()) + max(sizes.values()) - here, 0))


def _is_lasting(error: MirrorError) -> bool:
    """Whether a later run would meet the same error."""
    return isinstance(error, RemovedError) or (isinstance(error, BaiduError) and error.remedy == Remedy.STOP)


def _ends_the_run(error: MirrorError) -> bool:
    """Whether anything more that is asked now would be in vain, or worse."""
    if isinstance(error, (QuotaError, LoginNeededError)):
        return True
    return isinstance(error, BaiduError) and error.remedy in {Remedy.STOP_RUN, Remedy.LOGIN, Remedy.FIX}
