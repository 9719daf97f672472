"""What weights are like: by sha256, by a group's digest, by the vote of single tensors, by shape.

Answers come from the ledger and the catalog; no file is opened.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from mirror.model import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Set

    from mirror.catalog import Artifact, Catalog, Model, PinnedFile
    from mirror.compare.digest import TensorDigest
    from mirror.compare.sizes import Sizes
    from mirror.ledger import Reader, WeightsRow

_ALL, _CORE = "all", "core"
#: Sources whose word on a model's numbers counts first; others follow in the catalog's order.
_FIRST = ("google", "huggingface")
#: Families of the catalog whose tensors have the names of each of ours; TinyBERT's may lack what sets it apart.
_FAMILIES: Mapping[str, frozenset[str]] = {
    "bert": frozenset({"bert", "bert-miniature", "tinybert"}),
    "tinybert": frozenset({"tinybert"}),
    "distilbert": frozenset({"distilbert"}),
    "albert": frozenset({"albert"}),
}
#: The catalog's names of the sizes that tensors show, and those of ``Sizes``.
SIZES: Mapping[str, str] = {
    "layers": "layers",
    "hidden": "hidden",
    "embedding": "embedding",
    "intermediate": "intermediate",
    "vocab_size": "vocab",
    "max_position": "positions",
    "type_vocab_size": "types",
}
#: Weight files with the most votes that are looked at tensor by tensor.
_CANDIDATES = 24


class Holder(NamedTuple):
    """A weight file that is, or was, held.

    Attributes:
        artifact: Name of the artifact.
        path: Of the file, in an archive with the checkpoint's prefix behind ``!``.
        row: What was found in it.
    """

    artifact: str
    path: str
    row: WeightsRow

    @property
    def name(self) -> str:
        """Artifact and file."""
        return f"{self.artifact}/{self.path}"

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.artifact.partition("@")[0]


class Alike(NamedTuple):
    """A catalog model, and in what it has not the same shape.

    Attributes:
        model: The model.
        unlike: Its sizes, under the catalog's names, that are others; empty where the shape is the same.
    """

    model: Model
    unlike: Mapping[str, int]


class Vote(NamedTuple):
    """The held weights that share the most tensors with others.

    Attributes:
        holder: Those weights.
        shared: Canonical names of the tensors that both have, bit by bit.
        others: Names of the rest of those asked for.
    """

    holder: Holder
    shared: tuple[str, ...]
    others: tuple[str, ...]


def rank(artifact: str) -> int:
    """Return how soon an artifact is to be believed about the numbers of its model; less is sooner."""
    source = artifact.partition("@")[2]
    return _FIRST.index(source) if source in _FIRST else len(_FIRST)


class Likeness:
    """Questions about weights, asked of one catalog and one ledger.

    Args:
        catalog: For pins, and for the order of the models.
        reader: The ledger; None when there is none yet.
    """

    def __init__(self, catalog: Catalog, reader: Reader | None) -> None:
        self._catalog = catalog
        self._reader = reader

    @cached_property
    def _order(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(self._catalog.by_artifact)}

    @cached_property
    def _files(self) -> Mapping[str, list[tuple[str, str]]]:
        """Artifact and path of every file that is or was held, by sha256, the best to name first."""
        found: dict[str, list[tuple[str, str]]] = {}
        for file in self._reader.files() if self._reader is not None else ():
            if file.sha256:
                found.setdefault(file.sha256, []).append((file.artifact, file.path))
        for names in found.values():
            names.sort(key=lambda name: self._place(name[0]))
        return found

    def _place(self, artifact: str) -> tuple[int, int]:
        return rank(artifact), self._order.get(artifact, len(self._order))

    @cached_property
    def holders(self) -> tuple[Holder, ...]:
        """Every weight file that was read and has a name, the best to name first."""
        rows = self._reader.loaded.all() if self._reader is not None else ()
        found = [
            Holder(artifact, f"{path}!{row.member}" if row.member else path, row)
            for row in rows
            if row.roots
            for artifact, path in self._files.get(row.blob, ())
        ]
        return tuple(sorted(found, key=lambda one: (self._place(one.artifact), one.path)))

    @cached_property
    def voters(self) -> tuple[Holder, ...]:
        """The weights that are believed about the numbers of their model, the best to name first.

        Where a publisher vouches for some, those that were only seen first and have other numbers are not:
        an altered file that somebody brought must not speak for the next one.
        """
        roots = self._vouched[_ALL]
        return tuple(
            one for one in self.holders if one.model not in roots or one.row.roots.get(_ALL) in roots[one.model]
        )

    def vouches(self, one: Holder) -> bool:
        """Whether somebody but ourselves vouches for weights: our own lock of what a person brought is no publisher.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return (one.artifact, one.path.partition("!")[0]) in self._vouching

    def is_vouched_for(self, model: str) -> bool:
        """Whether a publisher vouches for weights of a model that were read here; raises as ``vouches``."""
        return model in self._vouched[_ALL]

    def outvoted(self, artifact: str) -> frozenset[str]:
        """Return the paths of an artifact's weights that have other numbers than those a publisher vouches for.

        Other heads on the same encoder are no other numbers. Raises as ``vouches``.
        """
        roots = self._vouched[_CORE]
        ours = [one for one in self.holders if one.artifact == artifact]
        return frozenset(
            one.path.partition("!")[0]
            for one in ours
            if one.model in roots and one.row.roots.get(_CORE) not in roots[one.model]
        )

    @cached_property
    def _vouched(self) -> Mapping[str, Mapping[str, set[str | None]]]:
        """The digests of all tensors, and of the encoder's, that publishers vouch for, by model."""
        found: dict[str, dict[str, set[str | None]]] = {_ALL: {}, _CORE: {}}
        for one in filter(self.vouches, self.holders):
            for group, roots in found.items():
                roots.setdefault(one.model, set()).add(one.row.roots.get(group))
        return found

    @cached_property
    def _vouching(self) -> Set[tuple[str, str]]:
        """Artifact and path of every file for which somebody but ourselves vouches."""
        found = set()
        for file in self._reader.files() if self._reader is not None else ():
            artifact = self._catalog.by_artifact.get(file.artifact)
            brought = artifact is None or artifact.waits_for_person
            pinned = file.level == Level.PINNED and (not brought or self._is_pinned(artifact, file.path))
            if pinned or file.level in {Level.ATTESTED, Level.CHECKED}:
                found.add((file.artifact, file.path))
        return found

    @staticmethod
    def _is_pinned(artifact: Artifact | None, path: str) -> bool:
        return artifact is not None and any(file.path == path and file.sha256 for file in artifact.files)

    def with_root(self, group: str, root: str) -> list[Holder]:
        """Return the voters of which a group of tensors has this digest, the best to name first.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return [one for one in self.voters if one.row.roots.get(group) == root]

    def reference(self, model: str) -> Holder | None:
        """Return the weights that are to be believed about a model's numbers; None when none were read.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return next((one for one in self.voters if one.model == model), None)

    def files(self, sha256: str) -> list[str]:
        """Return what is known to have these bytes: held files, members of held archives, pins and look-alikes.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        held = [f"{artifact}/{path}" for artifact, path in self._files.get(sha256, ())]
        return list(dict.fromkeys([*held, *self._members.get(sha256, ()), *self._pins.get(sha256, ())]))

    @cached_property
    def _members(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for blob, names in self._files.items() if self._reader is not None else ():
            for member in self._reader.members(blob) if self._reader is not None else ():
                if member.sha256:
                    found.setdefault(member.sha256, []).append(f"{'/'.join(names[0])}!{member.path}")
        return found

    @cached_property
    def _pins(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for artifact in self._catalog.artifacts():
            for name, file in _pinned(artifact.files):
                if file.sha256:
                    found.setdefault(file.sha256, []).append(f"{artifact.name}/{name}")
        for known in self._catalog.data.get("well_known", ()):
            found.setdefault(known["sha256"], []).append(known["what"])
        for model in self._catalog.models:
            for sha256, what in self._catalog.refused(model).items():
                found.setdefault(sha256, []).append(f"a look-alike of {model.name}: {what}")
        return found

    def vote(self, tensors: Iterable[TensorDigest]) -> Vote | None:
        """Return the voters that share the most tensors with these; None when none shares any.

        Args:
            tensors: Those that tell something; a bias of nothing but zeros does not.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        asked = {one.name: (one.dtype, one.dims, one.sha256) for one in tensors}
        if self._reader is None or not asked:
            return None
        votes = self._reader.loaded.votes(digest for _, _, digest in asked.values())
        names = {(one.row.blob, one.row.member): one for one in reversed(self.voters)}
        best: Vote | None = None
        for key, _ in votes.most_common(_CANDIDATES):
            if key not in names:
                continue
            held = {row.name: (row.dtype, row.dims, row.sha256) for row in self._reader.loaded.tensors(*key)}
            shared = tuple(name for name in asked if held.get(name) == asked[name])
            vote = Vote(names[key], shared, tuple(name for name in asked if name not in shared))
            if shared and (best is None or self._strength(vote) > self._strength(best)):
                best = vote
        return best

    def shaped(self, family: str, sizes: Sizes) -> list[Alike]:
        """Return the models of a family, those of the nearest shape first.

        Args:
            family: One of ``compare.families.FAMILIES``.
            sizes: What the tensors show; what they do not, and what the catalog does not know, counts as equal.
        """
        known = {name: size for name, of in SIZES.items() if (size := getattr(sizes, of))}
        models = [model for model in self._catalog.models if model.family in _FAMILIES[family]]
        return sorted((_alike(model, known) for model in models), key=lambda one: _distance(one, known))

    def _strength(self, vote: Vote) -> tuple[int, int, int]:
        before, place = self._place(vote.holder.artifact)
        return len(vote.shared), -before, -place


def _alike(model: Model, known: Mapping[str, int]) -> Alike:
    shape = model.shape._asdict()
    return Alike(model, {name: shape[name] for name, size in known.items() if shape[name] not in {None, size}})


def _distance(one: Alike, known: Mapping[str, int]) -> float:
    """Return how far off a shape is: a size of twice as much counts as one of half."""
    return sum(abs(math.log(size / known[name])) for name, size in one.unlike.items())


def _pinned(files: Iterable[PinnedFile]) -> Iterator[tuple[str, PinnedFile]]:
    for file in files:
        yield file.path, file
        for member in file.members or ():
            yield f"{file.path}!{member.path}", member
