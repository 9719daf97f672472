"""Everything that is known about one file: who promised what, what came, who judged it, when.

``why`` prints it. Gathered from the catalog and the ledger; nothing is asked and
nothing is read but their rows.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.catalog import select
from mirror.corroborate import corroborations
from mirror.errors import SelectorError
from mirror.evidence import judge
from mirror.model import Authority, Claim, Digest, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.catalog import Artifact, Catalog, PinnedFile
    from mirror.corroborate import Corroboration
    from mirror.evidence import Evidence
    from mirror.ledger import BlobRow, Entry, FileState, MemberRow, Reader, WeightsRow
    from mirror.model import RemoteFile

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")
_KNOWN = "`minibert-mirror ls --missing` lists every file, `minibert-mirror status` every artifact"


class Explanation(NamedTuple):
    """What is known about one file.

    Attributes:
        state: What became of it.
        listed: What was promised when it was listed: addresses, size, claims.
        pinned: What the catalog says of it today; None when nothing.
        blob: What was recorded of its bytes; None when nothing is held.
        members: Of an archive, what is inside.
        weights: Of weights, and archives of them, what was found in them last.
        history: Every event about it, oldest first.
        member: The one member that was asked for, of an archive.
        tensors: What better known weights of the same model say of its own.
    """

    state: FileState
    listed: RemoteFile | None
    pinned: PinnedFile | None
    blob: BlobRow | None
    members: tuple[MemberRow, ...]
    weights: tuple[WeightsRow, ...]
    history: tuple[Entry, ...]
    member: str | None = None
    tensors: tuple[Corroboration, ...] = ()

    @property
    def name(self) -> str:
        """Artifact and path."""
        return f"{self.state.artifact}/{self.state.path}"

    def member_evidence(self, row: MemberRow) -> Evidence:
        """Return what is known of one member: the catalog's pin on it, and the CRC-32 of the zip itself."""
        actual = {"sha256": row.sha256, "crc32": row.crc32}
        digests = {name: Digest(name, value) for name, value in actual.items() if value}
        pins = next((m.claims() for m in (self.pinned.members or () if self.pinned else ()) if m.path == row.path), ())
        claims = [claim for claim in pins if claim.digest.algorithm in digests]
        if "crc32" in digests:
            claims.append(Claim(digests["crc32"], Authority.MEMBER, self.state.path))
        return judge(digests, claims)

    def last(self, kind: str) -> dict[str, Any] | None:
        """Return the detail of the last event of a kind; None when there was none."""
        return next((entry.detail for entry in reversed(self.history) if entry.kind == kind), None)


def find(name: str, catalog: Catalog, reader: Reader | None) -> list[Explanation]:
    """Return what is known about every file that ``name`` means.

    Args:
        name: ``ARTIFACT/PATH``, with any selector for the artifact; a selector alone; a path; the beginning of a
            sha256; any of them with ``!MEMBER`` behind for one member of an archive.
        catalog: For the selectors and the promises.
        reader: The ledger; None when there is none yet.

    Raises:
        SelectorError: It means no file that the ledger knows.
        LedgerError: The ledger cannot be read.
    """
    outer, _, member = name.partition("!")
    states = list(_states(outer, catalog, reader)) if reader is not None else []
    if not states or reader is None:
        known = [f"{s.artifact}/{s.path}" for s in reader.files()] if reader is not None else []
        nearest = tuple(difflib.get_close_matches(outer, known, n=3))
        hint = _KNOWN if known else "nothing was pulled yet: `minibert-mirror pull`"
        raise _unknown(f"{outer!r} means no file that was ever listed", hint, nearest)
    found = [_explain(state, catalog, reader, member or None) for state in states]
    if member:
        found = [one for one in found if any(row.path == member for row in one.members)]
        if not found:
            raise _unknown(f"{outer} has no member {member!r}", f"`minibert-mirror why {outer}` lists its members")
    return found


def _unknown(message: str, hint: str, nearest: tuple[str, ...] = ()) -> SelectorError:
    error = SelectorError(message, nearest=nearest)
    error.hint = hint  # the catalog's names, of which its own speaks, are of no help here
    return error


def _states(name: str, catalog: Catalog, reader: Reader) -> Iterator[FileState]:
    whole = _artifacts(name, catalog)
    if whole:
        for artifact in whole:
            yield from reader.files(artifact.name)
        return
    seen = False
    for cut in [place for place, sign in enumerate(name) if sign == "/"]:
        for artifact in _artifacts(name[:cut], catalog):
            state = reader.file(artifact.name, name[cut + 1 :])
            if state is not None:
                seen = True
                yield state
    if seen:
        return
    digest = _SHA256.fullmatch(name)
    for state in reader.files():
        same_path = state.path == name or state.path.endswith(f"/{name}")
        if same_path or (digest and (state.sha256 or "").startswith(digest[1])):
            yield state


def _artifacts(selector: str, catalog: Catalog) -> tuple[Artifact, ...]:
    try:
        return select(catalog, [selector])
    except SelectorError:
        return ()


def _explain(state: FileState, catalog: Catalog, reader: Reader, member: str | None) -> Explanation:
    listing = reader.listing(state.artifact)
    listed = next((file for file in listing.files if file.path == state.path), None) if listing else None
    artifact = catalog.by_artifact.get(state.artifact)
    return Explanation(
        state,
        listed,
        next((file for file in artifact.files if file.path == state.path), None) if artifact is not None else None,
        reader.blob(state.sha256) if state.sha256 else None,
        reader.members(state.sha256) if state.sha256 else (),
        reader.loaded.of(state.sha256) if state.sha256 else (),
        tuple(reader.history(state.artifact, state.path)),
        member,
        _corroborated(state, catalog, reader),
    )


def _corroborated(state: FileState, catalog: Catalog, reader: Reader) -> tuple[Corroboration, ...]:
    if state.level != Level.FIRST_SEEN or state.sha256 is None or not reader.loaded.of(state.sha256):
        return ()
    found = corroborations(catalog, reader, {state.artifact}).get(state.artifact, ())
    return tuple(one for one in found if one.path.partition("!")[0] == state.path)
