"""What a pull finds before it does anything: held, wanted, not yet listed.

Reads the ledger and asks the store for sizes; opens no socket. Held files are only
counted, so that a mirror of 10^5 files needs no memory for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from mirror.errors import CatalogError
from mirror.evidence import PINS
from mirror.model import Authority, Claim, Digest, Level, Listing, RemoteFile
from mirror.sources.narrow import keeps
from mirror.wire import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mirror.catalog import Artifact
    from mirror.ledger import FileState, Holding, Reader
    from mirror.lock import Lock
    from mirror.store import Store
    from mirror.sync.edited import Edited
    from mirror.sync.outcome import Request


@dataclass(slots=True)
class Survey:
    """What was found.

    Attributes:
        held_files: Files that are held.
        held_bytes: Their sizes, added up.
        wanted: Files that are known and not held, with every claim on them.
        unlisted: Artifacts whose files nobody has listed yet, or not in full.
        narrowed: Of those that were listed in part, the formats that were.
        edited: Artifacts of which the catalog lists others than it did; what is new is among the wanted.
        denied: Held files that a pin of today contradicts; they are wanted again.
        confirmed: Held files that a pin of today confirms, and that were not known as pinned.
        resized: Held files whose blobs have another size than was recorded; they are wanted again.
        concerns: Says of a path whether its file is worth a note in ``noted``, when it is held.
        noted: Those files.
    """

    held_files: int = 0
    held_bytes: int = 0
    wanted: list[RemoteFile] = field(default_factory=list)
    unlisted: list[Artifact] = field(default_factory=list)
    narrowed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    edited: list[Edited] = field(default_factory=list)
    denied: list[RemoteFile] = field(default_factory=list)
    confirmed: list[RemoteFile] = field(default_factory=list)
    resized: list[FileState] = field(default_factory=list)
    concerns: Callable[[str], bool] | None = None
    noted: list[FileState] = field(default_factory=list)

    def hold(self, state: FileState) -> None:
        """Count a file that is held."""
        self.held_files += 1
        self.held_bytes += state.size or 0
        if self.concerns is not None and self.concerns(state.path):
            self.noted.append(state)

    def has(self, state: FileState, store: Store) -> bool:
        """Whether a file is held, as far as the size of its blob tells; what has another size is noted."""
        if state.state != "held" or not state.sha256 or (blob := store.find(state.sha256)) is None:
            return False
        if state.size not in {None, blob.size}:
            self.resized.append(state)
            return False
        return True


def survey(
    reader: Reader | None,
    artifacts: Sequence[Artifact],
    store: Store,
    lock: Lock,
    request: Request,
    concerns: Callable[[str], bool] | None = None,
) -> Survey:
    """Look at what is held of ``artifacts``.

    Args:
        reader: The ledger; None when there is none yet.
        artifacts: What is to be pulled, without hand-offs.
        store: Where blobs would be.
        lock: Pins, which count as claims.
        request: For its formats, and whether sources are asked again.
        concerns: Says of a path whether its file is to be noted, when it is held.

    Raises:
        LedgerError: The ledger cannot be read.
        StoreError: The store cannot be read.
    """
    found = Survey(concerns=concerns)
    holdings = {} if reader is None else {h.artifact: h for h in reader.holdings([a.name for a in artifacts])}
    for artifact in artifacts:
        holding = holdings.get(artifact.name)
        if holding is None or reader is None or request.update:
            found.unlisted.append(artifact)
        elif artifact.kind != "http" and _too_narrow(holding, request.formats):
            found.unlisted.append(artifact)
            found.narrowed[artifact.name] = holding.narrowed or ()
        else:
            _Look(found, artifact, holding, reader, store, lock, request).take()
    return found


@dataclass(slots=True)
class _Look:
    """A look at what is held of one artifact that was listed before."""

    found: Survey
    artifact: Artifact
    holding: Holding
    reader: Reader
    store: Store
    lock: Lock
    request: Request

    def take(self) -> None:
        """Add what there is to what was found; of files that the catalog lists, as it does today."""
        edit = None
        if self.artifact.kind == "http":
            try:
                edit = self._edit()
            except CatalogError:
                self.found.unlisted.append(self.artifact)  # whoever lists it says why not
                return
            self.found.edited += [edit] if edit is not None else []
        self._sort(edit)

    def _edit(self) -> Edited | None:
        """Return how the catalog's list differs from what was listed; None where it does not, or a lock counts."""
        if self.request.locked and self.artifact.name in self.lock.listings:
            return None
        if {file.path for file in self.artifact.files} == {state.path for state in self.holding.files}:
            return None
        from mirror.sync.edited import edited

        return edited(self.artifact, self.holding, self.request.formats, self.reader)

    def _sort(self, edit: Edited | None) -> None:
        """Tell held, missing, denied and confirmed files apart."""
        found, formats, pins = self.found, self.request.formats, pins_of(self.artifact)
        confirmed: set[str] = set()
        missing: dict[str, str | None] = dict.fromkeys(edit.added) if edit is not None else {}
        denied: dict[str, str | None] = {}
        for state in self.holding.files:
            if (formats and not keeps(state.path, formats)) or (edit and state.path in edit.removed):
                continue
            if not found.has(state, self.store):
                missing[state.path] = state.sha256
                continue
            said = {pin.hex for pin in _pinned(pins.get(state.path, ()), self.lock, state)}
            if said - {state.sha256}:
                denied[state.path] = state.sha256
                continue
            if self.request.locked and not said:
                # As if it were not here: nothing that has no pin is taken, and so it is said.
                missing[state.path] = state.sha256
                continue
            found.hold(state)
            if said and state.level != Level.PINNED:
                confirmed.add(state.path)
        if not (missing or denied or confirmed):
            return
        listing = edit.listing if edit is not None else self.reader.listing(self.artifact.name)
        for file in of_today(listing.files if listing else (), self.artifact):
            claimed = partial(with_claims, file, pins.get(file.path, ()), self.lock)
            if file.path in missing:
                found.wanted.append(claimed(missing[file.path]))
            elif file.path in denied:
                # What we saw first must yield to a pin: whoever wrote that knew more.
                found.wanted.append(claimed())
                found.denied.append(claimed(denied[file.path]))
            elif file.path in confirmed:
                found.confirmed.append(claimed())


