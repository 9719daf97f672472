"""The ring: few buffers, filled from the socket, written, hashed, and used again."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

#: One buffer: reads of the socket and writes of the file are of this size, large enough that the calls
#: themselves cost little, and small enough that the whole ring stays in a core's cache: with twice as much,
#: the system takes twice as long to receive and to write (440 MB, 2 MiB of L2, 2026).
BUFFER = 1 << 18
#: Buffers of the ring: enough that a short pause of one side does not stop the other. A transfer
#: always gets the fewer; the others are shared, so that many transfers stay small together.
RING = 8
_OWN = 2
#: Buffers that all transfers of a pull have beyond their own two.
SPARE = 32


class Ring:
    """The buffers of one transfer, made when first needed.

    Args:
        spare: Counts the buffers that transfers share.
    """

    def __init__(self, spare: threading.Semaphore) -> None:
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._spare = spare
        self._made = 0

    def take(self, *, wait: float) -> memoryview | None:
        """Return a buffer, or None when all are in use for ``wait`` seconds."""
        try:
            return self._free.get_nowait()
        except Empty:
            if self._made < _OWN or (self._made < RING and self._spare.acquire(blocking=False)):
                self._made += 1
                return memoryview(bytearray(BUFFER))
        try:
            return self._free.get(timeout=wait)
        except Empty:
            return None

    def put(self, buffer: memoryview) -> None:
        """Take back a buffer that nobody uses any more."""
        self._free.put(buffer)

    def close(self) -> None:
        """Let other transfers have what is shared; may be called again."""
        if self._made > _OWN:
            self._spare.release(self._made - _OWN)
        self._made = 0


class Filled:
    """A buffer that every lane hashes; the last one gives it back.

    Attributes:
        view: The bytes in it.
    """

    def __init__(self, buffer: memoryview, count: int, pool: Ring, lanes: int) -> None:
        self.view = buffer[:count]
        self._buffer = buffer
        self._pool = pool
        self._left = lanes
        self._lock = threading.Lock()

    def done(self) -> None:
        """Note that one lane has hashed it."""
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._pool.put(self._buffer)
