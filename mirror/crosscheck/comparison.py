"""The held weights of one model, opened as far as it needs, and what they are to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.compare.difference import difference
from mirror.compare.digest import ALL, CORE, digests, roots
from mirror.compare.finding import Severity
from mirror.compare.names import canonical
from mirror.compare.verdict import Relation, relate, relax
from mirror.crosscheck.values import Compared, Crosscheck, Weighed
from mirror.errors import ArchiveError, FormatError
from mirror.likeness import rank
from mirror.load.material import HeldFile, archives, beside, concerns, inside, whole
from mirror.load.reading import read
from mirror.prove import prove
from mirror.recheck import changed

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from mirror.catalog import Artifact
    from mirror.compare.difference import Difference
    from mirror.compare.names import Canonical
    from mirror.likeness import Likeness
    from mirror.prove import Proof, Shelf

#: Formats of which one artifact's reference is taken first: the fewer steps from the publisher's own, the better.
_FORMATS = ("tensorflow", "safetensors", "torch-zip", "torch-legacy", "flax", "hdf5", "paddle")
#: What a file of ours may have been found to be; ``removed`` was meant.
_BAD = frozenset({"missing", "altered", "resized"})
_RECORDED = "not any more what was recorded"


class Comparison:
    """The held weights of one model; each file is opened once at the most.

    Attributes:
        files: The weight files that are what was recorded.
        lost: The files that are not.
    """

    def __init__(self, shelf: Shelf, artifacts: Sequence[Artifact], stop: threading.Event) -> None:
        self._shelf = shelf
        self._held = {one.name: list(_held(shelf, one.name)) for one in artifacts}
        self._proofs: dict[tuple[str, str], Proof] = {}
        self._open: dict[str, Canonical] = {}
        self.lost = [*self._damaged(artifacts), *self._leave_out_changed(stop)]
        for name, files in self._held.items():
            files[:] = whole(files, (state.path for state in shelf.reader.files(name)))
        unloaded = [one for one in artifacts if not self._is_loaded(one.name)]
        if unloaded:
            for proof in prove(shelf, unloaded, stop, but={one.blob for one in self.lost}):
                weights = proof.loaded.weights
                self._proofs[weights.blob, weights.member] = proof
        self.files = [file for one in artifacts for file in self._weighed(one.name)]

    def _damaged(self, artifacts: Sequence[Artifact]) -> Iterator[Weighed]:
        """Yield the files that ``verify`` found bad, and that nobody has mended since."""
        for one in artifacts:
            for state in self._shelf.reader.files(one.name):
                if state.sha256 and state.damage in _BAD and concerns(state.path):
                    yield _lost(HeldFile(state.path, state.sha256, self._shelf.scratch), one.name, state.damage or "")

    def _leave_out_changed(self, stop: threading.Event) -> list[Weighed]:
        """Take out the files that are not any more what was recorded, and return them."""
        shelf = self._shelf
        blobs = dict.fromkeys(file.sha256 for files in self._held.values() for file in files)
        bad = changed(shelf.reader, shelf.store, blobs, shelf.open_ledger, stop)
        found = []
        for artifact, files in self._held.items():
            for file in [file for file in files if file.sha256 in bad]:
                files.remove(file)
                verdict = bad[file.sha256]
                found.append(_lost(file, artifact, verdict.status.value, verdict.why))
        return found

    def _is_loaded(self, artifact: str) -> bool:
        """Whether the ledger knows the tensors of every file that may be weights, or have some inside."""
        held = self._held[artifact]
        blobs = {one.blob for one in beside(held).weights} | {one.sha256 for one in archives(held)}
        return all(self._shelf.reader.loaded.of(blob) for blob in blobs)

    def _weighed(self, artifact: str) -> Iterator[Weighed]:
        for file in self._held[artifact]:
            found = {
                key[1]: (one.loaded.format, one.loaded.roots, [str(each) for each in _grave(one)])
                for key, one in self._proofs.items()
                if key[0] == file.sha256
            } or {
                row.member: (row.format, row.roots, [text for _, gravity, _, text in row.findings if gravity != "note"])
                for row in self._shelf.reader.loaded.of(file.sha256)
            }
            for member, (kind, known, problems) in found.items():
                if known or problems:  # a file that only may have been weights is none of ours
                    problem = "" if known else "; ".join(problems)
                    yield Weighed(artifact, file.path, file.sha256, member, kind, known, problem)

    def judged(self, model: str, likeness: Likeness, tolerance: float | None) -> Crosscheck:
        """Return what the files are to each other."""
        while True:
            reference = min((one for one in self.files if one.roots), key=_precedence, default=None)
            others = [one for one in self.files if one is not reference]
            try:
                compared = [self._compared(reference, one, likeness, tolerance) for one in others]
            except _ChangedError as error:  # what the system says of a file shows no fault of the disk
                self.files.remove(error.file)
                self.lost.append(error.file._replace(format=None, roots={}, problem=_RECORDED, lost="altered"))
            else:
                return Crosscheck(model, reference, (*compared, *(Compared(one, None) for one in self.lost)))

    def _compared(
        self, reference: Weighed | None, one: Weighed, likeness: Likeness, tolerance: float | None
    ) -> Compared:
        if reference is None or not one.roots:
            return Compared(one, None)
        verdict = relate(reference.roots, one.roots)
        if verdict.relation is Relation.IDENTICAL:
            return Compared(one, verdict)
        before, after = self._tensors(reference), self._tensors(one)
        differing = [name for name in before if name in after and before[name] != after[name]]
        absent = tuple(name for name in before if name not in after)
        extra = tuple(name for name in after if name not in before)
        found = self._differences(reference, one, differing)
        if tolerance is not None:
            verdict = relax(verdict, found, (*absent, *extra), tolerance)
        whose = self._whose(one, likeness) if verdict.relation is Relation.DIFFERENT else ()
        return Compared(one, verdict, found, absent, extra, whose)

    def _tensors(self, file: Weighed) -> dict[str, tuple[str, str, str]]:
        proof = self._proofs.get((file.blob, file.member))
        rows = proof.loaded.tensors if proof is not None else self._shelf.reader.loaded.tensors(file.blob, file.member)
        return {row.name: (row.dtype, row.dims, row.sha256) for row in rows}

    def _differences(self, reference: Weighed, one: Weighed, names: Sequence[str]) -> tuple[Difference, ...]:
        if not names:
            return ()
        expected, actual = self._opened(reference), self._opened(one)
        return tuple(difference(expected.tensors[name], actual.tensors[name]) for name in names)

    def _opened(self, file: Weighed) -> Canonical:
        """Return the tensors of a file, which are those that were recorded.

        Raises:
            _ChangedError: They are not.
        """
        if file.name not in self._open:
            try:
                found = self._canonical(file)
                is_same = roots(digests(found)) == file.roots
            except (FormatError, ArchiveError):
                is_same = False
            if not is_same:
                raise _ChangedError(file)
            self._open[file.name] = found
        return self._open[file.name]

    def _canonical(self, file: Weighed) -> Canonical:
        held = self._held[file.artifact]
        if file.member:
            archive = next(one for one in held if one.path == file.path)
            material = inside(archive, self._shelf.scratch)
        else:
            material = beside(held)
        for weights in material.weights:
            if (weights.blob, weights.member) == (file.blob, file.member):
                return canonical(read(weights))
        raise FormatError(f"{file.name} does not hold any more what was loaded from it")

    def _whose(self, one: Weighed, likeness: Likeness) -> tuple[str, ...]:
        """Return the files of other models that have the same encoder, or the same everything where there is none."""
        group = CORE if CORE in one.roots else ALL
        mine = one.artifact.partition("@")[0]
        return tuple(held.name for held in likeness.with_root(group, one.roots[group]) if held.model != mine)


class _ChangedError(Exception):
    """The tensors of a file are not those that were recorded."""

    def __init__(self, file: Weighed) -> None:
        super().__init__(file.name)
        self.file = file


def _held(shelf: Shelf, artifact: str) -> Iterator[HeldFile]:
    """Yield the files of an artifact that should be here and have to do with weights, by path."""
    for path, sha256 in sorted(shelf.reader.held(artifact).items()):
        if concerns(path):
            yield HeldFile(path, sha256, shelf.store.blob_path(sha256))


def _lost(file: HeldFile, artifact: str, how: str, why: str = "") -> Weighed:
    problem = f"cannot be read: {why}" if why else f"{_RECORDED}: {how}"
    return Weighed(artifact, file.path, file.sha256, "", None, {}, problem, how)


def _grave(proof: Proof) -> list[str]:
    return [one.text for one in proof.loaded.findings if one.severity is not Severity.NOTE]


def _precedence(file: Weighed) -> tuple[int, int]:
    """Return how soon a file is taken for the reference; the first of equals is."""
    kind = file.format or ""
    return rank(file.artifact), _FORMATS.index(kind) if kind in _FORMATS else len(_FORMATS)
