"""Which file of which artifact each find is, by its content alone.

The very bytes of a promised file are that file. Of other weights, the tensors say the model,
and the model and the format which open hand-off they answer; what stands beside them comes
along. Everything else is told why it is left where it is.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from mirror.compare.finding import Severity
from mirror.errors import DiskFullError, StoreError
from mirror.formats.sniff import ARCHIVES
from mirror.identify import Expert, Likely
from mirror.ingest.beside import SHARD, is_text, misfit, named_texts, shards_of
from mirror.ingest.finds import REFUSED
from mirror.ingest.leftovers import without_copy
from mirror.ingest.plans import Left, Plan, Take
from mirror.ingest.promises import Promises, packed_of
from mirror.likeness import Likeness
from mirror.load.judging import judge
from mirror.load.material import Weights
from mirror.model import RemoteFile
from mirror.promised import known_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Artifact, Catalog
    from mirror.identify import Identified
    from mirror.ingest.finds import Find
    from mirror.ledger import Reader
    from mirror.lock import Lock
    from mirror.store import Store

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
_ALONE = "it comes along with weights, and none are beside it: give the folder that has both"
_BARE = "the index of a checkpoint whose data are not beside it: fetch both, and keep them in one folder"


class Answers:
    """Recognises finds by one catalog and one ledger.

    Args:
        catalog: Models, pins, and hand-offs.
        reader: The ledger; None when there is none yet.
        store: Says what is held.
        lock: Pins, which count as claims.
        scratch: A directory with room for the content of an archive.
        named: The artifact that a person says everything is; None to find out.
    """

    def __init__(
        self,
        catalog: Catalog,
        reader: Reader | None,
        store: Store,
        lock: Lock,
        scratch: Path,
        named: Artifact | None = None,
    ) -> None:
        self._promises = Promises(catalog, reader, store, lock)
        self._reader = reader
        self._named = named
        self._likeness = Likeness(catalog, reader)
        self._expert = Expert(catalog, self._likeness, scratch)
        self._answered: set[str] = set()
        self._spoken_of: set[Find] = set()
        self._taken: dict[tuple[str, ...], Find] = {}
        self._archives: dict[str, Find] = {}

    def is_known(self, sha256: str) -> bool:
        """Whether somebody promised a file with these bytes, or it is held."""
        return bool(self._promises.promised.get(f"sha256:{sha256}")) or bool(self._promises.held.get(sha256))

    def plan(self, finds: Iterable[Find]) -> Plan:
        """Return what each find is, and what is to be done with it.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        plan = Plan()
        folders: dict[str, list[Find]] = {}
        for find in finds:
            if find.kind in ARCHIVES:
                self._archives[find.sha256] = find
            known = not find.wrong and self._known(find, plan)
            if known:
                self._spoken_of.add(find)
            if not known or not find.kind:  # a vocabulary may be promised, and stand beside other weights as well
                folders.setdefault(find.folder, []).append(find)
        for beside in folders.values():
            self._answer(beside, plan)
        wanted = [take for take in plan.takes if take.share is not None or self._is_wanted(take, plan)]
        alone = {take.find for take in plan.takes if take.find.asked} - {take.find for take in wanted}
        plan.left += [Left(find.name, "unknown", _ALONE) for find in sorted(alone, key=lambda one: one.name)]
        plan.takes = wanted
        return plan

    def _is_wanted(self, take: Take, plan: Plan) -> bool:
        """Whether a promised file is more than a vocabulary of dozens of artifacts of which nothing else is here."""
        artifact = take.file.artifact
        if any(one.find.kind and one.file.artifact == artifact for one in plan.takes):
            return True
        return self._reader is not None and self._reader.listing(artifact) is not None

    # --- the very bytes ------------------------------------------------------------------

    def _known(self, find: Find, plan: Plan) -> bool:
        """Plan what is to be done with bytes that are known as they are; whether they are."""
        files = {
            str(file): file for digest in find.digests.values() for file in self._promises.promised.get(str(digest), ())
        }
        for name, file in files.items():
            if name not in self._answered:
                self._answered.add(name)
                plan.takes.append(Take(find, file, "the very bytes that were promised"))
        if files:
            return True
        if refused := self._promises.refused.get(find.sha256):
            plan.left.append(Left(find.name, "refused", f"a look-alike: {refused}"))
            return True
        held = self._promises.held.get(find.sha256, ())
        if not held or not find.kind:
            return False  # a vocabulary, say, that stands beside weights of a model that is not here yet
        share = self._promises.share_of(held, self._answered)
        if self._named is not None and not any(name.startswith(f"{self._named.name}/") for name in held):
            share = self._named
        if share is None:
            plan.left.append(Left(find.name, "held", f"held already, as {held[0]}"))
        elif find.kind in ARCHIVES:
            self._answered.add(share.name)
            path = posixpath.basename(held[0])
            file = RemoteFile(share.name, path, (), find.size, self._promises.claims(share, path))
            plan.takes.append(Take(find, file, f"the very bytes of {held[0]}", share.url))
        else:
            return False  # what stands beside it comes along
        return True

    # --- weights, and what stands beside them --------------------------------------------

    def _answer(self, beside: Sequence[Find], plan: Plan) -> None:
        """Plan what is to be done with what stands together in one folder."""
        texts = dict(named_texts(beside))
        used: set[Find] = set()
        # Indexes first: the first bytes of their data may look like anything.
        for find in sorted(beside, key=lambda one: one.kind != "tensorflow"):
            if find.kind and find.kind not in ARCHIVES and not find.wrong and find not in used:
                parts = shards_of(find, beside) if find.kind == "tensorflow" else ()
                used |= {find, *parts}
                if find.kind == "tensorflow" and not parts:
                    used |= self._bare(find, beside, plan)
                    continue
                try:
                    self._weights(find, parts, texts, plan)
                except DiskFullError:
                    raise
                except StoreError as error:  # it has gone, or changed, since it was found
                    plan.left.append(Left(find.name, "leftover", f"cannot be read: {error}"))
        self._rest((one for one in beside if one not in used), texts if used else {}, plan)

    def _rest(self, finds: Iterable[Find], texts: Mapping[str, Find], plan: Plan) -> None:
        """Say what is with files that are no weights, or count them."""
        for find in finds:
            if find in self._spoken_of:
                continue
            if find.wrong:
                status = "refused" if find.wrong.startswith(REFUSED) else "leftover"
                if find.asked or is_text(find):
                    why = find.wrong.removeprefix(REFUSED) + self._otherwise_listed(find)
                    plan.left.append(Left(find.name, status, why))
                else:
                    plan.others += 1
            elif find.kind in ARCHIVES:
                continue  # its members spoke for it
            elif find.asked and (held := self._promises.held.get(find.sha256)):
                plan.left.append(Left(find.name, "held", f"held already, as {held[0]}"))
            elif find.asked and find not in texts.values():
                text = _ALONE if is_text(find) else "neither weights nor a file that is promised"
                plan.left.append(Left(find.name, "unknown", text))
            elif find not in texts.values():
                plan.others += 1

    @staticmethod
    def _bare(index: Find, beside: Sequence[Find], plan: Plan) -> set[Find]:
        """Say what is wrong with the index of a checkpoint without its data; return the data that do not fit it."""
        found = misfit(index, beside)
        if found is None:
            plan.left.append(Left(index.name, "unknown", _BARE))
            return set()
        data, size = found
        what = "cut short" if data.size < size else "too long"
        text = f"{what}: {data.size} bytes, where {index.path} says {size}: fetch both again"
        plan.left.append(Left(data.name, "refused", text))
        return {data}

    def _weights(self, find: Find, parts: Sequence[Find], texts: Mapping[str, Find], plan: Plan) -> None:
        bytes_of = tuple(one.sha256 for one in (find, *parts))
        if (first := self._taken.get(bytes_of)) is not None:
            plan.left.append(Left(find.name, "held", f"the same bytes as {first.name}"))
            return
        weights = Weights(find.name, find.sha256, "", (find.view, *(part.view for part in parts)), surely=True)
        found = self._expert.recognise(weights)
        artifact = self._named or self._artifact(find, found)
        left = self._why_not(found, artifact, find)
        if left is None and artifact is not None:
            wrong = self._otherwise_listed(find, artifact, shared=False).lstrip("; ") or _unsound(
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
        good = found.likely is Likely.IDENTICAL and self._likeness.outvoted(artifact.name)
        return self._promises.weights(artifact) if good else frozenset()

    def _better_than(self, find: Find, found: Identified) -> str:
        """Say, after a semicolon, which hand-off has weights that these could take the place of; empty for none."""
        shares = (one for one in self._promises.shares if self._fits(one, find, {found.model}))
        share = next((one.name for one in shares if self._instead_of(one, found)), None)
        return f"; what {share} has are other numbers: `--as {share}` puts these in their place" if share else ""

    @staticmethod
    def _fits(artifact: Artifact, find: Find, models: Collection[str | None]) -> bool:
        """Whether weights are of an artifact's format, and of one of these models."""
        return artifact.model.name in models and _FORMATS[find.kind][0] in (artifact.formats or _FORMATS[find.kind])

    def _otherwise_listed(self, find: Find, artifact: Artifact | None = None, *, shared: bool = True) -> str:
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
        sizes = {find.size, *(self._archives[outer].size for outer in find.outer if outer in self._archives)}
        same = next((path for path, size in seen.items() if size in sizes), None)
        if same is not None:
            return f"; its share lists {same} of this size"
        return "; its share lists no file of this size" if seen else ""

    def _whole(self, artifact: Artifact, find: Find) -> dict[str, Find]:
        """Return the archive that weights came in, where that is what the artifact is; nothing otherwise."""
        packed = packed_of(artifact)
        return {packed: self._archives[find.outer[-1]]} if packed is not None and find.outer else {}

    @staticmethod
    def _files(find: Find, parts: Sequence[Find], texts: Mapping[str, Find]) -> dict[str, Find]:
        files = {_FORMATS[find.kind][1]: find}
        files |= {SHARD.format(number, len(parts)): part for number, part in enumerate(parts)}
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
            return Left(find.name, "refused", found.text + self._otherwise_listed(find))
        if found.likely is Likely.UNKNOWN:
            return Left(find.name, "unknown", found.text)
        if self._named is not None:
            if found.model not in {None, self._named.model.name} or (
                found.model is None and self._named.model.name not in found.nearest
            ):
                return Left(
                    find.name, "refused", f"not {self._named.model.label}: {found.text}", artifact=self._named.name
                )
            if not self._fits(self._named, find, {self._named.model.name}):
                text = f"{self._named.name} has {' or '.join(self._named.formats)} weights, and these are {find.kind}"
                return Left(find.name, "refused", text, artifact=self._named.name)
            if (packed := packed_of(self._named)) is not None and not find.outer:
                return Left(find.name, "unknown", f"{self._named.name} is {packed}: give that, not what it unpacks to")
            return None
        if found.likely is Likely.PARTLY:
            return Left(
                find.name, "disputed", f"altered: {found.text}", find, None if artifact is None else artifact.name
            )
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


def _unsound(weights: Weights, artifact: Artifact, texts: Mapping[str, Find]) -> str:
    """Say what is wrong with weights, beside what stands with them; empty where nothing is."""
    outer, mark, inner = weights.name.rpartition("!")
    folder = posixpath.dirname(inner)
    beside = {outer + mark + posixpath.join(folder, name): find.view for name, find in texts.items()}
    loaded = judge(weights, beside, known_of(artifact))
    wrong = [one for one in loaded.findings if one.severity is Severity.ERROR]
    return "; ".join(f"{one.tensor}: {one.text}" if one.tensor else one.text for one in wrong[:3])
