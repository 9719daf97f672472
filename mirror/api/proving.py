"""What is held, judged again: bytes, tensors, and one copy beside another."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set

    from numpy.typing import NDArray

    from mirror.crosscheck import Crosscheck
    from mirror.export.safetensors import Exported
    from mirror.identify import Identified
    from mirror.prove import Proof
    from mirror.recheck import Portion, Rechecked
    from mirror.repair import Repaired
    from mirror.rounds import Left
    from mirror.second_opinion import Opinion
    from mirror.stopping import Stop
    from mirror.weights import Opened

from mirror.api.base import Base, Watch, ignore


class Proving(Base):
    """The questions whose answer is in the bytes."""

    def verify(
        self,
        *selectors: str,
        level: str = "digest",
        portion: Portion | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Rechecked]:
        """Judge again the blobs that are held for what ``selectors`` name, and record the verdicts.

        An altered blob is moved to the quarantine, unless the store can only be read; ``repair`` mends it.
        Of a blob that cannot be read, the verdict says so; nothing is recorded of it.

        Args:
            selectors: What to judge; everything without any.
            level: ``stat`` or ``digest``.
            portion: How much of it this time; all by default.
            stop: Ends it when set.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            StoreError: A bad blob cannot be moved to the quarantine.
            LedgerError: The ledger cannot be read or written.
        """
        from mirror.recheck import Rechecked
        from mirror.verify import VerifyLevel

        found = self.judge(*selectors, level=VerifyLevel(level).value, portion=portion, stop=stop)
        yield from (one for one in found if isinstance(one, Rechecked))

    def judge(
        self,
        *selectors: str,
        level: str = "load",
        portion: Portion | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Rechecked | Proof | Left]:
        """Do what ``verify`` does and, at the deeper levels, what ``prove`` does; of a portion, artifact by artifact.

        What was judged longest ago at this level comes first. When the time of the portion is over, the last
        values say how many blobs are left, and at which level.

        Args:
            selectors: What to judge; everything without any.
            level: ``stat``, ``digest``, ``load`` or ``forward``.
            portion: How much of it this time; all by default.
            stop: Ends it when set.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            StoreError: A bad blob cannot be moved to the quarantine, or there is no room to unpack an archive.
            LedgerError: The ledger cannot be read or written.
        """
        from mirror.prove import Shelf
        from mirror.recheck import WHOLE
        from mirror.rounds import judge_round

        artifacts = self._selected(selectors)
        with self.reader() as reader:
            if reader is not None:
                yield from judge_round(
                    Shelf(reader, self.store, self._scratch, self._ledger_if_ours),
                    artifacts,
                    level,
                    portion or WHOLE,
                    stop or threading.Event(),
                    everything=not selectors,
                )

    def repair(
        self,
        *selectors: str,
        jobs: int = 48,
        limit_rate: float | None = None,
        stall: float = 60.0,
        retries: int = 5,
        retry_pause: float = 0.5,
        watch: Watch | None = None,
        stop: Stop | None = None,
    ) -> Repaired:
        """Fetch again what ``verify`` found bad, or what is gone, of what ``selectors`` name; of all without any.

        Of a large blob only the damaged blocks are fetched, where its source serves ranges. The options are
        those of ``sync``; a file's problem is not raised.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            StoreError: The store cannot be written.
            LedgerError: The ledger cannot be read or written.
        """
        from mirror.repair import repair
        from mirror.stopping import Stop, abortable
        from mirror.sync.outcome import Request

        request = Request(
            self._selected(selectors),
            jobs=jobs,
            limit_rate=limit_rate,
            stall=stall,
            retries=retries,
            retry_pause=retry_pause,
        )
        stop = stop or Stop()
        with self._parts(stall=stall) as parts, abortable(stop, parts.openers.close):
            return repair(parts, request, watch=watch or ignore, stop=stop)

    def prove(
        self,
        *selectors: str,
        forward: bool = False,
        only: Set[str] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Proof]:
        """Load every weight file that is held of what ``selectors`` name, and record what it is.

        Nothing of a file is run. Its container, structure, numbers and tokenizer are judged, and every
        tensor gets its canonical digest; see ``docs/verification.md``. ``forward`` also runs the model itself.
        What cannot be read is unsound and ``unread``; nothing is recorded of it.

        Args:
            selectors: What to load; everything without any.
            forward: Whether the models are run as well.
            only: sha256 of the blobs whose weights are judged; None for all.
            stop: Ends it between two artifacts when set.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            StoreError: There is no room to unpack an archive.
            LedgerError: The ledger cannot be read or written.
        """
        from mirror.prove import Shelf, prove

        artifacts = [artifact for artifact in self._selected(selectors) if not artifact.bundle]
        with self.reader() as reader:
            if reader is not None:
                shelf = Shelf(reader, self.store, self._scratch, self._ledger_if_ours)
                yield from prove(shelf, artifacts, stop or threading.Event(), forward=forward, only=only)

    def second_opinions(self, *selectors: str, stop: threading.Event | None = None) -> Iterator[Opinion]:
        """Have ``transformers`` load and run the best weights held of each artifact; wants the extra ``transformers``.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            UsageError: torch or transformers is not installed, or does not start.
            StoreError: There is no room for a copy.
            LedgerError: The ledger cannot be read or written.
        """
        from mirror.prove import Shelf
        from mirror.second_opinion import second_opinions

        artifacts = [artifact for artifact in self._selected(selectors) if not artifact.bundle]
        with self.reader() as reader:
            if reader is not None:
                shelf = Shelf(reader, self.store, self._scratch, self._ledger_if_ours)
                yield from second_opinions(shelf, artifacts, stop or threading.Event())

    def compare(
        self, *selectors: str, tolerance: float | None = None, stop: threading.Event | None = None
    ) -> Iterator[Crosscheck]:
        """Yield what the held weights of each model that ``selectors`` name are to each other; see ``crosscheck``.

        Args:
            selectors: What to compare; everything without any.
            tolerance: The largest difference of two elements that is let pass, for a weaker verdict.
            stop: Ends it when set.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            UsageError: The tolerance is no number above 0.
            StoreError: There is no room to unpack an archive.
            LedgerError: The ledger cannot be read or written.
        """
        from mirror.crosscheck import crosscheck
        from mirror.prove import Shelf

        artifacts = [artifact for artifact in self._selected(selectors) if not artifact.bundle]
        with self.reader() as reader:
            if reader is not None:
                shelf = Shelf(reader, self.store, self._scratch, self._ledger_if_ours)
                yield from crosscheck(shelf, self.catalog, artifacts, tolerance, stop)

    def identify(self, *paths: str | Path) -> Iterator[Identified]:
        """Yield which model and source each file is, by its content; see ``mirror.identify``.

        Raises:
            UsageError: One of them is neither a file nor a folder.
            StoreError: There is no room to unpack an archive.
            LedgerError: The ledger cannot be read.
        """
        from mirror.identify import identify

        with self.reader() as reader:
            yield from identify(map(Path, paths), self.catalog, reader, self._scratch)

    def load(self, name: str, *, source: str | None = None) -> Mapping[str, NDArray[Any]]:
        """Return the tensors of a model that is held: canonical name to a numpy array that cannot be written.

        The best weights are taken, safetensors before all, and judged as ``prove`` does before anything is
        given. The arrays are views of the file; bfloat16, which numpy does not have, comes as uint16.

        Args:
            name: The model, or one artifact of it.
            source: Only from this source: ``huggingface``, ``google`` …

        Raises:
            SelectorError: There is no such model or source.
            UsageError: Nothing of it is held, or several models are named.
            UnsoundError: What is held is not what the model needs.
            IntegrityError: What is held is not any more what was recorded.
            StoreError: A blob cannot be read, or there is no room to unpack an archive.
            LedgerError: The ledger cannot be read.
        """
        return self._open_best(name if source is None else f"{name}@{source}").arrays

    def export_safetensors(self, name: str, out: str | Path | None = None, *, force: bool = False) -> Exported:
        """Write the tensors of a model, or of one artifact, as safetensors that ``transformers`` loads.

        The same tensors give the same bytes, whatever format they are held in.

        Args:
            name: The model, or one artifact of it.
            out: A file that ends with ``.safetensors``, or a folder, which gets configuration and tokenizer as
                well; by default a folder with the model's name in the working directory.
            force: Whether files that are there are replaced.

        Raises:
            UsageError: Something is there already; and all that ``load`` raises.
            FormatError: The configuration beside the weights is nonsense.
            StoreError: The place cannot be written.
        """
        from mirror.export.safetensors import export

        opened = self._open_best(name)
        model = opened.proof.artifact.partition("@")[0].rpartition("/")[2]
        return export(opened, Path(model if out is None else out), force=force)

    def _open_best(self, name: str) -> Opened:
        """Open the best weights that are held of the one model that ``name`` selects."""
        from mirror.weights import open_best

        artifacts = [artifact for artifact in self.select(name) if not artifact.bundle]
        if len({artifact.model.name for artifact in artifacts}) != 1:
            raise UsageError(
                f"{name!r} is not one model", hint="name a model, such as bert-tiny, or one artifact of it"
            )
        with self.reader() as reader:
            if reader is None:
                raise UsageError(f"nothing of {name} is held", hint=f"minibert-mirror pull {name}")
            return open_best(reader, self.store, artifacts, self._scratch)
