"""The tensors of one model, from the best weights that are held: opened once, and judged through what was opened.

The bytes that were looked at are the bytes that are given: both are views of one open
file, so nothing can come between. Weights that are unsound are not given.
"""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.compare.finding import Severity
from mirror.compare.names import canonical
from mirror.digests import digest_file
from mirror.errors import ArchiveError, FormatError, IntegrityError, StoreError, UsageError
from mirror.formats.sniff import kind
from mirror.load.judging import Loaded, judge, unread
from mirror.load.material import HeldFile, Material, Weights, archives, beside, inside
from mirror.load.reading import read
from mirror.promised import known_of
from mirror.prove import Proof, held_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mirror.catalog import Artifact
    from mirror.compare.names import Canonical
    from mirror.ledger import Reader
    from mirror.load.known import Known
    from mirror.store import Store

#: Formats from the best to the last: what needs the fewest steps comes first, and third parties' conversions last.
_FORMATS = ("safetensors", "torch-zip", "torch-legacy", "flax", "tensorflow", "hdf5", "paddle")
_LAST = len(_FORMATS)


class Opened(NamedTuple):
    """One weight file, open and sound.

    Attributes:
        proof: Whose it is, and what was found in it.
        tensors: What it holds, as views of the file.
        texts: What stands beside it: configurations, vocabularies.
        known: What the catalog says of the model.
    """

    proof: Proof
    tensors: Canonical
    texts: Mapping[str, memoryview]
    known: Known

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Its tensors by canonical name, none of which can be written."""
        return MappingProxyType({name: _only_readable(one.array) for name, one in self.tensors.tensors.items()})


class _Source(NamedTuple):
    """A weight file of an artifact, or an archive that may have some; sorts by how good it is."""

    rank: int
    place: int
    path: str
    artifact: Artifact
    material: Material | HeldFile


def open_best(reader: Reader, store: Store, artifacts: Sequence[Artifact], scratch: Path) -> Opened:
    """Open the best sound weights that are held of ``artifacts``.

    Args:
        reader: The ledger.
        store: Has the blobs.
        artifacts: Of one model; the first of equals is taken.
        scratch: A directory with room for the content of an archive; nothing in it has a name.

    Raises:
        UsageError: No weights are held.
        UnsoundError: Those that are, are not what the model needs.
        IntegrityError: A blob is not any more what was recorded.
        StoreError: A blob cannot be read, or there is no room to unpack an archive.
        LedgerError: The ledger cannot be read.
    """
    held = {artifact.name: held_files(reader, store, artifact.name) for artifact in artifacts}
    refused: list[Proof] = []
    for source in sorted(_sources(reader, artifacts, held), key=lambda one: one[:3]):
        for opened in _opened(reader, source, held[source.artifact.name], scratch):
            if isinstance(opened, Opened):
                return opened
            refused.append(opened)
    if refused:
        raise refused[0].error
    names = " ".join(artifact.name for artifact in artifacts)
    raise UsageError(f"no weights of {names} are held", hint=f"minibert-mirror pull {names}")


def _sources(
    reader: Reader, artifacts: Sequence[Artifact], held: Mapping[str, Sequence[HeldFile]]
) -> Iterator[_Source]:
    for place, artifact in enumerate(artifacts):
        material = beside(held[artifact.name])
        for weights in material.weights:
            yield _Source(_rank(_kind(weights)), place, weights.name, artifact, material._replace(weights=(weights,)))
        for archive in archives(held[artifact.name]):
            inner = [_rank(row.format) for row in reader.loaded.of(archive.sha256)]
            yield _Source(min(inner, default=_LAST), place, archive.path, artifact, archive)


def _rank(kind: str | None) -> int:
    return _FORMATS.index(kind) if kind in _FORMATS else _LAST


def _kind(weights: Weights) -> str | None:
    """Return the format that a file seems to have; None when it has none."""
    if len(weights.parts) > 1:
        return "tensorflow"
    data = weights.parts[0]
    try:
        return kind(data)
    except FormatError:
        return None


def _opened(reader: Reader, source: _Source, held: Sequence[HeldFile], scratch: Path) -> Iterator[Opened | Proof]:
    """Yield the weights of a source that are sound, opened, and what was found in those that are not."""
    name, archive = source.artifact.name, source.material
    try:
        material = inside(archive, scratch) if isinstance(archive, HeldFile) else archive
    except ArchiveError as error:
        assert isinstance(archive, HeldFile)
        _check_bytes(source, held, ())
        whole = Weights(source.path, archive.sha256, "", (), surely=True)
        yield Proof(name, unread(whole, error, Severity.ERROR))
        return
    known = known_of(source.artifact)
    for weights in material.weights:
        loaded = judge(weights, material.texts, known)
        recorded = {row.member: row.roots for row in reader.loaded.of(weights.blob)}
        # Tensors with the digests that were recorded need no second look at the file around them.
        if not loaded.roots or recorded.get(weights.member) != loaded.roots:
            _check_bytes(source, held, () if isinstance(archive, HeldFile) else weights.parts)
        if not loaded.sound:
            yield Proof(name, loaded)
        elif _is_model(loaded, known):
            tensors = canonical(read(weights), loaded.family)
            yield Opened(Proof(name, loaded), tensors, material.texts, known)


def _is_model(loaded: Loaded, known: Known) -> bool:
    """Whether weights are those of a model, and of the right kind where that is known."""
    return bool(loaded.tensors) and (known.family is None or loaded.family is not None)


def _check_bytes(source: _Source, held: Sequence[HeldFile], parts: Sequence[memoryview]) -> None:
    """Refuse parts, or an archive, whose bytes are not those of a file that is held.

    Raises:
        IntegrityError: They are not.
        StoreError: The archive cannot be read.
    """
    found = [hashlib.sha256(part).hexdigest() for part in parts]
    if isinstance(source.material, HeldFile):
        where = source.material.where
        try:
            found.append(digest_file(where, {"sha256"})[0]["sha256"].hex)
        except OSError as error:
            raise StoreError(f"{where}: {error.strerror or error!r}") from error
    if not {file.sha256 for file in held}.issuperset(found):
        raise IntegrityError(
            f"{source.artifact.name}/{source.path} is not any more what was recorded",
            hint="`minibert-mirror verify` says where, `minibert-mirror repair` mends it",
        )


def _only_readable(array: NDArray[Any]) -> NDArray[Any]:
    seen = array.view()
    seen.flags.writeable = False
    return seen
