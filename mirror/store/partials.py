"""Partials: the bytes of a blob that is not yet whole, kept until it is.

A partial is a claim with ``data``, ``spans`` and ``journal.json``. After ``kill -9``
every noted byte is there. After a loss of power that need not hold, nor for another
host's bytes; such a partial says that it is in doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from mirror.errors import BusyError, StoreError
from mirror.store import blobs, disk, journal, spans
from mirror.store.content import Content
from mirror.store.layout import DATA, JOURNAL, Layout
from mirror.store.quarantine import seal
from mirror.store.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Buffer

    from mirror.model import Blob
    from mirror.store.claims import Claim

#: Seconds between two heartbeats of a partial that is being written.
HEARTBEAT = 10.0


class Partial:
    """A partial that this object alone may write; ``Store.partial`` gives it.

    As a context manager it is released at the end, unless it was committed, now or
    by a process that died: then the claim stays until ``forget``, so that the ledger
    gets its row in between.
    Several threads may write different spans at the same time; all else is for one.

    Attributes:
        key: Its name among the partials.
        path: The file with the bytes, for reading them again.
    """

    def __init__(self, layout: Layout, claim: Claim, *, clock: Callable[[], float]) -> None:
        self.key = claim.key
        self.path = layout.claim(claim.key) / DATA
        self._layout = layout
        self._claim = claim
        self._clock = clock
        self._beat_at = clock() + HEARTBEAT
        try:
            self._journal = journal.parse(disk.read_file(claim.directory, JOURNAL))
            self._content = Content(claim.directory, self.path, clock=clock)
        except OSError as error:
            claim.release()  # raises when the claim was lost meanwhile: then that is what is wrong
            raise disk.translated(error, self.path) from error
        try:
            self._heal()
        except StoreError:
            self.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.committed is not None and error is None:
            return
        try:
            self.release()
        except StoreError:
            if error is None:  # else that is the cause, and worth more
                raise

    @property
    def spans(self) -> list[Span]:
        """The spans as they are now; none before the first ``restart``."""
        return self._content.spans

    @property
    def contiguous(self) -> int:
        """Length of the file's beginning that is there without a gap."""
        return spans.prefix(self.spans)

    @property
    def journal(self) -> dict[str, Any]:
        """A copy of what was remembered: URL, validators, size."""
        return dict(self._journal)

    @property
    def committed(self) -> str | None:
        """The sha256 that the bytes were published under; None while they are a partial."""
        return journal.committed(self._journal)

    @property
    def doubt(self) -> str:
        """Why the bytes that are there may not be what was written; empty when there is no reason.

        ``host``: another host wrote them, and they must be read again before they are
        believed. ``reboot``: this host has restarted since, and some may never have
        reached the disk. ``restart`` ends the doubt.
        """
        return self._claim.owner.doubt

    @property
    def adopted_from_other_host(self) -> bool:
        """Whether another host wrote some of the bytes."""
        return self.doubt == "host"

    def remember(self, **facts: Any) -> None:
        """Add JSON values to the journal, in one step; ``restart`` forgets them.

        Raises:
            BusyError: The claim was lost.
            DiskFullError: There is no room.
            StoreError: Anything else that the system says.
        """
        self._claim.check()
        self._write_journal(self._journal | facts)

    def restart(self, size: int | None = None, spans: Sequence[tuple[int, int | None]] | None = None) -> None:
        """Forget bytes, spans and journal, and begin again.

        Args:
            size: Bytes of the whole, where known.
            spans: Start and stop of every stream of bytes that will come; by default one for the whole.

        Raises:
            BusyError: The claim was lost.
            DiskFullError: There is no room.
            StoreError: Anything else that the system says.
        """
        self._claim.check()
        self._content.restart([Span(start, stop) for start, stop in (spans or [(0, size)])])
        self._write_journal({})
        if self.doubt:
            self._claim.sign(self._claim.owner._replace(doubt=""))

    def split(self, index: int, at: int) -> int:
        """Cut a span in two, also while it is being written; return the index of the new one.

        Args:
            index: The span; it keeps its beginning and what is done.
            at: Offset, in the file, where the new span begins; not before the next byte of the old.

        Raises:
            StoreError: The store cannot be written.
            ValueError: ``at`` is not in what is missing of the span.
        """
        return self._content.split(index, at)

    def write(self, index: int, offset: int, data: Buffer) -> int:
        """Write bytes of a span; that they are there is noted every half a second or 512 KiB, and at the end.

        Args:
            index: The span.
            offset: Where they belong in the file: at the span's next byte, or before it to write some again.
            data: The bytes.

        Returns:
            How many were taken: all, unless the span's stop, which ``split`` may have moved, comes first.

        Raises:
            BusyError: The claim was lost, at most ten seconds ago.
            DiskFullError: There is no room; what fitted is kept and noted.
            ReadOnlyStoreError: The store can no longer be written.
            StoreError: Anything else that the system says.
            ValueError: ``offset`` would leave a gap.
        """
        if self._clock() >= self._beat_at:
            self.beat()
        return self._content.write(index, offset, data)

    def beat(self) -> None:
        """Tell other hosts that the owner lives; ``write`` does so, a long wait between two writes should.

        Raises:
            BusyError: The claim was lost.
            StoreError: The store cannot be written.
        """
        self._beat_at = self._clock() + HEARTBEAT
        self._claim.beat()

    def commit(self, sha256: str) -> Blob:
        """Make the bytes, already judged, the blob of that name; the claim stays until ``forget``.

        Raises:
            BusyError: The claim was lost.
            DiskFullError: There is no room.
            ReadOnlyStoreError: The store cannot be written.
            StoreError: The bytes did not reach the disk (they are forgotten then), or anything else the system says.
            ValueError: There are gaps, or ``sha256`` is none.
        """
        self._claim.check()
        size = self._content.size
        if size != self.contiguous:
            raise ValueError(f"{self.path}: {self.contiguous} of {size} bytes are whole")
        held = blobs.find(self._layout, sha256)
        if held is None or held.size != size:
            self._content.sync()
        before = self._journal
        self.remember(**{journal.COMMITTED: sha256})
        try:
            blob = blobs.admit(self._layout, sha256, self._content.data, DATA, self._claim.directory)
        except StoreError:
            self._journal = before  # the file may say otherwise; the bytes beside it refute it
            raise
        self._content.close()
        return blob

    def forget(self) -> None:
        """Give up the claim and delete what it holds: the ledger has the row, or nobody wants the bytes.

        Raises:
            BusyError: The claim was lost.
            StoreError: The store cannot be written.
        """
        self._content.close()
        self._claim.remove()

    def release(self) -> None:
        """Give up the claim and keep the bytes; nothing when it was lost or given up already.

        Raises:
            DiskFullError: There is no room.
            StoreError: Anything else that the system says.
        """
        self._content.close()
        try:
            if self.committed is not None or any(span.done for span in self.spans):
                self._claim.release()
            else:
                self._claim.remove()
        except BusyError:
            self._claim.close()

    def quarantine(self, evidence: dict[str, Any]) -> Path:
        """Move the bytes to the quarantine and give up the claim; return their directory.

        Raises:
            BusyError: The claim was lost.
            DiskFullError: There is no room for the evidence.
            StoreError: Anything else that the system says.
        """
        self._claim.check()
        place = seal(self._layout, self.path, evidence)
        self.forget()
        return place

    def _heal(self) -> None:
        """Undo a commit that a crash ended before its rename, or whose blob is gone again."""
        sha256 = self.committed
        if sha256 is None:
            return
        if self._content.size or blobs.find(self._layout, sha256) is None:
            self._write_journal({name: fact for name, fact in self._journal.items() if name != journal.COMMITTED})
        else:
            self._content.restart([])  # who wants to write here has to begin with a restart, which forgets the commit

    def _write_journal(self, facts: dict[str, Any]) -> None:
        self._claim.put(JOURNAL, journal.encode(facts))
        self._journal = facts
