"""Large files, and files of unknown size: into a partial, resumable for ever.

One thread pours the beginning of the file and feeds the hashing; further connections
come in where they help. Whatever fails, the bytes that are here stay, unless they can
no longer be trusted to be of the version that the source has now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import (
    ChangedError,
    ConnectionDroppedError,
    ImpostorError,
    OversizeError,
    RangeError,
    SourceError,
)
from mirror.evidence import conflicts
from mirror.model import Authority
from mirror.transfer.crew import Crew
from mirror.transfer.dispute import contradiction
from mirror.transfer.events import Advanced, Restarted, Started
from mirror.transfer.held import Held
from mirror.transfer.resume import may_resume, source_of
from mirror.transfer.ruling import promises
from mirror.wire import looks_like_login_page

if TYPE_CHECKING:
    from mirror.sources.reply import Reply
    from mirror.store import Partial
    from mirror.transfer.board import Run
    from mirror.transfer.course import Course
    from mirror.transfer.request import Tap
    from mirror.wire import Validator

#: Ranges in a row that a source got wrong, after which it is asked for the whole file.
_BAD_RANGES = 2
#: Seconds between two looks at the further connections while the first has nothing to fetch.
_LOOK = 0.1


class Large:
    """Brings all bytes of one file into its partial; may be asked again after they were thrown away.

    Args:
        course: The transfer.
        partial: Where bytes are written.

    Attributes:
        held: What is here.
        reply: The last reply that gave bytes; None when none was needed.
    """

    def __init__(self, course: Course, partial: Partial) -> None:
        self.held = Held(course.file, partial, spare=course.policy.spare, cores=course.policy.cores)
        self.reply: Reply | None = None
        self._course = course
        self._crew = Crew(course, self.held, self.check)
        self._run: Run | None = None
        self._most = self.held.board.held
        self._started = False
        self._restarts = 0
        self._bad_ranges = 0
        if self._most:
            course.prefer(lambda url: source_of(url) == self.held.past.source)

    def complete(self) -> None:
        """Return when every byte is here.

        Raises:
            DisputedError: A pin contradicts what the publisher says.
            ImpostorError: Every address gives something else than the file.
            SourceError: No address gives the rest.
            StoreError: The bytes cannot be written.
            TransferStopped: A stop was wanted.
        """
        try:
            while not self.held.board.whole:
                self._step()
        finally:
            self._crew.dismiss()
        self._tell_start()

    def start_over(self, why: str, *, error: SourceError | None = None) -> None:
        """Throw all bytes away.

        Raises:
            SourceError: That has happened too often.
        """
        self._restarts += 1
        if self._restarts > self._course.policy.restarts:
            raise error or ChangedError(f"{self._course.file}: started over too often; last: {why}")
        self._throw_away(why)
        self._most = self._bad_ranges = 0

    def close(self) -> None:
        """End every thread; nobody writes any more."""
        self._crew.dismiss()
        self.held.abandon()

    def _step(self) -> None:
        """Send one request and take what it brings; what fails is dealt with."""
        self._course.check_stop()
        if self._crew.error is not None:
            raise self._crew.error
        self._run = self.held.board.take()
        if self._run is None:
            # The rest is others' work; what they leave is ours again.
            self.held.board.wait(_LOOK)
            self.held.hashing.follow(self.held.board.contiguous)
            return
        try:
            self._fetch(self._run)
            self._bad_ranges = 0
        except (SourceError, ImpostorError) as error:
            self._recover(error)
        finally:
            self._leave()

    def _fetch(self, run: Run) -> None:
        board, url = self.held.board, self._course.url
        if board.held and not self._may_resume(url):
            # Like a source that starts over by itself: only getting further than ever is progress.
            self._leave()
            self._throw_away("nothing could tell whether the rest is of the same version")
            return
        limit = board.reach(run)
        validator = self._validator(url) if run.next or limit is not None else None
        with self._course.ask(start=run.next, stop=limit, validator=validator, size=board.size) as tap:
            if tap.reply.span.start != run.next:
                run = self._rewind(tap.reply)
            self.check(tap.reply, run)
            self._meet(url, tap.reply)
            self._pour(tap, self._run or run, limit)

    def check(self, reply: Reply, run: Run) -> None:
        """Make sure, before its first byte is taken, that a reply is of the same file.

        Raises:
            RangeError: It holds other bytes than the run's.
            ChangedError: It is of another version.
            DisputedError: The publisher contradicts a pin.
        """
        if reply.span.start != run.next:
            raise RangeError(f"{reply.url}: asked for bytes from {run.next}, got them from {reply.span.start}")
        size = self.held.board.size
        if size is not None and reply.span.size not in (None, size):
            raise ChangedError(f"{reply.url}: {reply.span.size} B are offered, promised are {size} B")
        clash = conflicts((*self._course.file.claims, *reply.claims))
        if any(claim.authority is not Authority.PUBLISHER for claim in clash):
            raise contradiction(self._course.file, clash, reply)
        if clash:
            raise ChangedError(f"{reply.url}: {'; '.join(map(str, clash))}")

    def _meet(self, url: str, reply: Reply) -> None:
        """Take note of a reply that is about to give bytes."""
        held = self.held
        if held.board.size is None and reply.span.size is not None:
            if held.board.held:
                held.board.settle(reply.span.size)
            else:
                # The partial should know its end as well: it then refuses what comes after it.
                self._leave()
                held.forget(reply.span.size)
                self._run = held.board.take()
        held.remember(url, reply)
        self.reply = reply
        self._tell_start()
        held.hashing.follow(held.board.contiguous)

    def _rewind(self, reply: Reply) -> Run:
        """Begin anew with a reply that starts over though the rest was asked for.

        How often is not counted: only an attempt that gets further than all before it is progress.
        """
        self._leave()
        self._throw_away(f"{reply.url}: the source starts over")
        run = self._run = self.held.board.take()
        assert run is not None
        return run

    def _pour(self, tap: Tap, run: Run, limit: int | None) -> None:
        """Write what the reply brings, feed the hashing, and look after the further connections."""
        held, hashing = self.held, self.held.hashing
        while run.missing != 0 or (run := self._onward(run, limit)).missing:
            buffer = hashing.buffer()
            count = tap.fill(buffer if run.missing is None else buffer[: run.missing])
            if not count:
                self._ended(tap.reply, run)
                return
            if not run.next:
                self._look(tap.reply, bytes(buffer[: min(count, 1024)]))
            offset = run.next
            held.partial.write(run.span, offset, buffer[:count])
            held.board.advance(run, count)
            hashing.give(buffer, offset, count)
            hashing.follow(held.board.contiguous)
            self._course.watch(Advanced(self._course.file, count))
            self._course.check_stop()
            if self._course.policy.clock() >= self._crew.look_at and self._ranges_work():
                self._crew.look(run, self._validator(self._course.url))
        if run.next == (held.board.size if limit is None else limit):
            # The end of the body must be seen: more bytes are refused, and the connection can be used again.
            self._see_end(tap)

    def _onward(self, run: Run, limit: int | None) -> Run:
        """Return the run behind one that is done, if this connection brings it as well; else the same."""
        behind = self.held.board.follow(run, limit)
        if behind is not None:
            self._run = behind
        return behind or run

    def _see_end(self, tap: Tap) -> None:
        try:
            more = tap.fill(memoryview(bytearray(1)))
        except ConnectionDroppedError:
            return  # everything that was promised is here
        if more:
            raise OversizeError(f"{tap.reply.url}: more than the {self.held.board.size} B that were promised")

    def _ended(self, reply: Reply, run: Run) -> None:
        """Deal with a body that is over."""
        stop = run.stop if run.stop is not None else reply.span.stop
        if stop is not None and run.next < stop:
            raise ConnectionDroppedError(f"{reply.url}: {run.next} of {stop} B came")
        if not run.next:
            raise ImpostorError(f"{reply.url}: nothing came instead of {self._course.file}")
        self.held.board.settle(run.next)

    def _look(self, reply: Reply, first_bytes: bytes) -> None:
        if looks_like_login_page(reply.content_type, first_bytes, self._course.file.path):
            raise ImpostorError(f"{reply.url}: a web page or a pointer instead of {self._course.file}")

    def _recover(self, error: SourceError | ImpostorError) -> None:
        """Decide what the failure means for the bytes that are here, then pause or give up."""
        held = self.held
        progressed = held.board.held > self._most
        self._most = max(self._most, held.board.held)
        if isinstance(error, OversizeError) and held.board.whole and promises(self._course.file.claims):
            return  # the promised digest will tell whether what came before is the file
        self._bad_ranges = self._bad_ranges + 1 if isinstance(error, RangeError) else 0
        useless = isinstance(error, RangeError) and (error.status == 416 or self._bad_ranges >= _BAD_RANGES)
        ours = held.past.source == source_of(self._course.url)
        if held.board.held and ours and (useless or isinstance(error, ChangedError | OversizeError)):
            assert isinstance(error, SourceError)
            self._leave()
            self.start_over(str(error), error=error)
        if not held.board.held and held.board.size != self._course.file.size:
            self._leave()
            held.forget(self._course.file.size)  # the size was learnt from a reply that gave nothing
        self._course.again(error, progressed=progressed, beat=held.partial.beat)

    def _may_resume(self, url: str) -> bool:
        return may_resume(self.held.past, self._course.file, url, doubt=self.held.doubt)

    def _validator(self, url: str) -> Validator | None:
        past = self.held.past
        return past.validator if past.source == source_of(url) else None

    def _ranges_work(self) -> bool:
        """Whether the source has shown that it serves ranges, and a mixture of versions could not go unnoticed."""
        last = self.reply.hops[-1] if self.reply is not None and self.reply.hops else None
        if last is None or not self._may_resume(self._course.url):
            return False
        return last.status == 206 or ("accept-ranges", "bytes") in last.headers

    def _throw_away(self, why: str) -> None:
        self._crew.dismiss(for_good=True)
        self.held.forget(self._course.file.size)
        self._course.watch(Restarted(self._course.file, why))

    def _leave(self) -> None:
        if self._run is not None:
            self.held.board.leave(self._run)
            self._run = None

    def _tell_start(self) -> None:
        if not self._started:
            self._started = True
            board = self.held.board
            self._course.watch(Started(self._course.file, board.size, board.held))
