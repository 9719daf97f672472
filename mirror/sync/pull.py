"""One pull: survey, list, plan, fetch, record.

The ledger is asked first, and the sources only for what it does not know. One bad
file never stops the rest; a full disk or a ledger that cannot be written does, since
every other file would fail like it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mirror.errors import OfflineError, UnpinnedError
from mirror.model import Authority, Digest, RemoteFile
from mirror.plan import Plan, make_plan
from mirror.sync.outcome import Outcome, Planned, Problem, Request
from mirror.sync.survey import Survey, survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.ledger import Reader
    from mirror.stopping import Stop
    from mirror.sync.parts import Parts
    from mirror.sync.peers import Peer
    from mirror.transfer.events import Progress

_PINS = frozenset({Authority.CATALOG, Authority.LOCK})


def pull(parts: Parts, request: Request, *, watch: Callable[[Progress | Planned], None], stop: Stop) -> Outcome:
    """Do what ``request`` asks.

    Args:
        parts: The rooms to work with.
        request: What is asked for.
        watch: Told of progress, from several threads.
        stop: Ends everything soon when it is set; partials are kept.

    Returns:
        What came, and every problem; a single file's problem is never raised.

    Raises:
        SourceError: The peer that was named makes no sense.
        StoreError: The store cannot be written; everything has come to a halt.
        LedgerError: Likewise, the ledger.
    """
    begun = time.monotonic()
    outcome = Outcome()
    with parts.reader() as reader:
        since = reader.head().seq if reader is not None else 0
        automatic = [a for a in request.artifacts if not a.waits_for_person]
        found = survey(reader, automatic, parts.store, parts.lock, request)
        outcome.problems += found.problems
        peer = _meet(parts, request, found, outcome)
        if found.unlisted and request.offline and not request.locked:
            outcome.problems += [Problem(a.name, _offline(a.name, "was never listed")) for a in found.unlisted]
        elif found.unlisted:
            from mirror.sync.listing import list_all

            outcome.events += list_all(parts, request, found, reader, outcome, peer=peer, stop=stop)
        outcome.plan = plan = _plan(parts, request, found, reader, outcome)
    if not request.dry_run and not stop.is_set() and (not plan.empty or outcome.events):
        from mirror.sync.fetch import fetch

        parts.store.check_room(plan.bytes_to_fetch)
        watch(Planned(len(plan.fetch) + len(plan.adopt), plan.bytes_to_fetch))
        fetch(parts, request, plan, outcome, since=since, peer=peer, watch=watch, stop=stop)
    if not request.dry_run and not stop.is_set():
        from mirror.sync.peers import tell

        tell(parts, outcome.notes)
    outcome.seconds = time.monotonic() - begun
    return outcome


def _meet(parts: Parts, request: Request, found: Survey, outcome: Outcome) -> Peer | None:
    """Ask the peer that was named what it holds; nobody is asked when nothing is wanted."""
    if request.peer is None or request.offline or not (found.unlisted or found.wanted):
        return None
    from mirror.sync.peers import meet

    return meet(request.peer, parts, outcome.notes)


def _plan(parts: Parts, request: Request, found: Survey, reader: Reader | None, outcome: Outcome) -> Plan:
    wanted = _permitted(found.wanted, request, outcome)
    plan = make_plan(
        wanted,
        held_files=found.held_files,
        held_bytes=found.held_bytes,
        locate=lambda digest: _locate(parts, reader, digest),
        waiting=[a.name for a in request.artifacts if a.waits_for_person],
    )
    if not request.offline:
        return plan
    outcome.problems += [Problem(str(task.file), _offline(str(task.file), "is not held")) for task in plan.fetch]
    return Plan(plan.held_files, plan.held_bytes, plan.adopt, (), plan.waiting)


def _permitted(wanted: list[RemoteFile], request: Request, outcome: Outcome) -> list[RemoteFile]:
    """Return what may be fetched: with ``--locked``, only files with a pin."""
    if not request.locked:
        return wanted
    permitted = []
    for file in wanted:
        if any(c.authority in _PINS and c.digest.algorithm == "sha256" for c in file.claims):
            permitted.append(file)
        else:
            outcome.problems.append(Problem(str(file), UnpinnedError(f"{file} has no pin, and --locked was asked for")))
    return permitted


def _locate(parts: Parts, reader: Reader | None, digest: Digest) -> str | None:
    """Return the sha256 of a blob in the store with that strong digest."""
    sha256: str | None = digest.hex
    if digest.algorithm != "sha256":
        row = reader.blob_by_digest(digest) if reader is not None else None
        sha256 = row.sha256 if row is not None and row.verdict in {None, "intact"} else None
    return sha256 if sha256 and parts.store.find(sha256) else None


def _offline(name: str, why: str) -> OfflineError:
    return OfflineError(f"{name} {why}, and --offline forbids to ask for it")
