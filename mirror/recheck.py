"""Judge again what is held, say which files it is, and record what was found.

An altered blob is moved to the quarantine: the store offers nothing that is known to
be wrong, and the evidence is kept. Of a large mirror a portion can be read at a time,
what was read longest ago first, so that every blob has its turn.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.errors import StoreError
from mirror.ledger.moment import moment
from mirror.model import Event
from mirror.verify import Status, Subject, Verdict, VerifyLevel, judge, verify

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
    from contextlib import AbstractContextManager

    from mirror.ledger import Ledger, Reader
    from mirror.store import Store

#: Verdicts of one transaction.
_BATCH = 512


class Portion(NamedTuple):
    """How much of what is held to judge this time; by default all of it.

    Whatever is given, blobs come in the order in which they were last judged at a level, those never judged first.
    Blobs of one age, such as those of one pull, come in the order of their digests, which favours no model.

    Attributes:
        older_than: Only blobs that were last judged so long ago, or never.
        most: Of those, no more than so many.
        share: Or no more than this part of everything that was selected, whatever its age; from 0 to 1.
        seconds: No further blob is begun after so many.
    """

    older_than: timedelta | None = None
    most: int | None = None
    share: float | None = None
    seconds: float | None = None


WHOLE = Portion()


class Rechecked(NamedTuple):
    """One blob's verdict.

    Attributes:
        verdict: What was found.
        files: The files that it is: artifact and path.
    """

    verdict: Verdict
    files: tuple[str, ...]


def due(
    reader: Reader,
    artifacts: Set[str] | None,
    portion: Portion = WHOLE,
    *,
    level: str = "digest",
    weights: Set[str] = frozenset(),
    now: datetime | None = None,
) -> dict[str, list[str]]:
    """Return the blobs of ``artifacts``, of all when None, that are to be judged, each with the files it is.

    Args:
        reader: The ledger.
        artifacts: Names of artifacts.
        portion: How much of them.
        level: ``stat``, ``digest``, ``load`` or ``forward``; a deeper look counts for the shallower ones.
        weights: The blobs that have weights in them; of the others nothing is to be loaded.
        now: The time that ages are counted from, aware; by default the clock's.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    files = _files_of(reader, artifacts)
    if portion == WHOLE:
        return files
    judged = reader.loaded.judged(level) if level != "digest" else {}
    ages = []
    for sha256 in files:
        if (row := reader.blob(sha256)) is None:
            continue
        age = row.verified_at or ""
        if level == "stat":
            age = max(age, judged.get(sha256, ""))
        elif sha256 in weights:
            age = min(age, judged.get(sha256, ""))
        ages.append((age, sha256))
    ages.sort()
    if portion.older_than is not None:
        before = moment((now or datetime.now(UTC)) - portion.older_than)
        ages = [age for age in ages if age[0] < before]
    most = len(ages) if portion.most is None else portion.most
    if portion.share is not None:
        most = min(most, math.ceil(portion.share * len(files)))
    return {sha256: files[sha256] for _, sha256 in ages[:most]}


def recheck(
    reader: Reader,
    store: Store,
    files: Mapping[str, Sequence[str]],
    level: VerifyLevel,
    open_ledger: Callable[[], AbstractContextManager[Ledger]] | None,
    stop: threading.Event,
    *,
    seconds: float | None = None,
) -> Iterator[Rechecked]:
    """Yield the verdict on every blob of ``files``, in their order.

    Args:
        reader: The ledger.
        store: Has the blobs.
        files: Their sha256, each with the files that it is; see ``due``.
        level: How hard to look.
        open_ledger: None when the mirror is somebody else's: then nothing is moved or recorded.
        stop: Ends it when set.
        seconds: No further blob is begun after so many.

    Raises:
        StoreError: A bad blob cannot be moved to the quarantine.
        LedgerError: The verdicts cannot be recorded, though the store could be written.
    """
    until = math.inf if seconds is None else time.monotonic() + seconds
    events: list[Event] = []
    try:
        begun: dict[str, str] = {}
        subjects = _timed(_subjects(reader, store, files), begun)
        for verdict in verify(subjects, level, stop=stop, over=lambda: time.monotonic() >= until):
            if open_ledger is not None and verdict.status in {Status.ALTERED, Status.RESIZED}:
                _put_away(store, verdict)
            if verdict.status is not Status.UNREADABLE:
                events.append(_event(verdict, begun.pop(verdict.subject.sha256)))
            yield Rechecked(verdict, tuple(files[verdict.subject.sha256]))
    finally:
        if open_ledger is not None and events:
            with open_ledger() as ledger:
                for first in range(0, len(events), _BATCH):
                    ledger.record(events[first : first + _BATCH])


