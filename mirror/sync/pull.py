"""One pull: survey, list, plan, fetch, record.

The ledger is asked first, and the sources only for what it does not know. One bad
file never stops the rest; a full disk or a ledger that cannot be written does, since
every other file would fail like it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mirror.errors import MirrorError, OfflineError, UnpinnedError
from mirror.plan import Plan, make_plan
from mirror.sync.outcome import Outcome, Planned, Problem, Request
from mirror.sync.peers import is_behind, tell
from mirror.sync.survey import Survey, is_pinned, survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.ledger import Reader
    from mirror.model import Digest, RemoteFile
    from mirror.stopping import Stop
    from mirror.sync.parts import Parts
    from mirror.sync.peers import Peer
    from mirror.transfer.events import Progress


def pull(
    parts: Parts,
    request: Request,
    *,
    watch: Callable[[Progress | Planned], None],
    stop: Stop,
    after: Callable[[Outcome], None] | None = None,
    concerns: Callable[[str], bool] | None = None,
) -> Outcome:
    """Do what ``request`` asks.

    Args:
        parts: The rooms to work with.
        request: What is asked for.
        watch: Told of progress, from several threads.
        stop: Ends everything soon when it is set; partials are kept.
        after: Called when something has come and is recorded, before other mirrors are told of it; and when a file
            was noted.
        concerns: Says of a path whether its file is noted in the outcome, when it was held before.

    Returns:
        What came, and every problem; a single file's problem is never raised.

    Raises:
        SourceError: The peer that was named makes no sense.
        StoreError: The store cannot be written; everything has come to a halt.
        LedgerError: Likewise, the ledger.
    """
    begun = time.monotonic()
    outcome = Outcome()
    with ExitStack() as opened:
        reader = opened.enter_context(parts.reader())
        if not request.dry_run and is_behind(parts.store, reader):
            _recover(parts, reader, outcome)
            reader = opened.enter_context(parts.reader())
        since = reader.head().seq if reader is not None else 0
        automatic = [a for a in request.artifacts if not a.waits_for_person]
        found = survey(reader, automatic, parts.store, parts.lock, request, concerns)
        peer = _meet(parts, request, found, outcome)
        if found.unlisted and request.offline and not request.locked:
            outcome.problems += [Problem(a.name, _unlisted(a.name, found)) for a in found.unlisted]
        elif found.unlisted:
            from mirror.sync.listing import list_all

            outcome.events += list_all(parts, request, found, reader, outcome, peer=peer, stop=stop)
        _settle(parts, request, found, reader, outcome)
        outcome.noted = found.noted
        outcome.plan = plan = _plan(parts, request, found, reader, outcome)
    if not request.dry_run and not stop.is_set() and (not plan.empty or outcome.events):
        from mirror.sync.fetch import fetch

        parts.store.check_room(plan.bytes_to_fetch)
        watch(Planned(sum(1 + len(task.twins) for task in plan.fetch) + len(plan.adopt), plan.bytes_to_fetch))
        fetch(parts, request, plan, outcome, since=since, peer=peer, watch=watch, stop=stop)
    outcome.seconds = time.monotonic() - begun
    if not request.dry_run and not stop.is_set():
        try:
            if after is not None and (outcome.came or outcome.noted):
                after(outcome)
        finally:
            tell(parts, outcome.notes)
    return outcome


def _settle(parts: Parts, request: Request, found: Survey, reader: Reader | None, outcome: Outcome) -> None:
    """Take up what is to be recorded of files that were held, before anything is fetched."""
    if found.edited:
        from mirror.sync import edited

        outcome.events += edited.recorded(found.edited)
        outcome.changes += [edit.change for edit in found.edited if edit.change is not None]
    if found.resized and not request.dry_run:
        from mirror.sync.adopt import put_away

        outcome.events += put_away(found.resized, parts.store)
    if reader is not None and (found.confirmed or found.denied):
        from mirror.sync import pins

        outcome.events += pins.recorded(found, reader, parts.store)


def _recover(parts: Parts, reader: Reader | None, outcome: Outcome) -> None:
    """Record again what the ledger has lost, before anything is asked for that is held."""
    from mirror.sync.recover import recover

    found = recover(parts, reader)
    outcome.notes.append(
        f"the ledger did not know what index.json lists: {found.files} files, {found.bytes} B, hashed and recorded"
    )
    tell(parts, outcome.notes)


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
    denied = {str(file): file for file in found.denied}
    for name in [str(task.file) for task in plan.fetch]:
        outcome.problems.append(
            Problem(name, _denied(denied[name]) if name in denied else _offline(name, "is not held"))
        )
    return Plan(plan.held_files, plan.held_bytes, plan.adopt, (), plan.waiting)


def _permitted(wanted: list[RemoteFile], request: Request, outcome: Outcome) -> list[RemoteFile]:
    """Return what may be fetched: with ``--locked``, only files with a pin."""
    if not request.locked:
        return wanted
    permitted = []
    for file in wanted:
        if is_pinned(file):
            permitted.append(file)
        else:
            outcome.problems.append(Problem(str(file), UnpinnedError(f"{file} has no pin, and --locked was asked for")))
    return permitted


def _locate(parts: Parts, reader: Reader | None, digest: Digest) -> str | None:
    """Return the sha256 of a blob in the store with that strong digest."""
    sha256: str | None = digest.hex if digest.algorithm == "sha256" else None
    if sha256 and parts.store.find(sha256) is None:
        return None
    row = reader.blob_by_digest(digest) if reader is not None else None
    if sha256 is None and row is not None and row.verdict in {None, "intact"}:
        sha256 = row.sha256
    blob = parts.store.find(sha256) if sha256 else None
    # One of another size is none: a pull puts it away, but a dry run does not.
    return sha256 if blob is not None and (row is None or row.size in {None, blob.size}) else None


def _denied(file: RemoteFile) -> MirrorError:
    from mirror.sync.pins import denial

    return denial(file)


def _unlisted(name: str, found: Survey) -> OfflineError:
    formats = found.narrowed.get(name)
    return _offline(name, f"is held only in {', '.join(formats)}" if formats else "was never listed")


def _offline(name: str, why: str) -> OfflineError:
    return OfflineError(f"{name} {why}, and --offline forbids to ask for it")
