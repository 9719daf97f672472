"""Which bytes of one file are here, and which connection fetches which of the others.

The file consists of spans; what is here of a span is always its beginning. A run is
one connection's work: the missing rest of one span. Runs never overlap, so that
connections need no other agreement than this.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Cuts are made at multiples of this, so that no page of the file is written twice.
_ALIGNED = 1 << 16
#: The least that is left to each side of a cut through a part that is being fetched. One reader may
#: hold half a MiB that is not noted yet; and a new connection for less would come too late.
LEAST = 2 << 20


@dataclass(slots=True, eq=False)
class Run:
    """The part that one connection fetches.

    Attributes:
        span: Index of its span in the partial.
        next: Offset of the byte that comes next.
        stop: Offset where it ends; None while nobody knows where the file ends.
    """

    span: int
    next: int
    stop: int | None

    @property
    def missing(self) -> int | None:
        """Bytes that are still to come; None while unknown."""
        return None if self.stop is None else self.stop - self.next


class Board:
    """The state of one file; safe to use from many threads.

    Args:
        spans: ``(start, stop, done)`` of each span of the partial.
        size: Bytes of the whole file, where known.
        cut: Cuts a span of the partial in two at an offset and returns the new one's index.

    Attributes:
        arrived: Bytes that came since the board was made.
    """

    def __init__(
        self,
        spans: Iterable[tuple[int, int | None, int]],
        *,
        size: int | None,
        cut: Callable[[int, int], int],
    ) -> None:
        self._starts: dict[int, int] = {}
        self._rests: dict[int, Run] = {}
        for index, (start, stop, done) in enumerate(spans):
            self._starts[index] = start
            self._rests[index] = Run(index, start + done, size if stop is None else stop)
        self._size = size
        self._cut = cut
        self._taken: set[int] = set()
        self._changed = threading.Condition()
        self.arrived = 0

    @property
    def size(self) -> int | None:
        """Bytes of the whole file; None while unknown."""
        return self._size

    @property
    def held(self) -> int:
        """Bytes that are here."""
        with self._changed:
            return sum(rest.next - self._starts[index] for index, rest in self._rests.items())

    @property
    def whole(self) -> bool:
        """Whether every byte is here."""
        return self._size is not None and self.held == self._size

    @property
    def contiguous(self) -> int:
        """Length of the prefix that is here."""
        with self._changed:
            length = 0
            for index in sorted(self._starts, key=self._starts.__getitem__):
                if self._starts[index] > length:
                    break
                length = self._rests[index].next
            return length

    def settle(self, size: int) -> None:
        """Learn the size of a file whose end was unknown until now."""
        with self._changed:
            self._size = size
            for rest in self._rests.values():
                rest.stop = size if rest.stop is None else rest.stop

    def take(self, *, last: bool = False) -> Run | None:
        """Return the first part that nobody fetches, now taken; None when there is none.

        Args:
            last: For a connection beside the first: the last part, so that the first can go on for long
                through what lies behind its own; else half of what another one fetches.
        """
        with self._changed:
            free = [rest for index, rest in self._rests.items() if index not in self._taken and rest.missing != 0]
            run = (max if last else min)(free, key=lambda rest: rest.next, default=None)
            if run is None and last:
                run = self._steal()
            if run is not None:
                self._taken.add(run.span)
            return run

    def split(self, run: Run, pieces: int) -> int:
        """Cut what is left of ``run`` into as many as ``pieces``; it keeps the first, the others are free to take.

        Returns:
            How many there are now.
        """
        with self._changed:
            missing = run.missing
            pieces = min(pieces, (missing or 0) // LEAST)
            if missing is None or pieces < 2:
                return 1
            step = missing // pieces
            # From the end, since what is cut off is always the end of this run's own span.
            for number in range(pieces - 1, 0, -1):
                self._cut_off(run, run.next + number * step)
            self._changed.notify_all()
            return pieces

    def reach(self, run: Run) -> int | None:
        """Return the offset up to which one request may ask: through parts behind ``run`` that are nobody's.

        None is the end of the file, known or not.
        """
        with self._changed:
            stop = run.stop
            while (behind := self._behind(stop)) is not None:
                stop = behind.stop
            return None if stop == self._size else stop

    def follow(self, run: Run, limit: int | None) -> Run | None:
        """Return the part behind a run that is done, now taken, if its connection brings that too.

        Args:
            run: The run, at its end.
            limit: Offset up to which the connection was asked; None for the end of the file.
        """
        with self._changed:
            behind = self._behind(run.stop)
            if behind is None or (limit is not None and behind.next >= limit):
                return None
            self._taken.discard(run.span)
            self._taken.add(behind.span)
            return behind

    def advance(self, run: Run, count: int) -> None:
        """Note that the next ``count`` bytes of ``run`` are written."""
        with self._changed:
            run.next += count
            self.arrived += count

    def leave(self, run: Run) -> None:
        """Give back what ``run`` has not fetched."""
        with self._changed:
            self._taken.discard(run.span)
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until a part becomes free, or so many seconds."""
        with self._changed:
            self._changed.wait(seconds)

    def _behind(self, offset: int | None) -> Run | None:
        """Return the part that begins at ``offset`` if it is empty and nobody's."""
        for index, rest in self._rests.items():
            if self._starts[index] == rest.next == offset and rest.missing and index not in self._taken:
                return rest
        return None

    def _steal(self) -> Run | None:
        running = [self._rests[index] for index in self._taken]
        most = max(running, key=lambda rest: rest.missing or 0, default=None)
        if most is None or (most.missing or 0) < 2 * LEAST:
            return None
        assert most.missing is not None
        return self._cut_off(most, most.next + most.missing // 2)

    def _cut_off(self, run: Run, at: int) -> Run:
        at = at // _ALIGNED * _ALIGNED
        index = self._cut(run.span, at)
        self._starts[index] = at
        rest = self._rests[index] = Run(index, at, run.stop)
        run.stop = at
        return rest
