"""One request: the host's leave, the reply, and the record of what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import ImpostorError, SourceError
from mirror.stopping import TransferStopped, abortable
from mirror.transfer.receipt import Attempt
from mirror.wire import redact

if TYPE_CHECKING:
    from types import TracebackType

    from mirror.sources.reply import Reply
    from mirror.transfer.course import Course
    from mirror.transfer.policy import Policy
    from mirror.wire import Validator

#: Seconds that one buffer is filled for at the most; then what is there gets written.
_FILL = 0.05


class Tap:
    """An open reply whose bytes are counted, held to the rate, and gathered into whole buffers.

    Attributes:
        reply: The reply.
        count: Bytes that came from it.
        cancelled: Whether it was ended from our side.
    """

    def __init__(self, reply: Reply, policy: Policy) -> None:
        self.reply = reply
        self.count = 0
        self.cancelled = False
        self._policy = policy
        self._error: SourceError | None = None

    def fill(self, buffer: memoryview) -> int:
        """Read into ``buffer`` until it is full, a moment has passed or the body ends; 0 at its end.

        A failure after some bytes is kept until they have been written.

        Raises:
            SourceError: As ``Reply.readinto``.
        """
        if self._error is not None:
            raise self._error
        rate = self._policy.rate
        if rate is not None:
            buffer = buffer[: rate.grain]
        filled = self.reply.readinto(buffer)
        until = self._policy.clock() + _FILL
        try:
            while 0 < filled < len(buffer) and self._policy.clock() < until:
                more = self.reply.readinto(buffer[filled:])
                if not more:
                    break
                filled += more
        except SourceError as error:
            self._error = error
        self.count += filled
        if rate is not None:
            rate.take(filled)
        return filled

    def cancel(self) -> None:
        """End the reply from another thread."""
        self.cancelled = True
        self.reply.abort()


class Wanted(NamedTuple):
    """Which bytes are asked for; see ``Course.ask``."""

    start: int
    stop: int | None
    validator: Validator | None
    size: int | None


class Request:
    """One request of a course: a context manager that gives a ``Tap``; see ``Course.ask``.

    A class, since every small file makes one: a generator takes twice as long.
    """

    def __init__(self, course: Course, wanted: Wanted, *, granted: bool) -> None:
        self._course = course
        self._wanted = wanted
        self._granted = granted
        self._tap: Tap | None = None

    def __enter__(self) -> Tap:
        course, policy = self._course, self._course.policy
        course.check_stop()
        self._url, self._host = course.url, course.host
        self._at, self._began = policy.now(), policy.clock()
        if not self._granted:
            course.enter(self._host)
        try:
            self._opened = course.open(self._wanted)
            reply = self._opened.__enter__()
            self._stopping = abortable(course.stop, reply.abort)
            self._stopping.__enter__()
        except BaseException as error:
            self._finish(error)
            raise
        self._tap = Tap(reply, policy)
        return self._tap

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.__exit__()
        self._opened.__exit__(kind, error, trace)
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        """Give the host's leave back, count, and record what failed; TransferStopped for an end from our side."""
        course, tap = self._course, self._tap
        if error is None:
            course.policy.hosts.answered(self._host)
        if not self._granted:
            course.policy.hosts.leave(self._host)
        if tap is not None:
            course.add_bytes(tap.count)
        if isinstance(error, (SourceError, ImpostorError)):
            if course.stop.is_set() or (tap is not None and tap.cancelled):
                raise TransferStopped from error
            course.note(self._attempt(error, tap.count if tap is not None else 0))

    def _attempt(self, error: SourceError | ImpostorError, came: int) -> Attempt:
        status = error.status if isinstance(error, SourceError) else 200
        seconds = round(self._course.policy.clock() - self._began, 3)
        at, url, start = self._at.isoformat(), redact(self._url), self._wanted.start
        return Attempt(at, url, status, start, came, type(error).__name__, str(error), seconds)
