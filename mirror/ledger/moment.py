"""Times as the ledger writes them: ISO 8601, UTC, microseconds, ``Z``; so they sort as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def moment(when: datetime) -> str:
    """Return an aware time as the ledger writes it; ValueError when it is naive."""
    if when.tzinfo is None:
        raise ValueError(f"{when} has no time zone")
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rewritten(text: str) -> str:
    """Return any ISO 8601 time with a zone as the ledger writes it; ValueError for other text."""
    return text if _WRITTEN.fullmatch(text) else moment(datetime.fromisoformat(text))
