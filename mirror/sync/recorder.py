"""The one thread that publishes small blobs and writes the ledger, in batches.

Order within a batch: blobs get their names, then one transaction records them, then
the claims on their partials are given up. A crash in between leaves blobs without
rows, which the next pull heals, and never a row without its blob.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from mirror.errors import LedgerError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.ledger import Ledger
    from mirror.model import Event
    from mirror.store import Partial, Store

#: Rows of one transaction at the most, and the seconds that the first of them may wait.
BATCH = 512
LINGER = 0.05
#: Bytes of small files that may wait in memory for their names.
PENDING_BYTES = 24 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """What is recorded together.

    Attributes:
        event: The row.
        sha256: Name of the blob that ``data`` becomes first.
        data: Bytes of a small file that is not in the store yet.
        partial: A claim to give up when the row is written.
    """

    event: Event
    sha256: str = ""
    data: bytes | None = None
    partial: Partial | None = None


class Recorder:
    """Take entries from many threads and record them from one.

    Args:
        store: Where small blobs are published.
        open_ledger: Opens the ledger; called in the recorder's own thread.
        stop: Set when recording fails, so that no more work is begun.
    """

    def __init__(self, store: Store, open_ledger: Callable[[], Ledger], *, stop: threading.Event) -> None:
        self._store = store
        self._open_ledger = open_ledger
        self._stop = stop
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._error: StoreError | LedgerError | None = None
        self._pending = 0
        self._room = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recorder")
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Record ``entry`` soon; waits while too many bytes wait to be published."""
        with self._room:
            self._room.wait_for(lambda: self._pending < PENDING_BYTES or self._error is not None)
            self._pending += len(entry.data or b"")
        self._queue.put(entry)

    def close(self) -> None:
        """Record what is left and end the thread.

        Raises:
            StoreError: A blob could not be published.
            LedgerError: A row could not be written.
        """
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._open_ledger() as ledger:
                going = True
                while going:
                    batch, going = self._batch()
                    self._record(ledger, batch)
        except (StoreError, LedgerError) as error:
            self._stop.set()
            with self._room:
                self._error = error
                self._room.notify_all()

    def _batch(self) -> tuple[list[Entry], bool]:
        """Wait for one entry, then take what comes within the linger; whether more may come."""
        batch: list[Entry] = []
        entry = self._queue.get()
        until = time.monotonic() + LINGER
        while entry is not None:
            batch.append(entry)
            if len(batch) >= BATCH:
                return batch, True
            try:
                entry = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                return batch, True
        return batch, False

    def _record(self, ledger: Ledger, batch: list[Entry]) -> None:
        if not batch:
            return
        self._store.publish((entry.sha256, entry.data) for entry in batch if entry.data is not None)
        ledger.record([entry.event for entry in batch])
        for entry in batch:
            if entry.partial is not None:
                entry.partial.forget()
        with self._room:
            self._pending -= sum(len(entry.data or b"") for entry in batch)
            self._room.notify_all()
