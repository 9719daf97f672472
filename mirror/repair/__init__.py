"""Mend what was found bad: of a large blob, fetch only the blocks that are wrong.

The ledger has the CRC-32 of every block of a large blob. Those blocks of its quarantined
copies that still have theirs are put into a partial; a transfer like any other fetches
the rest, and judges the whole by its sha256 before it gets its name. So a repair that was
killed goes on where it was, and the CRCs only save bytes: they are never believed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import BusyError, MirrorError, StoreError
from mirror.recheck import recheck
from mirror.repair.bad import Task, suspects, tasks
from mirror.repair.salvage import KEPT, salvage
from mirror.stopping import TransferStopped
from mirror.sync import rows
from mirror.sync.outcome import Outcome, Planned, Problem
from mirror.sync.patience import policy_of
from mirror.sync.peers import tell
from mirror.sync.pool import Pool
from mirror.sync.recorder import Entry, Recorder
from mirror.transfer import transfer
from mirror.verify import Status, VerifyLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mirror.model import RemoteFile
    from mirror.stopping import Stop
    from mirror.sync.outcome import Request
    from mirror.sync.parts import Parts
    from mirror.transfer.events import Progress

    Watch = Callable[[Progress | Planned], None]

_BY_HAND = "no source offers these bytes: who fetched them by hand must fetch them again"


class Mended(NamedTuple):
    """One blob that is whole again.

    Attributes:
        file: One of the files that it is.
        sha256: Its name.
        size: Bytes it has.
        kept: Those that a quarantined copy still had.
        fetched: Those that came over the wire, failed requests included.
    """

    file: RemoteFile
    sha256: str
    size: int
    kept: int
    fetched: int


@dataclass(slots=True)
class Repaired(Outcome):
    """What came of a repair; ``adopted`` counts blobs that turned out to be intact.

    Attributes:
        mended: What is whole again.
    """

    mended: list[Mended] = field(default_factory=list)


def repair(parts: Parts, request: Request, *, watch: Watch, stop: Stop) -> Repaired:
    """Fetch again what was found bad, or is found to be gone, of the files of ``request.artifacts``.

    Args:
        parts: The rooms to work with.
        request: Whose files, and how patiently to fetch.
        watch: Told of progress, from several threads.
        stop: Ends everything soon when it is set; partials are kept.

    Returns:
        What is whole again, and every problem; a single file's problem is never raised.

    Raises:
        StoreError: The store cannot be written.
        LedgerError: The ledger cannot be read or written.
    """
    outcome = Repaired()
    with parts.reader() as reader:
        if reader is None:
            return outcome
        parts.store.check_room(0)
        if wanted := suspects(reader, parts.store, request):
            found = recheck(reader, parts.store, wanted, VerifyLevel.DIGEST, parts.ledger, stop)
            for one in found:
                outcome.adopted += one.verdict.ok
                if one.verdict.status is Status.UNREADABLE:
                    error = StoreError(f"{one.verdict.subject.path}: {one.verdict.why}")
                    outcome.problems.append(Problem(one.files[0], error))
        todo = list(tasks(parts, reader, request))
    if todo and not stop.is_set():
        needed = sum(task.size for task in todo)
        parts.store.check_room(needed)
        watch(Planned(len(todo), needed))
        _mend(parts, request, todo, outcome, watch, stop)
        tell(parts, outcome.notes)
    return outcome


def _mend(parts: Parts, request: Request, tasks: Iterable[Task], outcome: Repaired, watch: Watch, stop: Stop) -> None:
    with Recorder(parts.store, parts.ledger, stop=stop) as recorder:
        Pool(_Work(parts, request, recorder, outcome, watch, stop).do, jobs=request.jobs, stop=stop).run(tasks)


class _Work:
    """What the threads of one repair share."""

    def __init__(
        self, parts: Parts, request: Request, recorder: Recorder, outcome: Repaired, watch: Watch, stop: Stop
    ) -> None:
        self._parts = parts
        self._policy = policy_of(request)
        self._recorder = recorder
        self._outcome = outcome
        self._watch = watch
        self._stop = stop
        self._lock = threading.Lock()

    def do(self, task: Task) -> None:
        """Mend one blob; a problem of its own is noted, one of the store or the ledger raised."""
        try:
            self._mend(task)
        except TransferStopped:
            return
        except StoreError as error:
            if not isinstance(error, BusyError):
                self._stop.set()
                raise
            self._note(task.file, error)
        except MirrorError as error:
            if not task.file.urls:
                error.hint = _BY_HAND
            self._recorder.put(Entry(rows.failed(task.file, error)))
            self._note(task.file, error)

    def _mend(self, task: Task) -> None:
        parts, file = self._parts, task.file
        salvage(parts.store, task, self._stop)
        receipt = transfer(file, parts.openers, parts.store, policy=self._policy, watch=self._watch, stop=self._stop)
        kept = receipt.partial.journal.get(KEPT, 0) if receipt.partial is not None else 0
        event = rows.fetched(receipt)
        event = replace(event, detail={**event.detail, "how": "repaired", "kept": kept})
        self._recorder.put(Entry(event, receipt.sha256, receipt.data, receipt.partial))
        with self._lock:
            self._outcome.mended.append(Mended(file, receipt.sha256, receipt.size, kept, receipt.wire_bytes))
            self._outcome.stored += 1
            self._outcome.wire_bytes += receipt.wire_bytes

    def _note(self, file: RemoteFile, error: MirrorError) -> None:
        with self._lock:
            self._outcome.problems.append(Problem(str(file), error))
