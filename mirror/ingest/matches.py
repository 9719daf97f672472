"""Which hand-off weights answer, by their tensors; or why none.

The tensors say the model, and the model and the format which open hand-off it is. What is
unsound, altered, or another's is not taken, whatever a person says that it is.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from mirror.compare.finding import Severity
from mirror.identify import Expert, Likely
from mirror.ingest.beside import SHARD_NAME
from mirror.ingest.leftovers import without_copy
from mirror.ingest.plans import Left, Plan, Take
from mirror.ingest.promises import Promises, packed_of
from mirror.load.judging import judge
from mirror.load.material import Weights
from mirror.load.naming import INDEX, SHARD
from mirror.model import RemoteFile
from mirror.promised import known_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Artifact, Catalog
    from mirror.identify import Identified
    from mirror.ingest.finds import Find
    from mirror.likeness import Likeness

#: The catalog's word for each kind of weights, and how publishers call such a file.
_FORMATS: Mapping[str, tuple[str, str]] = {
    "torch-zip": ("pytorch", "pytorch_model.bin"),
    "torch-legacy": ("pytorch", "pytorch_model.bin"),
    "safetensors": ("pytorch", "model.safetensors"),
    "tensorflow": ("tensorflow", "bert_model.ckpt.index"),
    "hdf5": ("tensorflow", "tf_model.h5"),
    "flax": ("flax", "flax_model.msgpack"),
    "paddle": ("paddle", "model_state.pdparams"),
}
#: Where huggingface_hub keeps what it downloaded: no share was ever unpacked there.
_HUB_CACHE = re.compile(r"/models--([^/]+)/(?:snapshots|blobs)/")


class Matches:
    """Finds the hand-off of weights.

    Args:
        catalog: Models and pins.
        likeness: Whose numbers are known.
        promises: Which hand-offs are open, and what their files should be.
        scratch: A directory with room for the content of an archive.
        named: The artifact that a person says everything is; None to find out.
        answered: Names of the hand-offs that something of this run answers already; added to.

    Attributes:
        archives: The archives of this run, by sha256: one may be what a hand-off is, as a whole.
    """

    def __init__(
        self,
        catalog: Catalog,
        likeness: Likeness,
        promises: Promises,
        scratch: Path,
        named: Artifact | None,
        answered: set[str],
    ) -> None:
        self.archives: dict[str, Find] = {}
        self._promises = promises
        self._likeness = likeness
        self._expert = Expert(catalog, likeness, scratch)
        self._named = named
        self._answered = answered
        self._taken: dict[tuple[str, ...], Find] = {}

    def match(self, find: Find, parts: Sequence[Find], texts: Mapping[str, Find], plan: Plan) -> None:
        """Plan what is to be done with weights.

        Args:
            find: The file, or the index of a checkpoint.
            parts: The data of a checkpoint.
            texts: What stands beside them, by the names that publishers give.
            plan: Is added to.

        Raises:
            DiskFullError: There is no room for a copy.
            StoreError: A file cannot be read any more, or has changed.
            LedgerError: The ledger cannot be read.
        """
        bytes_of = tuple(one.sha256 for one in (find, *parts))
        if (first := self._taken.get(bytes_of)) is not None:
            plan.left.append(Left(find.name, "held", f"the same bytes as {first.name}"))
            return
        weights = Weights(find.name, find.sha256, "", (find.view, *(part.view for part in parts)), surely=True)
        found = self._expert.recognise(weights)
        artifact = self._named or self._artifact(find, found)
        left = self._why_not(found, artifact, find)
        if left is None and artifact is not None:
            wrong = self.otherwise_listed(find, artifact, shared=False).lstrip("; ") or _unsound(
                weights, artifact, texts
            )
            left = Left(find.name, "refused", f"unsound: {wrong}", artifact=artifact.name) if wrong else None
        if left is not None or artifact is None:
            plan.left.append(left or Left(find.name, "unknown", found.text))
            return
        why = found.text if found.likely is not Likely.SHAPE else f"by its shape alone: {found.text}"
        why += self._as_shared(find, artifact)
        files = self._whole(artifact, find) or self._files(find, parts, texts)
        instead_of = self._instead_of(artifact, found)
        self._answered.add(artifact.name)
        self._taken[bytes_of] = find
        for path, one in files.items():
            claims = self._promises.claims(artifact, path, instead_of)
            file = RemoteFile(artifact.name, path, (), one.size, claims, artifact.revision)
            beside = one is not find and find in files.values()
            plan.takes.append(Take(one, file, f"beside {find.path}" if beside else why, artifact.url, instead_of))

    def _instead_of(self, artifact: Artifact, found: Identified) -> frozenset[str]:
        """Return the held weights whose place good ones take: what was seen first yields to a publisher's numbers."""
        wrong = self._likeness.outvoted(artifact.name) if found.likely is Likely.IDENTICAL else frozenset()
        weights = self._promises.weights(artifact)
        gone = {path for path in weights if path in wrong or SHARD.sub(INDEX, path) in wrong}
        return self._promises.paths(artifact) if gone and gone == weights else frozenset(gone)

    def is_open_for(self, artifact: Artifact, held: Sequence[str]) -> bool:
        """Whether an artifact may take bytes that are held under these names: it has not, or has others beside them."""
        has = any(name.startswith(f"{artifact.name}/") for name in held)
        return not has or bool(self._likeness.outvoted(artifact.name) & self._promises.weights(artifact))

    def _better_than(self, find: Find, found: Identified) -> str:
        """Say, after a semicolon, which hand-off has weights that these could take the place of; empty for none."""
        shares = (one for one in self._promises.shares if self._fits(one, find, {found.model}))
        share = next((one.name for one in shares if self._instead_of(one, found)), None)
        return f"; what {share} has are other numbers: `ingest --as {share}` puts these in their place" if share else ""

    @staticmethod
    def _fits(artifact: Artifact, find: Find, models: Collection[str | None]) -> bool:
        """Whether weights are of an artifact's format, and of one of these models."""
        return artifact.model.name in models and _FORMATS[find.kind][0] in (artifact.formats or _FORMATS[find.kind])

    def otherwise_listed(self, find: Find, artifact: Artifact | None = None, *, shared: bool = True) -> str:
        """Say that a file of this name is listed with another size, after a semicolon; empty where it is not."""
        among = [one for one in (artifact, self._named) if one is not None][:1] or self._promises.open
        other = (
            self._promises.other_size(among, without_copy(find.path), find.size, shared=shared) if find.size else None
        )
        return f"; {find.size} bytes, where {other[0]} lists {other[1]}: fetch it again" if other is not None else ""

    def _as_shared(self, find: Find, artifact: Artifact) -> str:
        """Say whether what a probe saw in the share has this size, after a semicolon; empty where none saw it.

        An archive that a find came in may be what the share has; and what else has the right tensors is no less right.
        """
        seen = self._promises.shared(artifact)
        sizes = {find.size, *(self.archives[outer].size for outer in find.outer if outer in self.archives)}
        same = next((path for path, size in seen.items() if size in sizes), None)
        if same is not None:
            return f"; its share lists {same} of this size"
        return "; its share lists no file of this size" if seen else ""

    def _whole(self, artifact: Artifact, find: Find) -> dict[str, Find]:
        """Return the archive that weights came in, where that is what the artifact is; nothing otherwise."""
        packed = packed_of(artifact)
        return {packed: self.archives[find.outer[-1]]} if packed is not None and find.outer else {}

    @staticmethod
    def _files(find: Find, parts: Sequence[Find], texts: Mapping[str, Find]) -> dict[str, Find]:
        files = {_FORMATS[find.kind][1]: find}
        files |= {SHARD_NAME.format(number, len(parts)): part for number, part in enumerate(parts)}
        return files | dict(texts)

    def _artifact(self, find: Find, found: Identified) -> Artifact | None:
        """Return the open hand-off that weights answer; None when there is none."""
        models = (
            {found.model} if found.model is not None else set(found.nearest if found.likely is Likely.SHAPE else ())
        )
        fits = [
            artifact
            for artifact in self._promises.open
            if self._fits(artifact, find, models) and artifact.name not in self._answered
        ]
        return fits[0] if len({artifact.model.name for artifact in fits}) == 1 else None

    def _why_not(self, found: Identified, artifact: Artifact | None, find: Find) -> Left | None:
        """Return why weights are not taken; None where they may be."""
        if found.likely is Likely.REFUSED:
            return Left(find.name, "refused", found.text + self.otherwise_listed(find))
        if found.likely is Likely.UNKNOWN:
            return Left(find.name, "unknown", found.text)
        if found.likely is Likely.PARTLY and (self._named is None or self._likeness.is_vouched_for(found.model or "")):
            return Left(
                find.name, "disputed", f"altered: {found.text}", find, None if artifact is None else artifact.name
            )
        if self._named is not None:
            return self._why_not_as(self._named, found, find)
        if found.likely is Likely.SHAPE:
            reference = next((r for name in found.nearest if (r := self._likeness.reference(name)) is not None), None)
            if reference is not None:
                text = f"the shape of {reference.model} and none of its numbers, as in {reference.name}"
                return Left(find.name, "unknown", f"{text}; say `--as ARTIFACT` if you know what it is")
        if (hub := _HUB_CACHE.search(find.name)) is not None:
            repo = hub[1].replace("--", "/")
            return Left(
                find.name,
                "unknown",
                f"of {repo}, as a hub's cache has it: nobody promised these bytes here; say `--as`",
            )
        if artifact is None:
            text = f"{found.text}; no hand-off waits for it{self._better_than(find, found)}"
            return Left(find.name, "held" if found.same else "unknown", text)
        return None

    def _why_not_as(self, artifact: Artifact, found: Identified, find: Find) -> Left | None:
        """Return why weights are not taken as what a person says that they are; None where they may be."""
        if found.model not in {None, artifact.model.name} or (
            found.model is None and artifact.model.name not in found.nearest
        ):
            return Left(find.name, "refused", f"not {artifact.model.label}: {found.text}", artifact=artifact.name)
        if not self._fits(artifact, find, {artifact.model.name}):
            text = f"{artifact.name} has {' or '.join(artifact.formats)} weights, and these are {find.kind}"
            return Left(find.name, "refused", text, artifact=artifact.name)
        if (packed := packed_of(artifact)) is not None and not find.outer:
            return Left(find.name, "unknown", f"{artifact.name} is {packed}: give that, not what it unpacks to")
        good = self._promises.weights(artifact) - self._likeness.outvoted(artifact.name)
        if found.likely is Likely.SHAPE and good and self._likeness.is_vouched_for(artifact.model.name):
            text = f"{artifact.name} has good weights, and these have other numbers: {found.text}"
            return Left(find.name, "refused", text, artifact=artifact.name)
        return None


def _unsound(weights: Weights, artifact: Artifact, texts: Mapping[str, Find]) -> str:
    """Say what is wrong with weights, beside what stands with them; empty where nothing is."""
    outer, mark, inner = weights.name.rpartition("!")
    folder = posixpath.dirname(inner)
    beside = {outer + mark + posixpath.join(folder, name): find.view for name, find in texts.items()}
    loaded = judge(weights, beside, known_of(artifact))
    wrong = [one for one in loaded.findings if one.severity is Severity.ERROR]
    return "; ".join(f"{one.tensor}: {one.text}" if one.tensor else one.text for one in wrong[:3])
