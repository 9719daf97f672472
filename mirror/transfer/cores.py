"""Which of the large files that come at once may have threads of their own for hashing."""

from __future__ import annotations

import os
import threading


class Cores:
    """Counts the files being poured; used by all transfers of a pull.

    A thread that hashes needs a core that would idle. Where other files keep the cores busy, the
    thread that writes hashes as well, while the bytes are still in its cache.

    Args:
        count: Cores there are; by default as many as this process may use.
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = _usable() if count is None else count
        self._files = 0
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Count one file more; return whether it may have threads."""
        with self._lock:
            self._files += 1
            return 2 * self._files <= self._count

    def leave(self) -> None:
        """Count one file less."""
        with self._lock:
            self._files -= 1


def _usable() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
