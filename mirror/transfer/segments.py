"""Further connections for one large file, beside the first.

Each fetches a part of its own and writes it where it belongs; the hashing follows
from the page cache. What goes wrong with one leaves the others and all bytes alone.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mirror.errors import ConnectionDroppedError, ImpostorError, SourceError, StoreError
from mirror.stopping import TransferStopped
from mirror.transfer.events import Advanced

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.sources.reply import Reply
    from mirror.store import Partial
    from mirror.transfer.board import Board, Run
    from mirror.transfer.course import Course
    from mirror.transfer.request import Tap
    from mirror.wire import Validator

#: Bytes that a further connection has in hand until it writes them. What all have, the first one's buffer, and
#: what is written and not noted yet are what a kill costs: less than one block of 1 MiB.
IN_HAND = 32 << 10


class Helpers:
    """The further connections of one transfer; used by the thread of the first.

    Args:
        course: The transfer.
        board: Who fetches what.
        partial: Where bytes are written.
        validator: Of the version whose bytes we hold, if the source gave one.
        check: Called with every reply and its run; raises when it is not of the same file.

    Attributes:
        refused: Whether a connection failed since this was last set to False.
        error: What the store said, where it failed.
        latency: Seconds that the last request took up to its first byte.
    """

    def __init__(
        self,
        course: Course,
        board: Board,
        partial: Partial,
        *,
        validator: Validator | None,
        check: Callable[[Reply, Run], None],
    ) -> None:
        self.refused = False
        self.error: StoreError | None = None
        self.latency = 0.0
        self._course = course
        self._board = board
        self._partial = partial
        self._validator = validator
        self._check = check
        self._helpers: list[_Helper] = []

    @property
    def flowing(self) -> int:
        """Connections that bring bytes."""
        return sum(helper.flowing for helper in self._helpers)

    @property
    def busy(self) -> int:
        """Connections there are, whether they bring bytes yet or not."""
        self._helpers = [helper for helper in self._helpers if helper.thread.is_alive()]
        return len(self._helpers)

    def resize(self, width: int) -> None:
        """Have ``width`` further connections, as far as the host's limit and the work allow."""
        while self.busy > width:
            self._helpers.pop().cancel()
        for _ in range(width - self.busy):
            if not self._course.policy.hosts.enter(self._course.host):
                self.refused = True
                return
            helper = _Helper(self)
            self._helpers.append(helper)
            helper.thread.start()

    def close(self) -> None:
        """End every connection and wait until nobody writes any more."""
        for helper in self._helpers:
            helper.cancel()
        for helper in self._helpers:
            helper.thread.join()
        self._helpers.clear()

    def work(self, helper: _Helper, host: str) -> None:
        """Fetch part after part; the body of a helper's thread."""
        try:
            while not helper.cancelled and (run := self._board.take(last=True)) is not None:
                try:
                    self._fetch(helper, run)
                finally:
                    self._board.leave(run)
        except (SourceError, ImpostorError):
            self.refused = True  # the course has the record
        except StoreError as error:
            self.error = error
        except TransferStopped:
            return
        finally:
            helper.flowing = False
            self._course.policy.hosts.leave(host)

    def _fetch(self, helper: _Helper, run: Run) -> None:
        asked = self._course.policy.clock()
        with self._course.ask(
            start=run.next, stop=run.stop, validator=self._validator, size=self._board.size, granted=True
        ) as tap:
            helper.hold(tap)
            self._check(tap.reply, run)
            while missing := run.missing:
                count = tap.fill(helper.buffer[:missing])
                if not count:
                    raise ConnectionDroppedError(f"{tap.reply.url}: the body ended {missing} B before its range")
                if not helper.flowing:
                    self.latency = self._course.policy.clock() - asked
                    helper.flowing = True
                self._partial.write(run.span, run.next, helper.buffer[:count])
                self._board.advance(run, count)
                self._course.watch(Advanced(self._course.file, count))
                self._course.check_stop()


class _Helper:
    """One further connection and its thread."""

    def __init__(self, helpers: Helpers) -> None:
        host = helpers._course.host  # noqa: SLF001 - one thing in two classes
        self.thread = threading.Thread(target=helpers.work, args=(self, host), name="range", daemon=True)
        self.buffer = memoryview(bytearray(IN_HAND))
        self.flowing = False
        self.cancelled = False
        self._tap: Tap | None = None

    def hold(self, tap: Tap) -> None:
        """Remember the open reply, so that it can be ended."""
        self._tap = tap
        if self.cancelled:
            tap.cancel()

    def cancel(self) -> None:
        """End the connection."""
        self.cancelled = True
        if self._tap is not None:
            self._tap.cancel()
