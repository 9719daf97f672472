"""The bytes of a partial and the spans that say which of them are there.

Bytes are written before they are noted. Knows nothing of claims: whoever has a
``Content`` may write it. Several threads may write different spans at the same time.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from mirror.store import disk, spans
from mirror.store.layout import DATA, SPANS
from mirror.store.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

#: Bytes after which the system is asked to begin writing them to the disk. For 440 MB at
#: 1 GB/s, the fsync at the end takes 5 ms instead of 190 (2 cores, ext4); asking takes 1 to 6 ms.
WRITEBACK = 8 << 20
#: Bytes of all spans together, or seconds, after which it is noted that they are there; a process that is
#: killed loses no more. Noting every buffer costs a tenth of the time that writing it does.
NOTED_EVERY = 1 << 19
NOTED_AFTER = 0.5


class _Stream:
    """A span that is being written: one for each, and changed by every buffer, so not a value.

    Attributes:
        start, stop: As the span's.
        next: Offset of the first byte that is missing.
        noted: The same, as the ``spans`` file has it.
        flushed: Offset up to which the system was asked to write to the disk.
    """

    __slots__ = ("flushed", "next", "noted", "start", "stop")

    def __init__(self, span: Span) -> None:
        self.start, self.stop = span.start, span.stop
        self.next = self.noted = self.flushed = span.next

    @property
    def span(self) -> Span:
        """What it is now."""
        return Span(self.start, self.stop, self.next - self.start)


class Content:
    """The open files of a partial.

    Args:
        directory: Descriptor of the partial's directory.
        path: Of the data file, for errors.
        clock: Seconds, never going back.

    Attributes:
        data: Descriptor of the data file.

    Raises:
        OSError: The files cannot be opened for writing.
    """

    def __init__(self, directory: int, path: Path, *, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self.data = _open_data(directory)
        self._sidecar = -1
        self._streams: list[_Stream] = []
        self._note_at = 0.0
        self._unnoted = 0
        try:
            self._sidecar = os.open(SPANS, os.O_RDWR | os.O_CREAT, 0o666, dir_fd=directory)
            self._streams = [_Stream(span) for span in self._read_spans()]
        except OSError:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Length of the data file, noted or not."""
        return os.fstat(self.data).st_size

    @property
    def spans(self) -> list[Span]:
        """The spans as they are now."""
        with self._lock:
            return [stream.span for stream in self._streams]

    def restart(self, fresh: Sequence[Span]) -> None:
        """Forget all bytes and begin with other spans.

        Raises:
            DiskFullError: There is no room.
            StoreError: Anything else that the system says.
        """
        with self._lock, disk.our_errors(self._path):
            # The spans go first: what dies after that says that nothing is there.
            disk.replace_file(self._directory, SPANS, spans.encode(fresh))
            sidecar = os.open(SPANS, os.O_RDWR, dir_fd=self._directory)
            os.close(self._sidecar)
            self._sidecar = sidecar
            self._streams, self._unnoted = [_Stream(span) for span in fresh], 0
            os.ftruncate(self.data, 0)

    def split(self, index: int, at: int) -> int:
        """Cut a span in two and return the index of the new one; see ``Partial.split``."""
        with self._lock, disk.our_errors(self._path):
            old = self._streams[index]
            if at < old.next or (old.stop is not None and at >= old.stop):
                raise ValueError(f"cannot cut {old.span} at {at}")
            new = Span(at, old.stop)
            # In this order both claim the same bytes for a moment, and none is left out.
            os.pwrite(self._sidecar, spans.encode([new]), spans.record_at(len(self._streams)))
            os.pwrite(self._sidecar, *spans.stop_field(index, at))
            old.stop = at
            self._streams.append(_Stream(new))
            return len(self._streams) - 1

    def write(self, index: int, offset: int, data: Buffer) -> int:
        """Write bytes of a span, and note them soon; return how many it took. See ``Partial.write``."""
        stream = self._streams[index]
        if not stream.start <= offset <= stream.next:
            raise ValueError(f"offset {offset} leaves a gap in {stream.span}")
        rest = memoryview(data).cast("B")
        if stream.stop is not None:
            rest = rest[: stream.stop - offset]
        end = offset
        try:
            while rest:
                taken = os.pwrite(self.data, rest, end)
                end, rest = end + taken, rest[taken:]
        except OSError as error:
            self._advance(stream, end)
            raise disk.translated(error, self._path) from error
        return self._advance(stream, end) - offset

    def sync(self) -> None:
        """Wait until the bytes are on the disk; forget them when they did not get there.

        A second fsync would say that all is well, though the system has dropped the bytes.

        Raises:
            DiskFullError: The disk filled up while they were on their way.
            StoreError: Anything else that the system says.
        """
        try:
            os.fsync(self.data)
        except OSError as error:
            with self._lock, disk.our_errors(self._path):
                # In place, because a full disk has no room for a new file.
                for index, stream in enumerate(self._streams):
                    os.pwrite(self._sidecar, *spans.done_field(index, 0))
                    stream.next = stream.noted = stream.flushed = stream.start
                self._unnoted = 0
                os.ftruncate(self.data, 0)
            raise disk.translated(error, self._path) from error

    def close(self) -> None:
        """Note what is there and close the files; once more does nothing.

        What cannot be noted any more is fetched again: it is no reason to lose what can.
        """
        with self._lock, suppress(OSError):
            self._note()
        for fd in sorted({self.data, self._sidecar} - {-1}):
            os.close(fd)
        self.data = self._sidecar = -1

    def _read_spans(self) -> list[Span]:
        """Return the spans, and correct the file where it claims what is no longer there.

        Otherwise a longer file would seem, later, to fulfil the claim.
        """
        raw = disk.read_file(self._directory, SPANS) or b""
        there = spans.decode(raw, held=self.size)
        if (true := spans.encode(there)) != raw:
            os.pwrite(self._sidecar, true, 0)
            os.ftruncate(self._sidecar, len(true))
        return there

    def _advance(self, stream: _Stream, end: int) -> int:
        """Count a stream's bytes up to ``end``, or to its stop: a split may have moved that."""
        with self._lock:
            if stream.stop is not None:
                end = min(end, stream.stop)
            if end <= stream.next:
                return end
            self._unnoted += end - stream.next
            stream.next = end
            if self._unnoted >= NOTED_EVERY or end == stream.stop or self._clock() >= self._note_at:
                with disk.our_errors(self._path):
                    self._note()
            begin = stream.flushed
            if end - begin < WRITEBACK:
                return end
            stream.flushed = end
        disk.start_writeback(self.data, begin, end)
        return end

    def _note(self) -> None:
        """Write down which bytes of every stream are there by now."""
        for index, stream in enumerate(self._streams):
            if stream.next > stream.noted:
                os.pwrite(self._sidecar, *spans.done_field(index, stream.next - stream.start))
                stream.noted = stream.next
        self._unnoted = 0
        self._note_at = self._clock() + NOTED_AFTER


def _open_data(directory: int) -> int:
    """Open the data file for writing, as a file whose rights we may take away later.

    A crash may have left it read-only, waiting for its name, and it may be another
    user's: then ours is a copy, since only its owner may change a file's mode.
    """
    flags = os.O_RDWR | os.O_CREAT
    try:
        old = os.open(DATA, os.O_RDONLY, dir_fd=directory)
    except FileNotFoundError:
        return os.open(DATA, flags, 0o666, dir_fd=directory)
    with open(old, "rb") as file:  # noqa: PTH123 -- pathlib opens no descriptors
        try:
            os.fchmod(old, stat.S_IMODE(os.fstat(old).st_mode) | stat.S_IWUSR)
        except PermissionError:
            fresh = os.open(f"{DATA}.new", flags | os.O_TRUNC, 0o666, dir_fd=directory)
            with open(fresh, "wb") as copy:  # noqa: PTH123
                import shutil

                shutil.copyfileobj(file, copy, 1 << 20)
            os.replace(f"{DATA}.new", DATA, src_dir_fd=directory, dst_dir_fd=directory)
    return os.open(DATA, flags, 0o666, dir_fd=directory)
