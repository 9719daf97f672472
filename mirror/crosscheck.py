"""The held weights of one model against each other, and any file against the index of a checkpoint.

What was loaded is compared by its digests. Only what differs is opened again, to say by how
much and why. What was not loaded yet is loaded first, and recorded like any other.
"""

from __future__ import annotations

import math
import threading
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mirror.compare import index_proof
from mirror.compare.difference import difference
from mirror.compare.digest import ALL
from mirror.compare.finding import Severity
from mirror.compare.names import canonical
from mirror.compare.verdict import Relation, relate, relax
from mirror.errors import FormatError, StoreError, UsageError
from mirror.formats.tf_index import read_index
from mirror.likeness import Likeness, rank
from mirror.load import outside
from mirror.load.material import archives, beside, inside
from mirror.load.opening import mapped
from mirror.load.reading import read
from mirror.prove import held_files, prove

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Artifact, Catalog
    from mirror.compare.difference import Difference
    from mirror.compare.index_proof import IndexProof
    from mirror.compare.names import Canonical
    from mirror.compare.verdict import Verdict
    from mirror.prove import Proof, Shelf

#: Formats of which one artifact's reference is taken first: the fewer steps from the publisher's own, the better.
_FORMATS = ("tensorflow", "safetensors", "torch-zip", "torch-legacy", "flax", "hdf5", "paddle")


class Weighed(NamedTuple):
    """One weight file of one artifact, as it was loaded.

    Attributes:
        artifact: Name of the artifact.
        path: Of the file in the artifact.
        blob: Its sha256.
        member: Prefix of the checkpoint in an archive; empty otherwise.
        format: Of the checkpoint; None when it could not be read.
        roots: Digest of each group of its tensors; empty when it could not be read.
        problem: Why it could not be read; empty when it was.
    """

    artifact: str
    path: str
    blob: str
    member: str
    format: str | None
    roots: Mapping[str, str]
    problem: str = ""

    @property
    def name(self) -> str:
        """Artifact and file."""
        return f"{self.artifact}/{self.path}" + (f"!{self.member}" if self.member else "")


class Compared(NamedTuple):
    """One weight file against the reference.

    Attributes:
        file: Which one.
        verdict: What it is to the reference; None when it could not be read.
        differences: Every tensor that both have and that differs.
        absent: Canonical names of tensors that only the reference has.
        extra: Those that only this file has.
        whose: Files of other models whose encoder this is, bit by bit, where it is not the reference's.
    """

    file: Weighed
    verdict: Verdict | None
    differences: tuple[Difference, ...] = ()
    absent: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    whose: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether it is neither the reference's encoder nor within what was let pass."""
        return self.verdict is None or self.verdict.relation is Relation.DIFFERENT


class Crosscheck(NamedTuple):
    """All that is held of one model.

    Attributes:
        model: Its name.
        reference: What the others are compared with; None when nothing could be read.
        others: Every other weight file, in the catalog's order.
    """

    model: str
    reference: Weighed | None
    others: tuple[Compared, ...]


def crosscheck(
    shelf: Shelf,
    catalog: Catalog,
    artifacts: Sequence[Artifact],
    tolerance: float | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Crosscheck]:
    """Yield, for each model of ``artifacts`` of which weights are held, what they are to each other.

    The reference is Google's TensorFlow checkpoint, else the official file on the hub, else the first.

    Args:
        shelf: Where they are.
        catalog: Names the artifacts.
        artifacts: In the catalog's order.
        tolerance: The largest difference of two elements that is let pass; None for none.
        stop: Ends it between two models when it is set.

    Raises:
        UsageError: The tolerance is no number above 0.
        FormatError: A file is not any more what it was when it was loaded.
        StoreError: A blob cannot be read, or there is no room to unpack an archive.
        LedgerError: The ledger cannot be read or written.
    """
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise UsageError(f"a tolerance of {tolerance}: it has to be a number above 0")
    stop = stop or threading.Event()
    likeness = Likeness(catalog, shelf.reader)
    for model, group in groupby(artifacts, key=lambda one: one.model):
        if stop.is_set():
            return
        comparison = _Comparison(shelf, list(group), stop)
        if comparison.files:
            yield comparison.judged(model.name, likeness, tolerance)


def against_index(file: Path, index: Path, scratch: Path) -> Iterator[tuple[str, IndexProof]]:
    """Yield what a bare TensorFlow index says of each of the weights that a file is, or has inside.

    Raises:
        FormatError: One of the two is not exactly what its format says.
        ArchiveError: The file is a damaged archive, or one that is built to harm.
        UsageError: There are no weights.
        StoreError: One of the two cannot be read, or there is no room to unpack.
    """
    wanted = read_index(mapped(index))
    found = False
    for one in outside.files(file):
        if one.problem:
            raise StoreError(f"{one.path}: {one.problem}")
        for weights in one.weights("", scratch):
            found = True
            yield weights.name, index_proof.prove(canonical(read(weights)), wanted)
    if not found:
        raise UsageError(f"{file} holds no weights")


class _Comparison:
    """The held weights of one model; each file is opened once at the most."""

    def __init__(self, shelf: Shelf, artifacts: Sequence[Artifact], stop: threading.Event) -> None:
        self._shelf = shelf
        self._held = {one.name: held_files(shelf.reader, shelf.store, one.name) for one in artifacts}
        self._proofs: dict[tuple[str, str], Proof] = {}
        self._open: dict[str, Canonical] = {}
        unloaded = [one for one in artifacts if not self._is_loaded(one.name)]
        if unloaded:
            for proof in prove(shelf, unloaded, stop):
                weights = proof.loaded.weights
                self._proofs[weights.blob, weights.member] = proof
        self.files = tuple(file for one in artifacts for file in self._weighed(one.name))

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
            for member, (kind, roots, problems) in found.items():
                if roots or problems:  # a file that only may have been weights is none of ours
                    problem = "" if roots else "; ".join(problems)
                    yield Weighed(artifact, file.path, file.sha256, member, kind, roots, problem)

    def judged(self, model: str, likeness: Likeness, tolerance: float | None) -> Crosscheck:
        """Return what the files are to each other."""
        reference = min((one for one in self.files if one.roots), key=_precedence, default=None)
        others = tuple(
            self._compared(reference, one, likeness, tolerance) for one in self.files if one is not reference
        )
        return Crosscheck(model, reference, others)

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
        if file.name not in self._open:
            self._open[file.name] = self._canonical(file)
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
        group = "core" if "core" in one.roots else ALL
        mine = one.artifact.partition("@")[0]
        return tuple(held.name for held in likeness.with_root(group, one.roots[group]) if held.model != mine)


def _grave(proof: Proof) -> list[str]:
    return [one.text for one in proof.loaded.findings if one.severity is not Severity.NOTE]


def _precedence(file: Weighed) -> tuple[int, int]:
    """Return how soon a file is taken for the reference; the first of equals is."""
    kind = file.format or ""
    return rank(file.artifact), _FORMATS.index(kind) if kind in _FORMATS else len(_FORMATS)
