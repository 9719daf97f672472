"""What a file of the user's is: which catalog model and source it equals, is near to, or has the shape of.

Answers are sought from the strongest on: the very bytes, the digest of all tensors or of
the encoder, the vote of single tensors, the shape. What is none of these is unknown, and it
is said why; what is damaged, or built to harm, is refused. Nothing of a file is run, and
nothing is recorded.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from mirror.compare.digest import ALL, digests, group_of, roots
from mirror.compare.index_proof import outline
from mirror.compare.names import canonical
from mirror.compare.sizes import Sizes
from mirror.compare.verdict import relate
from mirror.errors import ArchiveError, FormatError
from mirror.formats.tf_index import read_index
from mirror.likeness import SIZES, Likeness
from mirror.load import outside
from mirror.load.opening import mapped
from mirror.load.outside import INDEX
from mirror.load.reading import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Catalog
    from mirror.compare.digest import TensorDigest
    from mirror.compare.names import Canonical, CanonicalTensor
    from mirror.ledger import Reader
    from mirror.likeness import Alike, Vote
    from mirror.load.material import Weights
    from mirror.load.outside import Outside

#: What people call the sizes of a shape, by the catalog's names.
_WORDS: Mapping[str, str] = {
    "layers": "layers",
    "hidden": "width",
    "embedding": "width of embeddings",
    "intermediate": "inner width",
    "vocab_size": "vocabulary",
    "max_position": "positions",
    "type_vocab_size": "segment types",
}
#: What weights, and archives of them, are called.
_WEIGHTS = re.compile(r"\.(bin|pt|pth|safetensors|pdparams|msgpack|h5|index|zip|tgz|tar\.gz)$", re.IGNORECASE)
_LAYER = re.compile(r"(?:encoder|transformer)\.layer\.([0-9]+)\.")
_CORE = "core"
_NEAREST = 3
_BARE = "an index whose data are not here: its numbers are not known"
_NEVER = "no weights with these numbers were ever loaded here"


class Likely(StrEnum):
    """How a file was recognised, the strongest first."""

    KNOWN = "known"  # the very bytes
    IDENTICAL = "identical"  # every tensor
    ENCODER = "encoder-identical"
    PARTLY = "partly"  # some tensors
    SHAPE = "shape"  # names and shapes only
    UNKNOWN = "unknown"
    REFUSED = "refused"
    UNREADABLE = "unreadable"  # by us: nothing is known of its bytes


class Identified(NamedTuple):
    """What is known of one file, or of one checkpoint inside an archive.

    Attributes:
        name: The path, in an archive with the member's behind ``!``.
        likely: How it was recognised.
        text: The answer in words, or why there is none.
        sha256: Of the file, of the index where it is a checkpoint, or of the archive; None when it is unreadable.
        model: Name of the catalog's model; None where none is meant.
        same: Held files, pins and the like that it equals, the best to name first.
        format: Of the weights; None where they were not read.
        family: One of ``compare.families.FAMILIES``; None where that cannot be told.
        sizes: The sizes that its tensors show; empty where they show none.
        roots: Digest of each group of its tensors.
        votes: How many of how many tensors are the model's, where only some are.
        nearest: Names of the models of that shape, or of the nearest.
    """

    name: str
    likely: Likely
    text: str
    sha256: str | None
    model: str | None = None
    same: tuple[str, ...] = ()
    format: str | None = None
    family: str | None = None
    sizes: Mapping[str, int] = {}
    roots: Mapping[str, str] = {}
    votes: tuple[int, int] | None = None
    nearest: tuple[str, ...] = ()


def identify(paths: Iterable[Path], catalog: Catalog, reader: Reader | None, scratch: Path) -> Iterator[Identified]:
    """Yield what each file is, and everything below each folder that is weights, or known.

    Args:
        paths: Files and folders of the user's; they are only read.
        catalog: Models and pins to recognise.
        reader: The ledger with what was loaded; None when there is none yet.
        scratch: A directory with room for the content of an archive.

    Raises:
        UsageError: One of them is neither a file nor a folder.
        StoreError: There is no room to unpack an archive.
        LedgerError: The ledger cannot be read.
    """
    expert = Expert(catalog, Likeness(catalog, reader), scratch)
    for path in paths:
        for file in outside.files(path):
            # What lies in a folder beside weights, and neither is nor should be any, is nobody's question.
            asked = path.is_file() or _WEIGHTS.search(file.path.name)
            yield from (one for one in expert.of(file) if asked or one.likely is not Likely.UNKNOWN)


class Expert:
    """Recognises files by one catalog and one ledger."""

    def __init__(self, catalog: Catalog, likeness: Likeness, scratch: Path) -> None:
        self._catalog = catalog
        self._likeness = likeness
        self._scratch = scratch

    def of(self, file: Outside) -> Iterator[Identified]:
        """Yield what one file is; more than one answer for an archive of several checkpoints."""
        if file.problem:
            yield Identified(str(file.path), Likely.UNREADABLE, file.problem, None)
            return
        sha256 = hashlib.sha256(file.view).hexdigest()
        one = Identified(str(file.path), Likely.UNKNOWN, "", sha256)
        known = self._known(file, sha256)
        try:
            one = one._replace(format=file.kind)
        except FormatError as error:
            yield self._named(one._replace(text=str(error)), known)
            return
        found: tuple[Weights, ...] = ()
        try:
            found = () if file.is_bare else file.weights(sha256, self._scratch)
            if file.is_bare:
                one = self._by_shape(self._shaped(outline(read_index(file.view)), one), _BARE)
            elif not found:
                one = one._replace(text="an archive without weights")
        except (FormatError, ArchiveError) as error:
            one = one._replace(likely=Likely.REFUSED, text=str(error))
        for each in map(self.recognise, found) if found else (one,):
            yield self._named(each, known)

    def _named(self, one: Identified, known: Sequence[str]) -> Identified:
        """Return an answer with what has the very bytes, which counts more than all but that they are refused."""
        if not known:
            return one
        bytes_of = f"the very bytes of {_and_others(known)}"
        if one.likely is Likely.REFUSED:
            return one._replace(text=f"{bytes_of}: {one.text}", same=tuple(known))
        model = self._catalog.model(known[0].partition("@")[0])
        name = model.name if model is not None else None
        first = self._likeness.reference(name) if name is not None else None
        # Bytes can be held under the name of one model and have another's numbers.
        if first is not None and one.model not in {None, name} and first.row.roots.get(_CORE) != one.roots.get(_CORE):
            return one._replace(text=f"{bytes_of}, whose numbers are another's: {one.text}")
        return one._replace(likely=Likely.KNOWN, text=bytes_of, model=name, same=tuple(known), votes=None)

    def _known(self, file: Outside, sha256: str) -> list[str]:
        """Return what is known to have the very bytes of a file, and of all data whose index it is."""
        names = self._likeness.files(sha256)
        prefix = file.path.name.removesuffix(INDEX)
        for shard in file.shards if names else ():
            found = set(self._likeness.files(hashlib.sha256(mapped(shard)).hexdigest()))
            names = [name for name in names if name.removesuffix(INDEX) + shard.name.removeprefix(prefix) in found]
        return names

    def recognise(self, weights: Weights) -> Identified:
        """Return whose numbers weights are, whatever they are called and whoever has the very bytes.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        one = Identified(weights.name, Likely.UNKNOWN, "", weights.blob)
        try:
            checkpoint = read(weights)
            found = canonical(checkpoint)
        except FormatError as error:
            return one._replace(likely=Likely.REFUSED, text=str(error))
        tensors = digests(found)
        one = self._shaped(found, one._replace(format=checkpoint.format, roots=roots(tensors)))
        telling = (each for each in tensors if not _is_constant(found.tensors[each.name]))
        return self._by_root(one) or self._by_vote(one, telling, len(tensors)) or self._by_shape(one)

    def _by_root(self, one: Identified) -> Identified | None:
        """Return whose numbers these are, all of them or the encoder's; None when they are nobody's."""
        for group, likely in ((ALL, Likely.IDENTICAL), (_CORE, Likely.ENCODER)):
            same = self._likeness.with_root(group, one.roots[group]) if group in one.roots else []
            if same:
                names = tuple(held.name for held in same)
                verdict, model = relate(same[0].row.roots, one.roots), same[0].model
                text = f"{self._label(model)}: {verdict}, as in {_and_others(names)}"
                return one._replace(likely=likely, text=text, model=model, same=names)
        return None

    def _by_vote(self, one: Identified, tensors: Iterable[TensorDigest], total: int) -> Identified | None:
        """Return whose tensors some of these are; None when none is anybody's."""
        vote = self._likeness.vote(tensors)
        if vote is None:
            return None
        shared, model = len(vote.shared), vote.holder.model
        are = f"tensors {'is' if shared == 1 else 'are'} {self._label(model)}'s"
        text = f"{shared} of {total} {are}, as in {vote.holder.name}; not {_parts(vote)}"
        return one._replace(likely=Likely.PARTLY, text=text, model=model, votes=(shared, total))

    def _shaped(self, found: Canonical, one: Identified) -> Identified:
        """Return what is known of weights, with what their shapes show."""
        if not found.family:
            count = len(found.tensors)
            return one._replace(text=f"{count} tensor{'' if count == 1 else 's'} of no family that is known here")
        one = one._replace(family=found.family)
        try:
            sizes = Sizes.from_shapes(found, found.family)
        except FormatError as error:
            return one._replace(text=f"{found.family} by its names, but {error}")
        alike = self._likeness.shaped(found.family, sizes)
        shown = {name: size for name, of in SIZES.items() if (size := getattr(sizes, of))}
        if fits := [each for each in alike if not each.unlike]:
            near = f"the shape of {' and '.join(each.model.label for each in fits)}"
        else:
            fits = alike[:_NEAREST]
            near = f"nearest in shape: {'; '.join(map(_near, fits))}"
        nearest = tuple(each.model.name for each in fits)
        return one._replace(text=f"{found.family}, {_in_words(shown)}: {near}", sizes=shown, nearest=nearest)

    def _by_shape(self, one: Identified, but: str = _NEVER) -> Identified:
        """Return weights of which nothing but the shape is known, if that is."""
        return one._replace(likely=Likely.SHAPE, text=f"{one.text}; {but}") if one.sizes else one

    def _label(self, name: str) -> str:
        model = self._catalog.model(name)
        return model.label if model is not None else name


def _and_others(names: Sequence[str]) -> str:
    more = len(names) - 1
    return f"{names[0]} and {more} more" if more else names[0]


def _near(one: Alike) -> str:
    return f"{one.model.label} ({_in_words(one.unlike)})"


def _in_words(sizes: Mapping[str, int]) -> str:
    """Return sizes for people; that of the embeddings only where it is one of its own, as ALBERT's."""
    said = {name: size for name, size in sizes.items() if name != "embedding" or size != sizes.get("hidden")}
    return ", ".join(f"{_WORDS[name]} {size}" for name, size in said.items())


def _parts(vote: Vote) -> str:
    """Return the parts of a model that the tensors belong to which are nobody's, or somebody else's."""
    found = dict.fromkeys(f"layer {at[1]}" if (at := _LAYER.match(name)) else _part(name) for name in vote.others)
    return ", ".join(found)


def _part(name: str) -> str:
    return "embeddings" if name.startswith("embeddings.") else group_of(name)


def _is_constant(one: CanonicalTensor) -> bool:
    """Whether a tensor tells nothing: as initialised, biases of all models are alike."""
    return bool(one.array.size < 2 or one.array.min() == one.array.max())