def _pinned(pins: Iterable[Claim], lock: Lock, state: FileState) -> list[Digest]:
    """Return every sha256 that the catalog or the lock pins a held file to."""
    claims = (*pins, *lock.pins(state.artifact, state.path, state.revision))
    return [claim.digest for claim in claims if claim.digest.algorithm == "sha256"]


def of_today(files: Iterable[RemoteFile], artifact: Artifact) -> Iterator[RemoteFile]:
    """Yield recorded ``files`` without the pins of then, and with the catalog's addresses of today, if it has any.

    The ledger keeps no query of an address, and a pin holds as long as it stands in the catalog.
    """
    # A hub's addresses depend on its endpoint, and have no query.
    today = {file.path: file.urls for file in artifact.files if file.urls} if artifact.kind == "http" else {}
    for file in files:
        claims = tuple(claim for claim in file.claims if claim.authority is not Authority.CATALOG)
        yield replace(file, urls=today.get(file.path, file.urls), claims=claims)


def with_claims(file: RemoteFile, pins: Iterable[Claim], lock: Lock, seen: str | None = None) -> RemoteFile:
    """Return ``file`` with every word on it: the catalog's of today, the lock's, and our own of first contact."""
    first = (Claim(Digest("sha256", seen), Authority.LEDGER, "first contact"),) if seen else ()
    claims = dict.fromkeys((*file.claims, *pins, *lock.claims(file), *first))
    return file if len(claims) == len(file.claims) else replace(file, claims=tuple(claims))


def is_pinned(file: RemoteFile) -> bool:
    """Whether the catalog or the lock says which bytes a file has."""
    return any(claim.authority in PINS and claim.digest.algorithm == "sha256" for claim in file.claims)


def pins_of(artifact: Artifact) -> Mapping[str, tuple[Claim, ...]]:
    """Return the catalog's claims of today, by path; only paths that have any."""
    return {file.path: claims for file in artifact.files if (claims := file.claims())}


def as_before(listing: Listing, holding: Holding, old: Listing, found: Survey, store: Store) -> set[str]:
    """Return the paths of ``listing`` that are held and still promise the same."""
    states = {state.path: state for state in holding.files}
    before = {file.path: file for file in old.files}
    return {
        file.path
        for file in listing.files
        if file.path in states and found.has(states[file.path], store) and _same(before.get(file.path), file)
    }


def _same(old: RemoteFile | None, new: RemoteFile) -> bool:
    """Whether a file is promised as before; a size that was unknown then is known since the bytes came."""
    if old is None:
        return False
    size = old.size if new.size is None else new.size
    return old == replace(new, size=size, urls=tuple(map(redact, new.urls)))


def _too_narrow(holding: Holding, formats: Sequence[str]) -> bool:
    """Whether the recorded listing leaves out what is asked for now."""
    return widened(holding, formats) != (holding.narrowed or ())


def widened(holding: Holding | None, formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats to list an artifact with: those asked for, and those that were listed before; empty is all."""
    if holding is None:
        return tuple(formats)
    if holding.narrowed is None or not formats:
        return ()
    return tuple(dict.fromkeys((*holding.narrowed, *formats)))
