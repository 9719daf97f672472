"""How many threads are told to end at once, those that wait for a byte included."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TransferStopped(Exception):  # noqa: N818 - nothing went wrong: somebody asked for it
    """A transfer ended because it was told to; its partial is kept."""


class Stop(threading.Event):
    """An event that ends transfers at once, even those that wait for a byte.

    A plain ``threading.Event`` stops them as well, but not before the next byte comes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._aborts: dict[int, Callable[[], None]] = {}

    def set(self) -> None:
        """Set the event and abort every open reply; may be called from a signal handler."""
        super().set()
        for abort in list(self._aborts.values()):
            abort()

    def abort_with(self, abort: Callable[[], None]) -> Callable[[], None]:
        """Call ``abort`` when the event is set; returns what takes that back."""
        key = id(abort)
        self._aborts[key] = abort
        if self.is_set():
            abort()
        return lambda: self._forget(key)

    def _forget(self, key: int) -> None:
        self._aborts.pop(key, None)


class abortable:  # noqa: N801 - reads as what it does: ``with abortable(stop, reply.abort):``
    """Let ``stop`` call ``abort`` while the block runs, if it can.

    A class, since every request enters one: a generator takes three times as long.
    """

    __slots__ = ("_abort", "_forget", "_stop")

    def __init__(self, stop: threading.Event, abort: Callable[[], None]) -> None:
        self._stop = stop
        self._abort = abort
        self._forget: Callable[[], None] | None = None

    def __enter__(self) -> None:
        if isinstance(self._stop, Stop):
            self._forget = self._stop.abort_with(self._abort)

    def __exit__(self, *exc: object) -> None:
        if self._forget is not None:
            self._forget()
