"""Many rows in one statement.

Python's sqlite3 lets other threads run at every step of a statement, and then has to get the
interpreter back: where threads are waiting for it, that takes longer than the row itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

#: Rows of one statement; SQLite allows 32766 values (sqlite.org/limits.html §9).
ROWS = 128


def run(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run ``statement`` with all ``rows`` as its ``VALUES``; return how many rows it changed."""
    changed = 0
    for at in range(0, len(rows), ROWS):
        some = rows[at : at + ROWS]
        one = f"({', '.join('?' * len(some[0]))})"
        text = statement.replace("VALUES", f"VALUES {', '.join([one] * len(some))}", 1)
        changed += connection.execute(text, [value for row in some for value in row]).rowcount
    return changed
