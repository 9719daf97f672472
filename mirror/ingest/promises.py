"""What is promised, held, refused and waited for, by digest: the words that finds are held against."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from mirror.load.naming import may_hold_weights
from mirror.model import Authority, Claim, Digest, RemoteFile
from mirror.probe import Memory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from mirror.catalog import Artifact, Catalog
    from mirror.ledger import Reader
    from mirror.lock import Lock
    from mirror.store import Store


class Promises:
    """What one catalog, one lock and one ledger say, as it stood when first asked.

    Args:
        catalog: Models, pins, and hand-offs.
        reader: The ledger; None when there is none yet.
        store: Says what is held.
        lock: Pins, which count as claims.
    """

    def __init__(self, catalog: Catalog, reader: Reader | None, store: Store, lock: Lock) -> None:
        self._catalog = catalog
        self._reader = reader
        self._store = store
        self._lock = lock

    @cached_property
    def held(self) -> Mapping[str, list[str]]:
        """Names of the files that are held, by sha256."""
        found: dict[str, list[str]] = {}
        for state in self._reader.files() if self._reader is not None else ():
            if state.state == "held" and state.sha256 and self._store.find(state.sha256):
                found.setdefault(state.sha256, []).append(f"{state.artifact}/{state.path}")
        return found

    @cached_property
    def promised(self) -> Mapping[str, list[RemoteFile]]:
        """Files that are not held, by every strong digest that somebody promises of them."""
        held = {name for names in self.held.values() for name in names}
        files: dict[str, RemoteFile] = {}
        for artifact in self._catalog.artifacts():
            listing = self._reader.listing(artifact.name) if self._reader is not None else None
            pinned = {file.path: file for file in artifact.files}
            for listed in listing.files if listing is not None else ():
                pins = pinned[listed.path].claims() if listed.path in pinned else ()
                claims = tuple(dict.fromkeys((*listed.claims, *pins, *self._lock.claims(listed))))
                files[str(listed)] = RemoteFile(
                    artifact.name, listed.path, listed.urls, listed.size, claims, listed.revision
                )
            for path, pin in pinned.items():
                file = RemoteFile(artifact.name, path, (), pin.size, pin.claims(), artifact.revision)
                files.setdefault(str(file), file)
        for locked in self._lock.listings.values():
            for file in locked.files:
                before = files.get(str(file))
                claims = tuple(dict.fromkeys((*(before.claims if before is not None else ()), *file.claims)))
                files[str(file)] = replace(file, claims=claims)
        found: dict[str, list[RemoteFile]] = {}
        for name, file in files.items():
            if name not in held:
                for claim in file.claims:
                    if claim.digest.algorithm in {"sha256", "git-sha1"}:
                        found.setdefault(str(claim.digest), []).append(file)
        return found

    @cached_property
    def refused(self) -> Mapping[str, str]:
        """What look-alikes are, by sha256."""
        return {sha256: what for model in self._catalog.models for sha256, what in self._catalog.refused(model).items()}

    def share_of(self, held: Sequence[str], answered: Collection[str]) -> Artifact | None:
        """Return the open hand-off of the model and format of files that are held under these names.

        None where there is none, its name is among ``answered``, or a person brought these files before: then
        it is the same file that is found again.
        """
        if any(self._brought(name) for name in held):
            return None
        known = [self._catalog.by_artifact.get(name.partition("/")[0]) for name in held]
        for share in self.open:
            for one in known:
                if one is not None and one.model is share.model and set(one.formats) & set(share.formats):
                    return None if share.name in answered else share
        return None

    def other_size(
        self, artifacts: Sequence[Artifact], name: str, size: int, *, shared: bool
    ) -> tuple[str, int] | None:
        """Return which artifact lists a file of that name with another size, and the size.

        None where none does, one lists this very size, or several list others: then nobody can say which is meant.

        Args:
            artifacts: Which may be meant.
            name: The file's, without folders.
            size: Its bytes.
            shared: Whether what a probe saw in a share counts as well: the page is no promise of the publisher.
        """
        listed = {
            (artifact.name, known)
            for artifact in artifacts
            for path, known in (*self._sizes(artifact), *(self.shared(artifact).items() if shared else ()))
            if path.rpartition("/")[2] == name
        }
        return next(iter(listed)) if len(listed) == 1 and size not in {known for _, known in listed} else None

    def _sizes(self, artifact: Artifact) -> Iterator[tuple[str, int]]:
        """Yield the path and size of an artifact's files, as the catalog and its publisher have them."""
        yield from ((file.path, file.size) for file in artifact.files if file.size is not None)
        if artifact.waits_for_person:
            return  # what was listed is what a person brought
        listing = self._reader.listing(artifact.name) if self._reader is not None else None
        for listed in listing.files if listing is not None else ():
            if listed.size is not None:
                yield listed.path, listed.size

    def shared(self, artifact: Artifact) -> Mapping[str, int]:
        """Return the bytes of each file of an artifact's share, as a probe saw it last; nothing where none did."""
        probed = self._probes.of_artifact(artifact)
        return (probed.sizes if probed is not None else None) or {}

    @cached_property
    def _probes(self) -> Memory:
        return Memory.of(self._reader)

    def _brought(self, name: str) -> bool:
        """Whether a person brought the file that is held under this name."""
        artifact, _, path = name.partition("/")
        history = self._reader.history(artifact, path) if self._reader is not None else ()
        return any("origin" in entry.event.detail for entry in history)

    @cached_property
    def open(self) -> list[Artifact]:
        """The hand-offs of which no weights are held yet."""
        return [share for share in self.shares if not self.weights(share)]

    @cached_property
    def shares(self) -> list[Artifact]:
        """Every hand-off with an address, but for those that repeat others."""
        artifacts = self._catalog.artifacts()
        return [one for one in artifacts if one.waits_for_person and one.published and not one.bundle]

    def paths(self, artifact: Artifact) -> frozenset[str]:
        """Return the paths of an artifact's held files."""
        return frozenset(self._by_artifact.get(artifact.name, ()))

    def weights(self, artifact: Artifact) -> frozenset[str]:
        """Return those of its held weights, archives and data of checkpoints included."""
        return frozenset(filter(may_hold_weights, self.paths(artifact)))

    @cached_property
    def _by_artifact(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for names in self.held.values():
            for artifact, _, path in (name.partition("/") for name in names):
                found.setdefault(artifact, []).append(path)
        return found

    def claims(self, artifact: Artifact, path: str, instead_of: Collection[str] = ()) -> tuple[Claim, ...]:
        """Return every word on a file: the catalog's, the lock's, and our own of first contact.

        Of the paths ``instead_of``, what was seen first does not count.
        """
        pinned = next((file.claims() for file in artifact.files if file.path == path), ())
        seen = self._reader.file(artifact.name, path) if self._reader is not None and path not in instead_of else None
        first = [seen.sha256] if seen is not None and seen.sha256 else []
        first_contact = (Claim(Digest("sha256", sha256), Authority.LEDGER, "first contact") for sha256 in first)
        return (*pinned, *self._lock.claims(RemoteFile(artifact.name, path, ())), *first_contact)


def packed_of(artifact: Artifact) -> str | None:
    """Return the archive that an artifact consists of; None where it is none, or more than that."""
    paths = [file.path for file in artifact.files]
    return paths[0] if len(paths) == 1 and paths[0].endswith((".zip", ".tar.gz", ".tgz")) else None
