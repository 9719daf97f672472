"""Disputed finds: a copy of each goes to the quarantine, once, and the ledger hears of it, once."""

from __future__ import annotations

import getpass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from mirror.model import Event

if TYPE_CHECKING:
    from mirror.ingest.finds import Find
    from mirror.ledger import Reader
    from mirror.store import Store


class Cases:
    """What is disputed, in this run and in earlier ones.

    Args:
        reader: The ledger; None when there is none yet.
        store: Has the quarantine.
    """

    def __init__(self, reader: Reader | None, store: Store) -> None:
        self._reader = reader
        self._store = store

    def keep(self, find: Find, subject: str, why: str) -> tuple[str, Event | None]:
        """Return the name of the case with these bytes, and the event to record; None for one that is known.

        Args:
            find: What is disputed; it is copied where there is no such case yet.
            subject: The artifact or the file that it would have been.
            why: In words.

        Raises:
            StoreError: The bytes cannot be copied.
        """
        if (known := self._known.get((subject, find.sha256))) is not None:
            return known, None
        facts = {"name": find.name, "sha256": find.sha256, "why": why, "by": who()}
        case = self._store.quarantine(bytes(find.view), {"found_by": "ingest", "file": subject, **facts}).name
        self._known[subject, find.sha256] = case
        return case, Event("refused", subject, {**facts, "quarantine": case})

    @cached_property
    def _known(self) -> dict[tuple[str, str], str]:
        """Cases that are still there, by what the bytes would have been and their sha256."""
        if self._reader is None:
            return {}
        there = {case.path.name for case in self._store.iter_quarantine()}
        found = {}
        for entry in chain(self._reader.events(kind="refused"), self._reader.events(kind="disputed")):
            said = entry.event.detail
            if said.get("quarantine") in there and (sha256 := said.get("sha256") or said["actual"].get("sha256")):
                found[entry.event.subject, sha256] = said["quarantine"]
        return found


def who() -> str:
    """Return the name of whoever runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "somebody"
