"""Which file of which artifact each find is, by its content alone.

The very bytes of a promised file are that file. Of other weights, the tensors say the model,
and the model and the format which open hand-off they answer; what stands beside them comes
along. Everything else is told why it is left where it is.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from mirror.errors import DiskFullError, StoreError
from mirror.formats.sniff import ARCHIVES
from mirror.ingest.beside import broken_index, is_text, misfit, named_texts, shards_of
from mirror.ingest.finds import REFUSED
from mirror.ingest.matches import Matches
from mirror.ingest.plans import Left, Plan, Take
from mirror.ingest.promises import Promises
from mirror.likeness import Likeness
from mirror.model import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Artifact, Catalog
    from mirror.ingest.finds import Find
    from mirror.ledger import Reader
    from mirror.lock import Lock
    from mirror.store import Store

_CUT_INDEX = "the index of the checkpoint beside it cannot be read: it is cut short, or damaged; fetch it again"
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
        self._answered: set[str] = set()
        self._spoken_of: set[Find] = set()
        self._matches = Matches(catalog, Likeness(catalog, reader), self._promises, scratch, named, self._answered)

    def is_known(self, sha256: str) -> bool:
        """Whether somebody promised a file with these bytes, or it is held: then it is not opened.

        What a person says that a file is has to be seen in it.
        """
        if self._named is not None and self._named.waits_for_person:
            return False
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
                self._matches.archives[find.sha256] = find
            known = not find.wrong and self._known(find, plan)
            if known:
                self._spoken_of.add(find)
            if not known or not find.kind:  # a vocabulary may be promised, and stand beside other weights as well
                folders.setdefault(find.folder, []).append(find)
        for beside in folders.values():
            self._answer(beside, plan)
        self._empty(plan)
        wanted = [take for take in plan.takes if take.share is not None or self._is_wanted(take, plan)]
        alone = {take.find for take in plan.takes if take.find.asked} - {take.find for take in wanted}
        plan.left += [Left(find.name, "unknown", _ALONE) for find in sorted(alone, key=lambda one: one.name)]
        plan.takes = wanted
        return plan

    def _empty(self, plan: Plan) -> None:
        """Name the archives of which nothing was taken, and nothing said."""
        told = [*(take.find.name for take in plan.takes), *(left.name for left in plan.left)]
        for find in self._matches.archives.values():
            if find.asked and not find.wrong and not any(name.startswith(find.name) for name in told):
                plan.left.append(Left(find.name, "unknown", "nothing in it is weights, or a file that is promised"))

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
            str(file): file
            for digest in find.digests.values()
            for file in self._promises.promised.get(str(digest), ())
            if self._named is None or file.artifact == self._named.name
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
        if self._named is not None and self._matches.is_open_for(self._named, held):
            return False  # what is in it decides
        share = self._promises.share_of(held, self._answered)
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
                    self._matches.match(find, parts, texts, plan)
                except DiskFullError:
                    raise
                except StoreError as error:  # it has gone, or changed, since it was found
                    plan.left.append(Left(find.name, "leftover", f"cannot be read: {error}"))
        for find in beside:
            if find not in used and (data := broken_index(find, beside)):
                used |= {find, *data}
                plan.left.append(Left(find.name, "refused", _CUT_INDEX))
        self._rest((one for one in beside if one not in used), texts if used else {}, plan)

    def _rest(self, finds: Iterable[Find], texts: Mapping[str, Find], plan: Plan) -> None:
        """Say what is with files that are no weights, or count them."""
        for find in finds:
            if find in self._spoken_of:
                continue
            if find.wrong:
                status = "refused" if find.wrong.startswith(REFUSED) else "leftover"
                if find.asked or is_text(find):
                    why = find.wrong.removeprefix(REFUSED) + self._matches.otherwise_listed(find)
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
