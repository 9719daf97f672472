"""What is held, kept: pinned, measured, and freed of what nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import LedgerError, TamperedError
from mirror.lock import Lock, pinned
from mirror.model import Event

if TYPE_CHECKING:
    from mirror.store import GcItem, GcPlan, Usage

from mirror.api.base import Base


class Keeping(Base):
    """The mirror as something that takes room and is promised to others."""

    def lock_held(self, *selectors: str) -> dict[str, int]:
        """Pin everything that is held of what ``selectors`` name in ``catalog.lock.json``; other pins stay.

        Returns:
            How many files were pinned, by artifact.

        Raises:
            SelectorError: A selector is malformed or names nothing.
            StoreError: The lock cannot be written.
        """
        written: dict[str, int] = {}
        listings = dict(self.lock.listings)
        with self.reader() as reader:
            for artifact in self._selected(selectors):
                if reader is None:
                    break
                held = {
                    f.path: (f.sha256, f.size)
                    for f in reader.files(artifact.name)
                    if f.state == "held" and f.sha256 and f.size is not None
                }
                listing = reader.listing(artifact.name)
                if held and listing is not None:
                    listings[artifact.name] = pinned(listing, held)
                    written[artifact.name] = len(held)
        self.lock = Lock(listings)
        self.lock.write(self.place.lock)
        self._take_up_pins(selectors)
        return written

    def _take_up_pins(self, selectors: tuple[str, ...]) -> None:
        """Record that what is held is pinned now; pins that deny it are the next pull's to deal with."""
        from mirror.sync.pins import agreed

        with self.reader() as reader:
            events = agreed(reader, self._selected(selectors), self.store, self.lock) if reader is not None else []
        if events:
            with self._ledger() as ledger:
                ledger.record(events)

    def plan_gc(self, *, quarantine: bool = False, partial_days: float | None = None) -> GcPlan:
        """Return what no artifact, and no pin of the lock, needs; nothing is deleted.

        Before a blob is named, the whole ledger is checked, 66 µs an event: what is needed is read from its state
        tables, and a row that is lost there would give away bytes that the events still promise.

        Args:
            quarantine: Also the evidence of disputed files.
            partial_days: Also partials that nobody has touched for so many days.

        Raises:
            StoreError: The store cannot be read.
            LedgerError: The ledger cannot be read, or does not know what the store holds.
            TamperedError: It is not what was written, and a blob would go by what it says.
        """
        self._check_complete()
        older = None if partial_days is None else partial_days * 86400
        plan = self.store.plan_gc(self._needed(), quarantine=quarantine, partial_older_than=older)
        if any(item.kind == "blob" for item in plan.items):
            self._check_believable()
        return plan

    def run_gc(self, plan: GcPlan) -> tuple[GcItem, ...]:
        """Delete what ``plan`` says and is still not needed; return what went.

        Raises:
            StoreError: The store cannot be written.
            LedgerError: The ledger cannot be written.
        """
        needed = self._needed()
        gone = self.store.run_gc(plan, is_needed=needed.__contains__)
        events = [
            Event("removed", f"sha256:{item.path.name}", {"sha256": item.path.name, "size": item.size, "why": item.why})
            for item in gone
            if item.kind == "blob"
        ]
        # Closing the ledger completes what a writer left that died on its way out.
        if events or (self.place.ledger.exists() and self._is_ours):
            with self._ledger() as ledger:
                ledger.record(events)
        return gone

    def du(self) -> Usage:
        """Measure the mirror's cache.

        Raises:
            StoreError: It cannot be read.
        """
        return self.store.du()

    def _check_complete(self) -> None:
        """Refuse to judge what is needed by a ledger that does not know what is held."""
        from mirror.sync.peers import is_behind

        with self.reader() as reader:
            if is_behind(self.store, reader) or (reader is None and next(self.store.iter_blobs(), None) is not None):
                raise LedgerError(
                    "the ledger does not know what the store holds, so nothing can be said to be unneeded",
                    hint="`minibert-mirror pull` of what you want to keep records it again",
                )

    def _check_believable(self) -> None:
        """Refuse to judge what is needed by state tables that the events do not bear out."""
        with self.reader() as reader:
            try:
                if reader is not None:
                    reader.verify()
            except TamperedError as error:
                raise TamperedError(
                    f"nothing can be said to be unneeded: {error}",
                    problems=error.problems,
                    hint=f"put a sound copy of {self.place.ledger.name} back; or move it and its .head away, as "
                    "evidence, and `minibert-mirror pull` of what you want to keep records it again",
                ) from error

    def _needed(self) -> set[str]:
        pins = {file.sha256 for listing in self.lock.listings.values() for file in listing.files if file.sha256}
        with self.reader() as reader:
            return pins | reader.needed() if reader is not None else pins
