"""``ledger.head``: the last event's number and hash, beside the ledger.

It is written when a writer closes, by rename, and only after the events it names are on
disk. A ledger that lacks them was cut or put back to an older copy. Whoever can write both
files can forge both; ``minibert-mirror ledger head`` is for keeping a copy elsewhere.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import TamperedError
from mirror.ledger.canonical import GENESIS
from mirror.ledger.failures import our_errors

if TYPE_CHECKING:
    from pathlib import Path


class Head(NamedTuple):
    """The last event: its number and its hash; number 0 and ``GENESIS`` before the first."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq} {self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head | None:
        """Return the head that ``str`` wrote; None when the text is none."""
        found = re.fullmatch(r"(\d{1,18}) ([0-9a-f]{64})\n?", text)
        return cls(int(found[1]), found[2]) if found else None


#: The head of a ledger without events.
START = Head(0, GENESIS)


def anchor_path(ledger: Path) -> Path:
    """Return where the head of ``ledger`` is kept: ``ledger.head`` for ``ledger.db``."""
    return ledger.with_suffix(".head")


def read_anchor(ledger: Path) -> Head | None:
    """Return the head that was kept; None when there is none.

    Raises:
        LedgerError: It cannot be read.
        TamperedError: It is not what we write.
    """
    path = anchor_path(ledger)
    with our_errors(path):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
    head = Head.parse(text)
    if head is None:
        raise TamperedError(f"{path}: it is not the number and hash of an event")
    return head


def write_anchor(ledger: Path, head: Head) -> None:
    """Keep ``head`` beside ``ledger``, whole or not at all; whoever calls it holds the ledger's lock.

    The name of the new file is always the same: what a process leaves that dies here, the next one replaces.

    Raises:
        DiskFullError: There is no room for it.
        LedgerError: It cannot be written.
    """
    path = anchor_path(ledger)
    fresh = path.with_name(f".{path.name}.new")
    with our_errors(path):
        fresh.unlink(missing_ok=True)
        with fresh.open("x", encoding="utf-8") as file:
            file.write(f"{head}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
