"""One file under way: its requests, what failed, the pauses in between.

Small files, large ones and their further connections all ask through here, so that
limits, a stop, and the record of every failure hold for each of them alike.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mirror.errors import ImpostorError, RateLimitedError, SourceError
from mirror.stopping import TransferStopped, abortable
from mirror.transfer.events import Waiting
from mirror.transfer.receipt import Attempt
from mirror.transfer.retry import Tries, after_failure, final_error
from mirror.wire import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mirror.errors import MirrorError
    from mirror.model import RemoteFile
    from mirror.sources.opener import Openers
    from mirror.sources.reply import Reply
    from mirror.transfer.dispute import Examine
    from mirror.transfer.events import Watch
    from mirror.transfer.policy import Policy
    from mirror.wire import Validator

#: Seconds that one buffer is filled for at the most; then what is there gets written.
_FILL = 0.05
#: A sign of life during a long pause, in seconds.
_BEAT = 10.0


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


class Course:
    """What is known of one transfer besides its bytes.

    Args:
        file: What is fetched.
        openers: Open its addresses.
        policy: How patient and how polite.
        watch: Is told how it goes.
        stop: Ends it.
        examine: Looks inside bytes that fulfil every claim; None trusts them.

    Attributes:
        attempts: Every request that failed.
        wire_bytes: Body bytes that came.
    """

    def __init__(
        self,
        file: RemoteFile,
        openers: Openers,
        policy: Policy,
        watch: Watch,
        stop: threading.Event,
        examine: Examine | None = None,
    ) -> None:
        self.file = file
        self.examine = examine
        self.policy = policy
        self.watch = watch
        self.stop = stop
        self.attempts: list[Attempt] = []
        self.wire_bytes = 0
        self._openers = openers
        self._began = policy.clock()
        self._tries = Tries()
        self._errors: list[MirrorError] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address to ask now.

        Raises:
            SourceError: The file has no address.
        """
        if not self.file.urls:
            raise SourceError(f"{self.file}: no address is known")
        return self.file.urls[self._tries.url]

    def prefer(self, wanted: Callable[[str], bool]) -> None:
        """Ask first the first address that is ``wanted``; without one, the order stays."""
        index = next((index for index, url in enumerate(self.file.urls) if wanted(url)), 0)
        self._tries = Tries(url=index)

    @property
    def host(self) -> str:
        """The host that limits go by."""
        return urlsplit(self.url).netloc

    @property
    def seconds(self) -> float:
        """Wall time since the beginning."""
        return self.policy.clock() - self._began

    def check_stop(self) -> None:
        """Raise ``TransferStopped`` when that is wanted."""
        if self.stop.is_set():
            raise TransferStopped

    @contextmanager
    def ask(
        self,
        *,
        start: int = 0,
        stop: int | None = None,
        validator: Validator | None = None,
        size: int | None = None,
        granted: bool = False,
    ) -> Iterator[Tap]:
        """Open the present address; whatever fails in the block is recorded and raised again.

        Args:
            start: First byte wanted.
            stop: Byte after the last one wanted; None is the end of the file.
            validator: Of the version whose bytes we hold.
            size: Bytes of the whole file, where promised.
            granted: Whether the host's leave was got before.

        Raises:
            TransferStopped: A stop was wanted before or meanwhile, or the tap was cancelled.
            ImpostorError: Another thing comes than the file.
            SourceError: Anything else that the source does.
        """
        self.check_stop()
        url, host = self.url, self.host
        at, began = self.policy.now(), self.policy.clock()
        tap: Tap | None = None
        if not granted:
            self._enter(host)
        try:
            with (
                self._openers.open(url, start=start, stop=stop, validator=validator, size=size) as reply,
                abortable(self.stop, reply.abort),
            ):
                tap = Tap(reply, self.policy)
                yield tap
            self.policy.hosts.answered(host)
        except (SourceError, ImpostorError) as error:
            if self.stop.is_set() or (tap is not None and tap.cancelled):
                raise TransferStopped from error
            status = error.status if isinstance(error, SourceError) else 200
            seconds = round(self.policy.clock() - began, 3)
            name, came = type(error).__name__, tap.count if tap is not None else 0
            self.note(Attempt(at.isoformat(), redact(url), status, start, came, name, str(error), seconds))
            raise
        finally:
            if not granted:
                self.policy.hosts.leave(host)
            if tap is not None:
                self._count(tap.count)

    def note(self, attempt: Attempt) -> None:
        """Keep the record of something that failed."""
        with self._lock:
            self.attempts.append(attempt)

    def note_mismatch(self, came: str, why: str, count: int) -> None:
        """Keep the record of whole bytes that are not the ones that were claimed."""
        at = self.policy.now().isoformat()
        message = f"got {came}, but {why}"
        self.note(Attempt(at, redact(self.url), None, 0, count, "DigestMismatch", message, round(self.seconds, 3)))

    def again(
        self, error: SourceError | ImpostorError, *, progressed: bool, beat: Callable[[], None] | None = None
    ) -> None:
        """Pause and choose the address to ask next.

        Args:
            error: Why the last request failed.
            progressed: Whether it brought bytes that nobody had before.
            beat: Called every few seconds of a long pause.

        Raises:
            TransferStopped: A stop was wanted.
            MirrorError: The error that says most, when there is nothing left to try.
        """
        if progressed:
            self._errors.clear()
        self._errors.append(error)
        host = self.host
        step = after_failure(
            self._tries,
            error,
            progressed=progressed,
            urls=len(self.file.urls),
            policy=self.policy,
            draw=self.policy.random(),
        )
        if isinstance(error, RateLimitedError):
            self.policy.hosts.complained(host, min(error.retry_after, self.policy.retry_after_cap))
        if step is None:
            raise final_error(self._errors)
        self._tries = step.tries
        self._pause(step.pause, str(error), beat)

    def _pause(self, seconds: float, why: str, beat: Callable[[], None] | None) -> None:
        if seconds > 0:
            self.watch(Waiting(self.file, seconds, why))
        while seconds > 0 and not self.stop.is_set():
            self.policy.sleep(min(seconds, _BEAT), self.stop)
            seconds -= _BEAT
            if beat is not None:
                beat()
        self.check_stop()

    def _enter(self, host: str) -> None:
        quiet = self.policy.hosts.quiet(host)
        if quiet > 0:
            self.watch(Waiting(self.file, quiet, f"{host} wants to be left alone"))
        self.policy.hosts.wait(host, self.stop)

    def _count(self, count: int) -> None:
        with self._lock:
            self.wire_bytes += count
