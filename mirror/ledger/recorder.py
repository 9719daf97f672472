"""The writing side: events in, chained rows and changed state out, one transaction a batch."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

from mirror.errors import TamperedError
from mirror.ledger import bulk
from mirror.ledger import connection as connections
from mirror.ledger.anchor import START, Head, anchor_path, read_anchor, write_anchor
from mirror.ledger.canonical import canonical, event_hash
from mirror.ledger.failures import our_errors
from mirror.ledger.moment import moment, rewritten
from mirror.ledger.projections import apply_all
from mirror.ledger.reader import Reader
from mirror.model import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

_INSERT = "INSERT INTO events (seq, at, kind, subject, detail, prev, hash) VALUES"
_LAST = "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1"
_SET_HEAD = "INSERT INTO meta VALUES ('head', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class Ledger(Reader):
    """A ledger open for writing; from one thread at a time, while any number of processes do.

    What it is asked, it answers from its own connection: other threads take a ``reader``.
    """

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        tool: str,
        now: Callable[[], datetime],
        create: bool = True,
        busy: float = connections.BUSY,
    ) -> Ledger:
        """Open the ledger at ``path`` for writing.

        Args:
            path: Where it is, or will be.
            tool: Version of the program, for the record.
            now: Gives the time, aware.
            create: Whether to make it when it is not there.
            busy: Seconds to wait for another process's transaction.

        Raises:
            LedgerError: It is not there, cannot be written, or belongs to a newer version.
            TamperedError: It lacks events that ``ledger.head`` says it had.
        """
        ledger = cls(path, connections.for_writing(path, create=create, busy=busy))
        ledger._tool, ledger._now = tool, now
        try:
            ledger._compare_with_anchor()
        except BaseException:
            Reader.close(ledger)
            raise
        return ledger

    @staticmethod
    def reader(path: Path) -> Reader:
        """Open the ledger at ``path`` for reading only: nothing is written, not even beside it.

        Raises:
            LedgerError: It is not there, is damaged, or needs its owner to complete it first.
        """
        return Reader(path, connections.for_reading(path))

    _tool: str
    _now: Callable[[], datetime]
    _introduced = False
    _closed = False

    def record(self, events: Sequence[Event]) -> None:
        """Append ``events`` and change the state as they say: all of it or nothing.

        The first batch is preceded by one ``opened`` event that says who writes.

        Raises:
            DiskFullError: There is no room for it.
            LedgerError: The ledger is locked for too long, damaged or read-only.
            TamperedError: Its tail was cut since; nothing is added to it.
            ValueError: An event is not what its kind must be; nothing is recorded.
        """
        if not events:
            return
        now = moment(self._now())
        batch = [self._introduction(), *events] if not self._introduced else events
        # Encoding needs no lock, and is half of the work.
        rows = [
            (rewritten(event.at) if event.at else now, event.kind, event.subject, canonical(event.detail))
            for event in batch
        ]
        connection = self._connection
        with our_errors(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                first = self._checked_head()
                head = self._append(first, rows)
                apply_all(
                    connection,
                    [
                        (seq, row[0], event.kind, event.detail)
                        for seq, (row, event) in enumerate(zip(rows, batch, strict=True), start=first.seq + 1)
                    ],
                )
                connection.execute(_SET_HEAD, (str(head),))
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has rolled it back already
                    connection.execute("ROLLBACK")
                raise
        self._introduced = True

    def close(self) -> None:
        """Keep the head beside the ledger and close; more than once does no harm.

        Raises:
            LedgerError: The ledger or its head cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._is_ahead(self.head()):
                self._keep_head()
        finally:
            super().close()

    def _is_ahead(self, head: Head) -> bool:
        return head.seq > (read_anchor(self.path) or START).seq

    def _keep_head(self) -> None:
        """Write the head beside the ledger; one process after the other, so that it never goes back."""
        with our_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                head = self.head()
                if self._is_ahead(head):
                    connections.sync_log(self.path)
                    write_anchor(self.path, head)
            finally:
                self._connection.execute("ROLLBACK")

    def _append(self, head: Head, rows: Iterable[tuple[str, str, str, str]]) -> Head:
        """Insert (at, kind, subject, detail) as rows of the chain and return its new head."""
        seq, prev = head
        chained = []
        for at, kind, subject, detail in rows:
            seq += 1
            digest = event_hash(seq, at, kind, subject, detail, prev)
            chained.append((seq, at, kind, subject, detail, prev, digest))
            prev = digest
        bulk.run(self._connection, _INSERT, chained)
        return Head(seq, prev)

    def _checked_head(self) -> Head:
        """Return the head to go on from; another process may have moved it since we looked."""
        head = self.head()
        last = Head(*(self._connection.execute(_LAST).fetchone() or START))
        if last != head:
            raise TamperedError(f"{self.path}: the tail is cut: head says {head.seq} events, {last.seq} are there")
        return head

    def _compare_with_anchor(self) -> None:
        """Refuse a ledger that is shorter than it was, or another one."""
        kept = read_anchor(self.path)
        if kept is None or kept == START:
            return
        for (digest,) in self._rows(tuple, "SELECT hash FROM events WHERE seq = ?", kept.seq):
            if digest == kept.hash:
                return
        name = anchor_path(self.path).name
        raise TamperedError(
            f"{self.path}: it lacks event {kept.seq} that {name} names: it was cut, or put back to an older copy",
            hint=f"if you put back a copy on purpose, move {name} away; else keep both files as evidence",
        )

    def _introduction(self) -> Event:
        """Return the event that says who writes, so that the other rows need not."""
        system = platform.uname()
        detail = {
            "tool": self._tool,
            "host": system.node,
            "pid": os.getpid(),
            "python": ".".join(map(str, sys.version_info[:3])),
            "platform": f"{system.system} {system.release} {system.machine}",
        }
        return Event("opened", f"{system.node}:{os.getpid()}", detail)
