"""The one thread that publishes small blobs and writes the ledger, in batches.

Order within a batch: blobs get their names, then one transaction records them, then
the claims on their partials are given up. A crash in between leaves blobs without
rows, which the next pull heals, and never a row without its blob.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

from mirror.errors import LedgerError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from mirror.ledger import Ledger
    from mirror.model import Event
    from mirror.store import Partial, Store

#: Rows that are worth a transaction at once, and the seconds that the first of fewer may wait for more.
BATCH = 256
LINGER = 0.05
#: Bytes of small files that may wait in memory for their names.
PENDING_BYTES = 24 << 20


class Entry(NamedTuple):
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

    The thread is woken for the first entry of a batch and when a batch is full, not for
    each: a switch between threads takes as long as the entry itself.

    Args:
        store: Where small blobs are published.
        open_ledger: Opens the ledger; called in the recorder's own thread.
        stop: Set when recording fails, so that no more work is begun.
    """

    def __init__(self, store: Store, open_ledger: Callable[[], Ledger], *, stop: threading.Event) -> None:
        self._store = store
        self._open_ledger = open_ledger
        self._stop = stop
        self._waiting: list[Entry] = []
        self._closing = False
        self._error: StoreError | LedgerError | None = None
        self._pending = 0
        lock = threading.Lock()
        self._news = threading.Condition(lock)
        self._room = threading.Condition(lock)
        self._thread = threading.Thread(target=self._run, name="recorder")
        self._thread.start()

    def put(self, *entries: Entry) -> None:
        """Record ``entries`` soon, together; waits while too many bytes wait to be published."""
        with self._room:
            while self._pending >= PENDING_BYTES and self._error is None:
                self._room.wait()
            self._waiting += entries
            self._pending += _bytes(entries)
            if self._enough() or len(self._waiting) == len(entries):
                self._news.notify()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        with suppress(StoreError, LedgerError):  # what is being raised is the cause, and worth more
            self.close()

    def close(self) -> None:
        """Record what is left and end the thread.

        Raises:
            StoreError: A blob could not be published.
            LedgerError: A row could not be written.
        """
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._open_ledger() as ledger:
                while batch := self._batch():
                    self._record(ledger, batch)
        except (StoreError, LedgerError) as error:
            self._stop.set()
            with self._room:
                self._error = error
                self._room.notify_all()

    def _batch(self) -> list[Entry]:
        """Wait for an entry, then for what comes within the linger; nothing at the end."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._closing)
            self._news.wait_for(lambda: self._enough() or self._closing, LINGER)
            batch, self._waiting = self._waiting, []
            return batch

    def _enough(self) -> bool:
        return len(self._waiting) >= BATCH or self._pending >= PENDING_BYTES

    def _record(self, ledger: Ledger, batch: list[Entry]) -> None:
        self._store.publish((entry.sha256, entry.data) for entry in batch if entry.data is not None)
        ledger.record([entry.event for entry in batch])
        for entry in batch:
            if entry.partial is not None:
                entry.partial.forget()
        with self._room:
            self._pending -= _bytes(batch)
            self._room.notify_all()


def _bytes(entries: Iterable[Entry]) -> int:
    return sum(len(entry.data) for entry in entries if entry.data is not None)
