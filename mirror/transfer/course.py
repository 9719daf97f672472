"""One file under way: its requests, what failed, the pauses in between.

Small files, large ones and their further connections all ask through here, so that
limits, a stop, and the record of every failure hold for each of them alike.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mirror.errors import ConnectionDroppedError, ImpostorError, RateLimitedError, SourceError
from mirror.stopping import TransferStopped
from mirror.transfer.events import Waiting
from mirror.transfer.receipt import Attempt
from mirror.transfer.request import Request, Wanted
from mirror.transfer.retry import Tries, after_failure, final_error
from mirror.wire import host, redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from mirror.errors import MirrorError
    from mirror.model import RemoteFile
    from mirror.sources.opener import Openers
    from mirror.sources.reply import Reply
    from mirror.transfer.dispute import Examine
    from mirror.transfer.events import Watch
    from mirror.transfer.policy import Policy
    from mirror.wire import Validator

#: A sign of life during a long pause, in seconds.
_BEAT = 10.0


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
        return host(self.url)

    @property
    def seconds(self) -> float:
        """Wall time since the beginning."""
        return self.policy.clock() - self._began

    def check_stop(self) -> None:
        """Raise ``TransferStopped`` when that is wanted."""
        if self.stop.is_set():
            raise TransferStopped

    def ask(
        self,
        *,
        start: int = 0,
        stop: int | None = None,
        validator: Validator | None = None,
        size: int | None = None,
        granted: bool = False,
    ) -> Request:
        """Return a request to the present address; entering it opens the reply.

        Whatever fails in the block is recorded and raised again.

        Args:
            start: First byte wanted.
            stop: Byte after the last one wanted; None is the end of the file.
            validator: Of the version whose bytes we hold.
            size: Bytes of the whole file, where promised.
            granted: Whether the host's leave was got before.

        Raises:
            TransferStopped: In the block: a stop was wanted before or meanwhile, or the tap was cancelled.
            ImpostorError: In the block: another thing comes than the file.
            SourceError: In the block: anything else that the source does.
        """
        wanted = Wanted(start, stop, validator, size)
        return Request(self, wanted, granted=granted)

    def open(self, wanted: Wanted) -> AbstractContextManager[Reply]:
        """Ask the present address; see ``Openers.open`` for the errors."""
        start, stop, validator, size = wanted
        return self._openers.open(self.url, start=start, stop=stop, validator=validator, size=size)

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
        at, hosts = self.host, self.policy.hosts
        if progressed or not isinstance(error, ConnectionDroppedError):
            hosts.refused(at)
        step = after_failure(
            self._tries,
            error,
            progressed=progressed,
            urls=len(self.file.urls),
            policy=self.policy,
            draw=self.policy.random(),
            mute=hosts.is_mute(at),
        )
        if isinstance(error, RateLimitedError):
            hosts.complained(at, min(error.retry_after, self.policy.retry_after_cap))
        if step is None:
            hosts.give_up(at)
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

    def enter(self, host: str) -> None:
        """Get the host's leave for one more request; TransferStopped when a stop is wanted meanwhile."""
        if self.policy.hosts.enter(host):
            return
        quiet = self.policy.hosts.quiet(host)
        if quiet > 0:
            self.watch(Waiting(self.file, quiet, f"{host} wants to be left alone"))
        self.policy.hosts.wait(host, self.stop)

    def add_bytes(self, count: int) -> None:
        """Add body bytes that came."""
        with self._lock:
            self.wire_bytes += count
