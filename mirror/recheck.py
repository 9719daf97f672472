"""Judge again what is held, say which files it is, and record what was found.

An altered blob is moved to the quarantine: the store offers nothing that is known to
be wrong, and the evidence is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.model import Event
from mirror.verify import Status, Subject, Verdict, VerifyLevel, verify

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Set

    from mirror.ledger import Ledger, Reader
    from mirror.store import Store

#: Verdicts of one transaction.
_BATCH = 512


class Rechecked(NamedTuple):
    """One blob's verdict, and the files that it is."""

    verdict: Verdict
    files: tuple[str, ...]


def recheck(
    reader: Reader,
    store: Store,
    artifacts: Set[str] | None,
    level: VerifyLevel,
    open_ledger: Callable[[], Ledger] | None,
    stop: threading.Event,
) -> Iterator[Rechecked]:
    """Yield the verdict on every held blob of ``artifacts``; of all when None.

    Without ``open_ledger`` the mirror is somebody else's: nothing is moved or recorded.

    Raises:
        StoreError: A blob cannot be read.
        LedgerError: The verdicts cannot be recorded, though the store could be written.
    """
    files = _files_of(reader, artifacts)
    events: list[Event] = []
    try:
        for verdict in verify(_subjects(reader, store, files), level, stop=stop):
            if open_ledger is not None and verdict.status in {Status.ALTERED, Status.RESIZED}:
                store.quarantine(verdict.subject.path, _evidence(verdict))
            events.append(_event(verdict))
            yield Rechecked(verdict, tuple(files[verdict.subject.sha256]))
    finally:
        if open_ledger is not None and events:
            with open_ledger() as ledger:
                for first in range(0, len(events), _BATCH):
                    ledger.record(events[first : first + _BATCH])


def _files_of(reader: Reader, artifacts: Set[str] | None) -> dict[str, list[str]]:
    """Return the files that each blob is held for."""
    found: dict[str, list[str]] = {}
    for file in reader.files():
        if file.sha256 and (file.state == "held" or file.damage) and (artifacts is None or file.artifact in artifacts):
            found.setdefault(file.sha256, []).append(f"{file.artifact}/{file.path}")
    return found


def _subjects(reader: Reader, store: Store, files: dict[str, list[str]]) -> Iterator[Subject]:
    for sha256 in files:
        row = reader.blob(sha256)
        if row is not None and row.size is not None:
            yield Subject(sha256, row.size, store.blob_path(sha256), row.blocks)


def _evidence(verdict: Verdict) -> dict[str, Any]:
    return {
        "expected": {"sha256": verdict.subject.sha256, "size": verdict.subject.size},
        "actual": {"sha256": verdict.actual},
        "damage": [list(span) for span in verdict.damage],
        "found_by": f"verify at level {verdict.level.value}",
    }


def _event(verdict: Verdict) -> Event:
    sha256 = verdict.subject.sha256
    detail = {"sha256": sha256, "level": verdict.level.value, "verdict": verdict.status.value}
    return Event("verified", f"sha256:{sha256}", detail)
