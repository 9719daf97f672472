"""The events as text that outlives the database: JSON lines, or CSV.

Every row has what its hash covers, so that an export can be checked without us; see
``docs/ledger.md``.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from mirror.ledger.canonical import canonical
from mirror.ledger.rows import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: What ``--as`` takes.
FORMATS = ("jsonl", "csv")


def lines(entries: Iterable[Entry], form: str) -> Iterator[str]:
    """Yield ``entries`` as lines of ``form``, each with its newline.

    Args:
        entries: Rows of the events.
        form: ``jsonl``, one object a line; ``csv``, with a head and the detail as JSON text.

    Source: RFC 4180 for CSV.
    """
    if form == "jsonl":
        for entry in entries:
            yield canonical(entry._asdict()) + "\n"
        return
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(Entry._fields)
    for entry in entries:
        writer.writerow(entry._replace(detail=canonical(entry.detail)))  # type: ignore[arg-type] # text, for this row
        yield _take(buffer)
    yield _take(buffer)


def _take(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
