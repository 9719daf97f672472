"""Carry out a plan: many transfers at once, every outcome recorded.

A worker takes one task, transfers it, and gives the receipt to the recorder. Files
that promise the very same bytes are fetched once and judged each by its own claims.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, TypeVar

from mirror.errors import BusyError, IntegrityError, MirrorError, StoreError
from mirror.model import Level
from mirror.plan import Adoption, Plan, Task
from mirror.stopping import TransferStopped
from mirror.sync import rows
from mirror.sync.adopt import Held, adopt
from mirror.sync.members import Insides, refuse_lookalike
from mirror.sync.outcome import Outcome, Planned, Problem, Request
from mirror.sync.patience import policy_of
from mirror.sync.pool import Pool
from mirror.sync.recorder import Entry, Recorder
from mirror.transfer import transfer
from mirror.transfer.events import Done, Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.ledger import Reader
    from mirror.model import RemoteFile
    from mirror.stopping import Stop
    from mirror.sync.parts import Parts
    from mirror.sync.peers import Peer
    from mirror.transfer.events import Progress

T = TypeVar("T")

#: Seconds between two looks at a file that another process is fetching.
_BUSY_PAUSE = 0.3
#: Bytes a file, on the average, up to which a pull takes the interpreter's time, which threads can only share.
_SMALL = 1 << 20


def fetch(
    parts: Parts,
    request: Request,
    plan: Plan,
    outcome: Outcome,
    *,
    since: int,
    peer: Peer | None,
    watch: Callable[[Progress | Planned], None],
    stop: Stop,
) -> None:
    """Fetch and adopt everything of ``plan``; what happens is added to ``outcome`` and to the ledger.

    Args:
        parts: The rooms to work with.
        request: What is asked for.
        plan: What is to be done.
        outcome: What came so far.
        since: Number of the last event that the plan knows of; other processes may record more meanwhile.
        peer: Asked first, if there is one.
        watch: Told of progress, from several threads.
        stop: Ends everything soon when it is set.

    Raises:
        StoreError: The store cannot be written; everything has come to a halt.
        LedgerError: Likewise, the ledger.
    """
    with Recorder(parts.store, parts.ledger, stop=stop) as recorder:
        try:
            for event in outcome.events:
                recorder.put(Entry(event))
            tasks: list[Task | Adoption] = [*plan.adopt, *plan.fetch]
            first = 2 if plan.bytes_to_fetch > _SMALL * len(plan.fetch) else 1
            with _Ledger(parts) as ledger:
                work = _Work(parts, request, recorder, ledger, outcome, since, peer, watch, stop)
                Pool(work.do, jobs=request.jobs, stop=stop, first=first).run(tasks)
        finally:
            recorder.put(Entry(rows.pulled(outcome)))


class _Ledger:
    """One connection for the questions of all workers: opening one takes as long as fetching a small file."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open = ExitStack()
        self._reader: Reader | None = None
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:  # a worker that is late, after a stop, is not cut off in the middle of an answer
            self._closed = True
            self._open.close()

    def ask(self, question: Callable[[Reader], T]) -> T | None:
        """Return the ledger's answer, as things stand now; None when there is no ledger yet."""
        with self._lock:
            if self._closed:
                raise TransferStopped
            if self._reader is None:
                self._reader = self._open.enter_context(self._parts.reader())
            return question(self._reader) if self._reader is not None else None


