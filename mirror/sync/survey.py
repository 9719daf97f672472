"""What a pull finds before it does anything: held, wanted, not yet listed.

Reads the ledger and asks the store for sizes; opens no socket. Held files are only
counted, so that a mirror of 10^5 files needs no memory for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mirror.errors import DisputedError
from mirror.model import Authority, Claim, Digest, Listing, RemoteFile
from mirror.sources.narrow import keeps
from mirror.sync.outcome import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mirror.catalog import Artifact
    from mirror.ledger import FileState, Holding, Reader
    from mirror.lock import Lock
    from mirror.store import Store
    from mirror.sync.outcome import Request


@dataclass(slots=True)
class Survey:
    """What was found.

    Attributes:
        held_files: Files that are held.
        held_bytes: Their sizes, added up.
        wanted: Files that are known and not held, with every claim on them.
        unlisted: Artifacts whose files nobody has listed yet, or not in full.
        problems: Held files that a pin of today contradicts.
    """

    held_files: int = 0
    held_bytes: int = 0
    wanted: list[RemoteFile] = field(default_factory=list)
    unlisted: list[Artifact] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def survey(reader: Reader | None, artifacts: Sequence[Artifact], store: Store, lock: Lock, request: Request) -> Survey:
    """Look at what is held of ``artifacts``.

    Args:
        reader: The ledger; None when there is none yet.
        artifacts: What is to be pulled, without hand-offs.
        store: Where blobs would be.
        lock: Pins, which count as claims.
        request: For its formats, and whether sources are asked again.

    Raises:
        LedgerError: The ledger cannot be read.
        StoreError: The store cannot be read.
    """
    found = Survey()
    holdings = {} if reader is None else {h.artifact: h for h in reader.holdings([a.name for a in artifacts])}
    for artifact in artifacts:
        holding = holdings.get(artifact.name)
        if holding is None or request.update or _too_narrow(holding, request.formats):
            found.unlisted.append(artifact)
        elif reader is not None:
            _look(found, artifact, holding, reader, store, lock, request.formats)
    return found


def _look(
    found: Survey,
    artifact: Artifact,
    holding: Holding,
    reader: Reader,
    store: Store,
    lock: Lock,
    formats: Sequence[str],
) -> None:
    pins = pins_of(artifact)
    missing: dict[str, FileState] = {}
    for state in holding.files:
        if formats and not keeps(state.path, formats):
            continue
        if state.state == "held" and state.sha256 and store.find(state.sha256):
            found.held_files += 1
            found.held_bytes += state.size or 0
            if state.path in pins:
                _hold_against(found, state, pins[state.path])
        else:
            missing[state.path] = state
    if not missing:
        return
    listing = reader.listing(artifact.name)
    for file in listing.files if listing else ():
        if file.path in missing:
            found.wanted.append(with_claims(file, pins.get(file.path, ()), lock, missing[file.path].sha256))


def with_claims(file: RemoteFile, pins: Iterable[Claim], lock: Lock, seen: str | None = None) -> RemoteFile:
    """Return ``file`` with every word on it: the catalog's of today, the lock's, and our own of first contact."""
    first = (Claim(Digest("sha256", seen), Authority.LEDGER, "first contact"),) if seen else ()
    claims = dict.fromkeys((*file.claims, *pins, *lock.claims(file), *first))
    return file if len(claims) == len(file.claims) else replace(file, claims=tuple(claims))


def pins_of(artifact: Artifact) -> Mapping[str, tuple[Claim, ...]]:
    """Return the catalog's claims of today, by path; only paths that have any."""
    return {file.path: claims for file in artifact.files if (claims := file.claims())}


def as_before(listing: Listing, holding: Holding, old: Listing, store: Store) -> set[str]:
    """Return the paths of ``listing`` that are held and still promise the same."""
    states = {state.path: state for state in holding.files}
    before = {file.path: file for file in old.files}
    return {
        file.path
        for file in listing.files
        if _same(before.get(file.path), file)
        and (state := states.get(file.path)) is not None
        and state.state == "held"
        and state.sha256
        and store.find(state.sha256)
    }


def _same(old: RemoteFile | None, new: RemoteFile) -> bool:
    """Whether a file is promised as before; a size that was unknown then is known since the bytes came."""
    return old is not None and old == (new if new.size is not None else replace(new, size=old.size))


def _too_narrow(holding: Holding, formats: Sequence[str]) -> bool:
    """Whether the recorded listing leaves out what is asked for now."""
    return holding.narrowed is not None and not (formats and set(formats) <= set(holding.narrowed))


def _hold_against(found: Survey, state: FileState, pins: Iterable[Claim]) -> None:
    against = [str(pin) for pin in pins if pin.digest.algorithm == "sha256" and pin.digest.hex != state.sha256]
    if against:
        error = DisputedError(state.path, claims=tuple(against), actual=f"sha256:{state.sha256}")
        found.problems.append(Problem(f"{state.artifact}/{state.path}", error))
