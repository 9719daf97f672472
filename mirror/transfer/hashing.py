"""Digests of a file while it is being written, beside the thread that reads the network.

Two lanes run at the same time: the sha256 with the block CRCs, which cost a tenth of it,
and, where the publisher gives other digests, those. Buffers come from a ring of few, are
filled from the socket, written, hashed by every lane and used again: no byte is copied for
hashing. Bytes that did not come in order, or were there before, are read back from the page
cache.

A lane takes its work in the order in which it was given, so that what is hashed is
always the file from its beginning. Short files need no threads, and where other files
keep every core busy, the thread that writes hashes as well.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from mirror.digests import BLOCKS_FROM, MultiDigest
from mirror.errors import StoreError
from mirror.transfer.cores import Cores
from mirror.transfer.ring import BUFFER, RING, Filled, Ring

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mirror.model import Digest

#: From here on threads are worth their start.
THREADS_FROM = 4 << 20
#: What a lane reads back in one piece of work, so that both lanes do it at the same time.
_READ_BACK = 8 << 20


class Hashing:
    """The digests of one file, from its first byte on.

    One thread uses it, the one that pours the beginning of the file.

    Args:
        path: The file being written; read where bytes did not pass here in order.
        algorithms: What to compute; ``git-sha1`` only with a size.
        size: Bytes of the whole file, where known.
        spare: Counts the buffers that transfers share; None is no limit.
        cores: Says whether there may be threads; None is yes.
    """

    def __init__(
        self,
        path: Path,
        algorithms: Iterable[str],
        *,
        size: int | None,
        spare: threading.Semaphore | None = None,
        cores: Cores | None = None,
    ) -> None:
        wanted = {name for name in algorithms if name != "git-sha1" or size is not None}
        blocks = size is None or size > BLOCKS_FROM
        others = wanted - {"sha256"}
        self._pool = Ring(spare or threading.Semaphore(RING))
        self._reads = _Outstanding()
        self._lanes = [_Lane(path, MultiDigest({"sha256"}, size=size, blocks=blocks), self._reads)]
        if others:
            self._lanes.append(_Lane(path, MultiDigest(others, size=size), self._reads))
        self._queued = 0
        self._size = size
        self._lent: memoryview | None = None
        self._cores = cores or Cores(2)
        self._threads: bool | None = None

    def buffer(self) -> memoryview:
        """Return a buffer that nobody uses; waits for one when hashing is slower than the network.

        One that was not given back is returned again.

        Raises:
            StoreError: The bytes could not be read back.
        """
        while self._lent is None:
            self._lent = self._pool.take(wait=0.5)
            self._check()
        return self._lent

    def give(self, buffer: memoryview, offset: int, count: int) -> None:
        """Hash the buffer's first ``count`` bytes, which are written at ``offset`` already; it is ours again.

        Bytes that are not next in turn are left to ``follow``.
        """
        self._lent = None
        if offset != self._queued or self._reads.any():
            self._pool.put(buffer)
            return
        self._queued += count
        if (self._size or self._queued) > THREADS_FROM:
            self._start()
        work = Filled(buffer, count, self._pool, len(self._lanes))
        for lane in self._lanes:
            lane.do(work)

    def follow(self, frontier: int, *, last: bool = False) -> None:
        """Read back and hash what is whole up to ``frontier`` and did not pass as a buffer.

        Args:
            frontier: Length of the file's prefix that is written.
            last: Whether nothing more comes, so that it must be done even while other work waits.
        """
        if frontier <= self._queued or (self._reads.any() and not last):
            return
        if frontier - self._queued > THREADS_FROM:
            for lane in self._lanes:
                lane.start()
        for start in range(self._queued, frontier, _READ_BACK):
            work = _Written(start, min(start + _READ_BACK, frontier))
            for lane in self._lanes:
                self._reads.add()
                lane.do(work)
        self._queued = frontier

    def _start(self) -> None:
        """Have threads from now on, if there is a core for them."""
        if self._threads is None:
            self._threads = self._cores.enter()
        if self._threads:
            for lane in self._lanes:
                lane.start()

    def finish(self, size: int) -> tuple[Mapping[str, Digest], tuple[int, ...]]:
        """Return digests and block CRCs of the whole file of ``size`` bytes, and end the threads.

        Raises:
            StoreError: The bytes could not be read back.
        """
        self.follow(size, last=True)
        self.close()
        self._check()
        digests: dict[str, Digest] = {}
        blocks: tuple[int, ...] = ()
        for lane in self._lanes:
            digests |= lane.digest.result()
            blocks = blocks or lane.digest.block_crcs()
        return digests, blocks if size > BLOCKS_FROM else ()

    def close(self) -> None:
        """End the threads once their work is done; may be called again."""
        for lane in self._lanes:
            lane.end()
        self._pool.close()
        if self._threads is not None:
            self._cores.leave()
            self._threads = None

    def abandon(self) -> None:
        """End the threads without the work that waits: the bytes do not count."""
        for lane in self._lanes:
            lane.skip = True
        self.close()

    def _check(self) -> None:
        for lane in self._lanes:
            if lane.error is not None:
                raise lane.error
            if lane.broken:
                raise RuntimeError("a hashing thread died; its traceback is on stderr")


class _Outstanding:
    """How many pieces of work that read back are not done."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self._count += 1

    def done(self) -> None:
        with self._lock:
            self._count -= 1

    def any(self) -> bool:
        return self._count > 0


class _Written(NamedTuple):
    """A span of the file that a lane reads for itself."""

    start: int
    stop: int


class _Lane:
    """Some of the digests, computed in one thread, or in the caller's before ``start``."""

    def __init__(self, path: Path, digest: MultiDigest, reads: _Outstanding) -> None:
        self.digest = digest
        self.error: StoreError | None = None
        self.broken = False
        self.skip = False
        self._path = path
        self._reads = reads
        self._work: SimpleQueue[Filled | _Written | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._own: memoryview | None = None

    def start(self) -> None:
        """Work in a thread from now on."""
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._run, name="hash", daemon=True)
            self._thread.start()

    def do(self, work: Filled | _Written) -> None:
        """Do ``work`` now, or in turn when there is a thread."""
        if self._thread is None:
            self._step(work)
        else:
            self._work.put(work)

    def end(self) -> None:
        """Wait until the work is done."""
        self._ended = True
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        ended = False
        try:
            while (work := self._work.get()) is not None:
                self._step(work)
            ended = True
        finally:
            # A bug above ends the thread; the one that pours finds out instead of waiting for a buffer.
            self.broken = not ended

    def _step(self, work: Filled | _Written) -> None:
        if isinstance(work, Filled):
            if not self.skip:
                self.digest.update(work.view)
            work.done()
            return
        try:
            if not self.skip:
                self._read_back(work)
        except OSError as error:
            self.error = StoreError(f"{self._path}: {error.strerror or error!r}")
            self.skip = True
        finally:
            self._reads.done()

    def _read_back(self, span: _Written) -> None:
        if self._own is None:
            self._own = memoryview(bytearray(BUFFER))
        fd = os.open(self._path, os.O_RDONLY)
        try:
            at = span.start
            while at < span.stop:
                view = self._own[: min(BUFFER, span.stop - at)]
                count = os.preadv(fd, [view], at)
                if not count:
                    raise OSError(f"{at} of {span.stop} bytes are there")
                self.digest.update(view[:count])
                at += count
        finally:
            os.close(fd)