class _Work:
    """What the workers of one pull share."""

    def __init__(
        self,
        parts: Parts,
        request: Request,
        recorder: Recorder,
        ledger: _Ledger,
        outcome: Outcome,
        since: int,
        peer: Peer | None,
        watch: Callable[[Progress | Planned], None],
        stop: Stop,
    ) -> None:
        self._parts = parts
        self._ledger = ledger
        self._policy = policy_of(request)
        self._look_inside = request.look_inside
        self._artifacts = {artifact.name: artifact for artifact in request.artifacts}
        self._refused = {artifact.name: parts.refused(artifact.model) for artifact in request.artifacts}
        self._recorder = recorder
        self._outcome = outcome
        self._since = since
        self._peer = peer
        self._watch = watch
        self._stop = stop
        self._lock = threading.Lock()

    def do(self, task: Task | Adoption) -> None:
        """Do one task; a problem of its file is noted, one of the store or the ledger raised."""
        try:
            if isinstance(task, Adoption):
                self._adopt(task.file, self._held(task.sha256))
            else:
                self._fetch(task)
        except TransferStopped:
            return
        except StoreError:
            self._stop.set()
            raise

    def _fetch(self, task: Task) -> None:
        try:
            held = self._bring(task.file)
        except StoreError:
            raise
        except MirrorError as error:
            self._note(task.file, error)
            # Addresses are shared among twins, pins are not: another twin may well accept these bytes.
            for twin in task.twins:
                if isinstance(error, IntegrityError):
                    self._fetch(Task(twin))
                else:
                    self._note(twin, error)
            return
        for twin in task.twins:
            self._adopt(twin, held)

    def _bring(self, file: RemoteFile) -> Held:
        """Get one file's bytes into the store, judged and on their way to the ledger; a peer is asked first."""
        offered = self._peer.promise(file) if self._peer is not None else None
        if offered is None:
            return self._transfer(file, self._watch)
        try:
            if offered.sha256 and self._parts.store.find(offered.sha256):
                return self._record_held(offered, self._held(offered.sha256))
            return self._transfer(offered, self._watch_peer)
        except IntegrityError as error:
            self._recorder.put(Entry(rows.failed(offered, error)))
            with self._lock:
                self._outcome.notes.append(f"{file}: what the peer gives is refused; the publisher is asked. {error}")
        return self._transfer(file, self._watch)

    def _watch_peer(self, event: Progress | Planned) -> None:
        """Tell of a transfer from a peer, but for its failure: that is not the end."""
        if not isinstance(event, Failed) or not isinstance(event.error, IntegrityError):
            self._watch(event)

    def _transfer(self, file: RemoteFile, watch: Callable[[Progress | Planned], None]) -> Held:
        """Fetch one file from its addresses, or wait for another process that is at it."""
        parts, insides = self._parts, self._insides(file)
        while True:
            # A look at the ledger takes as long as a small file, and is nothing beside a large one.
            if (file.size is None or file.size > self._policy.small) and (held := self._brought(file)) is not None:
                return held
            try:
                receipt = transfer(
                    file,
                    parts.openers,
                    parts.store,
                    policy=self._policy,
                    watch=watch,
                    stop=self._stop,
                    examine=insides.examine if insides is not None else None,
                )
            except BusyError:
                # Another process is at it. It may end well, or die: then its partial is ours.
                if self._stop.wait(_BUSY_PAUSE):
                    raise TransferStopped from None
                continue
            if self._peer is not None:
                receipt = self._peer.own(receipt)
            entries = [Entry(rows.fetched(receipt), receipt.sha256, receipt.data, receipt.partial)]
            if insides is not None and insides.members:
                entries.append(Entry(rows.members(receipt.sha256, insides.members)))
            self._recorder.put(*entries)
            self._count(file, receipt.evidence.level, wire_bytes=receipt.wire_bytes)
            path = None if receipt.data is not None else parts.store.blob_path(receipt.sha256)
            return Held(receipt.sha256, path, receipt.data, receipt.digests)

    def _insides(self, file: RemoteFile) -> Insides | None:
        """Return what looks at the bytes of ``file``; None when there is nothing to look for."""
        artifact, refused = self._artifacts[file.artifact], self._refused[file.artifact]
        return Insides.of(artifact, file.path, refused, inside=self._look_inside)

    def _held(self, sha256: str) -> Held:
        """Return a blob of the store, with the digests that the ledger knows of it."""
        path = self._parts.store.blob_path(sha256)
        row = self._ledger.ask(lambda reader: reader.blob(sha256))
        return Held(sha256, path, digests=row.digests) if row is not None else Held(sha256, path)

    def _brought(self, file: RemoteFile) -> Held | None:
        """Return what another process has brought since the plan was made, if it is ``file``."""
        state = self._ledger.ask(lambda reader: reader.file(file.artifact, file.path))
        if state is not None and state.state == "held" and state.event > self._since:
            sha256, level = state.sha256, state.level
            if sha256 and level and self._parts.store.find(sha256):
                # Its row stays: that process saw the reply, and what the publisher said in it.
                held = self._held(sha256)
                self._count(file, Level(level), adopted=True)
                self._watch(Done(file, adopt(file, held).size))
                return held
        if file.sha256 and self._parts.store.find(file.sha256):
            return self._record_held(file, self._held(file.sha256))
        return None

    def _adopt(self, file: RemoteFile, held: Held) -> None:
        """Record that ``file`` has bytes that are here already, if its own claims allow."""
        try:
            self._record_held(file, held)
        except StoreError:
            raise
        except MirrorError as error:
            self._note(file, error)
            self._watch(Failed(file, error))

    def _record_held(self, file: RemoteFile, held: Held) -> Held:
        refuse_lookalike(file.path, held.sha256, self._refused[file.artifact])
        judged = adopt(file, held)
        self._recorder.put(Entry(rows.adopted(judged)))
        self._count(file, judged.evidence.level, adopted=True)
        self._watch(Done(file, judged.size))
        return held

    def _count(self, file: RemoteFile, level: Level, *, wire_bytes: int = 0, adopted: bool = False) -> None:
        with self._lock:
            self._outcome.levels[level.value] = self._outcome.levels.get(level.value, 0) + 1
            self._outcome.came.add(file.artifact)
            self._outcome.wire_bytes += wire_bytes
            self._outcome.stored += not adopted
            self._outcome.adopted += adopted

    def _note(self, file: RemoteFile, error: MirrorError) -> None:
        self._recorder.put(Entry(rows.failed(file, error)))
        with self._lock:
            self._outcome.problems.append(Problem(str(file), error))
