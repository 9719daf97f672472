"""What happened, as chained events, and what follows from them; ``cache/ledger.db``.

Invariants: events only gain rows; each row's hash covers it and the row before; the state
tables are projections of the events and change in the same transaction; reading and
appending need the standard library only.
"""

from __future__ import annotations

from mirror.ledger.anchor import Head
from mirror.ledger.reader import Reader
from mirror.ledger.recorder import Ledger
from mirror.ledger.rows import (
    Audit,
    BlobRow,
    Counts,
    Entry,
    FileState,
    Holding,
    MemberRow,
    State,
    TensorRow,
    WeightsRow,
)

__all__ = [
    "Audit",
    "BlobRow",
    "Counts",
    "Entry",
    "FileState",
    "Head",
    "Holding",
    "Ledger",
    "MemberRow",
    "Reader",
    "State",
    "TensorRow",
    "WeightsRow",
]