def changed(
    reader: Reader,
    store: Store,
    blobs: Iterable[str],
    open_ledger: Callable[[], AbstractContextManager[Ledger]] | None,
    stop: threading.Event,
) -> dict[str, Verdict]:
    """Return the verdict on each of ``blobs`` that is not any more what was recorded, or cannot be read.

    A blob that has its size, and was not touched since all of it was last read, is not read again. Nothing is moved.

    Args:
        reader: The ledger.
        store: Has the blobs.
        blobs: Their sha256.
        open_ledger: For those that were read and are intact; None where nothing can be recorded.
        stop: Ends it when set.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    seen = [(judge(subject, VerifyLevel.STAT), subject) for subject in _subjects(reader, store, blobs)]
    doubtful = [subject for verdict, subject in seen if verdict.ok and _was_touched(subject, reader)]
    begun = moment(datetime.now(UTC))
    read = list(verify(doubtful, VerifyLevel.DIGEST, stop=stop))
    intact = [_event(verdict, begun) for verdict in read if verdict.ok]
    if open_ledger is not None and intact:
        with open_ledger() as ledger:
            ledger.record(intact)
    return {one.subject.sha256: one for one in (*read, *(verdict for verdict, _ in seen)) if not one.ok}


def _was_touched(subject: Subject, reader: Reader) -> bool:
    """Whether a file may have been written since every byte of it was read, as far as its times tell.

    The time of the last change of its inode cannot be put back by whoever changes bytes; a hard link moves it too.

    Source: inode(7), st_mtime and st_ctime.
    """
    row = reader.blob(subject.sha256)
    if row is None or row.verified_at is None or row.verdict != Status.INTACT:
        return True
    try:
        found = subject.path.stat()
    except OSError:
        return True
    touched = datetime.fromtimestamp(max(found.st_mtime, found.st_ctime), UTC)
    return touched >= datetime.fromisoformat(row.verified_at)


def _files_of(reader: Reader, artifacts: Set[str] | None) -> dict[str, list[str]]:
    """Return the files that each blob is held for."""
    found: dict[str, list[str]] = {}
    for file in reader.files():
        if file.sha256 and (file.state == "held" or file.damage) and (artifacts is None or file.artifact in artifacts):
            found.setdefault(file.sha256, []).append(f"{file.artifact}/{file.path}")
    return found


def _subjects(reader: Reader, store: Store, files: Iterable[str]) -> Iterator[Subject]:
    for sha256 in files:
        row = reader.blob(sha256)
        if row is not None and row.size is not None:
            yield Subject(sha256, row.size, store.blob_path(sha256), row.blocks)


def _timed(subjects: Iterable[Subject], begun: dict[str, str]) -> Iterator[Subject]:
    """Yield subjects and note when each is asked for, which is just before it is read."""
    for subject in subjects:
        begun[subject.sha256] = moment(datetime.now(UTC))
        yield subject


def _put_away(store: Store, verdict: Verdict) -> None:
    """Move a bad blob to the quarantine, if nobody else who found it bad has just done so."""
    try:
        store.quarantine(verdict.subject.path, _evidence(verdict))
    except StoreError as error:
        if not isinstance(error.__cause__, FileNotFoundError) or verdict.subject.path.exists():
            raise


def _evidence(verdict: Verdict) -> dict[str, Any]:
    return {
        "expected": {"sha256": verdict.subject.sha256, "size": verdict.subject.size},
        "actual": {"sha256": verdict.actual},
        "damage": [list(span) for span in verdict.damage],
        "found_by": f"verify at level {verdict.level.value}",
    }


def _event(verdict: Verdict, at: str) -> Event:
    """Return what is recorded of a verdict, at the time when its blob began to be read: later it may have changed."""
    sha256 = verdict.subject.sha256
    detail = {"sha256": sha256, "level": verdict.level.value, "verdict": verdict.status.value}
    if verdict.transient is not None:
        detail["transient"] = verdict.transient
    return Event("verified", f"sha256:{sha256}", detail, at)
