"""Ask the sources what artifacts consist of, and compare with what was known.

A locked artifact is listed by the lock, without asking anybody.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mirror.errors import ConnectionDroppedError, MirrorError, SourceError, StoreError
from mirror.model import Event, Listing, RemoteFile
from mirror.sources.narrow import keeps, narrow
from mirror.sync import rows
from mirror.sync.again import moved, seen
from mirror.sync.outcome import Change, Outcome, Problem, Request
from mirror.sync.patience import policy_of
from mirror.sync.pool import Pool
from mirror.sync.survey import Survey, as_before, is_pinned, of_today, pins_of, widened, with_claims
from mirror.transfer.retry import Tries, after_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mirror.catalog import Artifact
    from mirror.ledger import Holding, Reader
    from mirror.stopping import Stop
    from mirror.sync.parts import Parts
    from mirror.sync.peers import Peer
    from mirror.transfer import Policy

#: Repositories asked at once: politeness, since each costs the hub's API some calls.
_AT_ONCE = 8
#: Times that one is asked at the most: a host that is not there is told so for every artifact it has.
_QUESTIONS = 3


def list_all(
    parts: Parts,
    request: Request,
    found: Survey,
    reader: Reader | None,
    outcome: Outcome,
    *,
    peer: Peer | None,
    stop: Stop,
) -> list[Event]:
    """List every artifact of ``found.unlisted``; what is wanted of them is added to ``found``.

    Returns:
        Events for the ledger: one for every listing, and for every change that was found.
    """
    offered = _offered(parts, request, found, reader, peer)
    answers: dict[str, Listing | MirrorError] = {**offered}
    known = (
        {a.name: seen(reader, a.name, parts.store) for a in found.unlisted if a.kind == "http"}
        if reader and request.update
        else {}
    )
    formats = {name: widened(holding, request.formats) for name, holding in _holdings(found, reader).items()}
    changed: dict[str, frozenset[str]] = {}
    lock = threading.Lock()
    policy = policy_of(request)
    policy = replace(policy, attempts=min(policy.attempts, _QUESTIONS))

    def ask(artifact: Artifact) -> None:
        answer: Listing | MirrorError
        other: Iterable[str] = ()
        try:
            question = partial(_ask, parts, request, artifact, formats[artifact.name])
            answer = _patiently(question, policy, stop, where=_where(parts, artifact))
            other = moved(parts.openers, answer, known.get(artifact.name, {}))
        except StoreError:
            raise
        except MirrorError as error:
            answer = error
        with lock:
            answers[artifact.name], changed[artifact.name] = answer, frozenset(other)

    Pool(ask, jobs=min(_AT_ONCE, request.jobs), stop=stop).run(
        [artifact for artifact in found.unlisted if artifact.name not in offered]
    )
    events: list[Event] = []
    for artifact in found.unlisted:
        answer = answers.get(artifact.name)
        if isinstance(answer, Listing):
            source = f"the peer {peer.name}" if peer and artifact.name in offered else _where(parts, artifact)
            other = changed.get(artifact.name, frozenset())
            events += _take(parts, request, found, reader, outcome, artifact, answer, source, other)
        elif answer is not None:
            outcome.problems.append(Problem(artifact.name, answer))
    return events


def _holdings(found: Survey, reader: Reader | None) -> dict[str, Holding | None]:
    """Return what is known of each artifact that is to be listed; None where nothing is."""
    names = [artifact.name for artifact in found.unlisted]
    known = {} if reader is None else {holding.artifact: holding for holding in reader.holdings(names)}
    return {name: known.get(name) for name in names}


def _offered(
    parts: Parts, request: Request, found: Survey, reader: Reader | None, peer: Peer | None
) -> dict[str, Listing]:
    """Return what a peer says of artifacts that were never listed here; their publishers need not be asked."""
    if peer is None or request.update:
        return {}
    known = set(reader.artifacts() if reader is not None else ())
    if request.locked:
        known.update(parts.lock.listings)
    said = {a.name: peer.listing(a, parts.openers.hub, request.formats) for a in found.unlisted if a.name not in known}
    return {name: listing for name, listing in said.items() if listing is not None}


def _patiently(ask: Callable[[], Listing], policy: Policy, stop: Stop, *, where: str) -> Listing:
    """Return what ``ask`` gives; a question that fails for the moment is asked again, as a file would be."""
    tries, hosts = Tries(), policy.hosts
    while True:
        try:
            listing = ask()
        except SourceError as error:
            if not isinstance(error, ConnectionDroppedError):
                hosts.refused(where)
            mute, draw = hosts.is_mute(where), policy.random()
            step = after_failure(tries, error, progressed=False, urls=1, policy=policy, draw=draw, mute=mute)
            if step is None:
                hosts.give_up(where)
            if step is None or stop.is_set():
                raise
            tries = step.tries
            policy.sleep(step.pause, stop)
        else:
            hosts.answered(where)
            return listing


def _ask(parts: Parts, request: Request, artifact: Artifact, formats: Sequence[str]) -> Listing:
    if request.locked and artifact.name in parts.lock.listings:
        locked = parts.lock.listings[artifact.name]
        return locked._replace(files=tuple(of_today(locked.files, artifact)))
    from mirror.sources.listing import list_artifact

    return list_artifact(artifact, parts.openers, formats=formats)


def _take(
    parts: Parts,
    request: Request,
    found: Survey,
    reader: Reader | None,
    outcome: Outcome,
    artifact: Artifact,
    listing: Listing,
    source: str,
    other: frozenset[str],
) -> list[Event]:
    """Add what is wanted of a fresh listing to ``found``; return the events about it.

    Paths in ``other`` have other bytes at their source than before, though the listing does not show it.
    """
    old = reader.listing(artifact.name) if reader is not None else None
    holding = next(iter(reader.holdings([artifact.name])), None) if reader is not None else None
    formats = widened(holding, request.formats)
    events = [rows.listed(listing, source=source, narrowed=formats)]
    pins = pins_of(artifact)
    promised = [with_claims(file, pins.get(file.path, ()), parts.lock) for file in listing.files]
    for one in (one for one in listing.refused if keeps(one.path, formats)):
        error = SourceError(f"{listing.artifact}/{one}", hint="its source lists it so; everything else of it comes")
        outcome.problems.append(Problem(f"{listing.artifact}/{one.path[:80]!a}", error))
        events.append(rows.refused(listing.artifact, error))
    kept: set[str] = set()
    if holding is not None and old is not None:
        kept = as_before(listing, holding, old, found, parts.store) - other
        if request.locked:
            kept &= {file.path for file in promised if is_pinned(file)}
        states = {state.path: state for state in holding.files}
        for path in sorted(kept):
            found.hold(states[path])
        # What only one of two narrowings leaves out says nothing about the source.
        before = old._replace(files=narrow(old.files, formats))
        after = listing._replace(files=narrow(listing.files, holding.narrowed or ()))
        if (change := changes(before, after, other)) is not None:
            outcome.changes.append(change)
            events.append(rows.updated(change))
    found.wanted += [file for file in promised if file.path not in kept and keeps(file.path, request.formats)]
    return events


def changes(old: Listing, new: Listing, other: frozenset[str] = frozenset()) -> Change | None:
    """Return what is different between two listings of one artifact; None when nothing is.

    Args:
        old: What was known.
        new: What the source says now.
        other: Paths that are known to have changed.
    """
    before, after = ({file.path: file for file in listing.files} for listing in (old, new))
    change = Change(
        new.artifact,
        old.revision,
        new.revision,
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(sorted(p for p in before.keys() & after.keys() if p in other or _differs(before[p], after[p]))),
        removed=tuple(sorted(before.keys() - after.keys())),
    )
    same = old.revision == new.revision and not (change.added or change.changed or change.removed)
    return None if same else change


def _differs(old: RemoteFile, new: RemoteFile) -> bool:
    """Whether the bytes must be others; something that only one listing knows says nothing about that."""
    if None not in {old.size, new.size} and old.size != new.size:
        return True
    before, after = ({c.digest.algorithm: c.digest for c in file.claims} for file in (old, new))
    return any(before[algorithm] != after[algorithm] for algorithm in before.keys() & after.keys())


def _where(parts: Parts, artifact: Artifact) -> str:
    return parts.openers.hub.endpoint if artifact.kind == "hub" else "catalog.json"
