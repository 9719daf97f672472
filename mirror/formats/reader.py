"""Readers that stand between a parser and bytes nobody vouches for."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING

from mirror.errors import ArchiveError

if TYPE_CHECKING:
    from typing_extensions import Buffer


class ViewReader(io.RawIOBase):
    """Bytes in memory, such as a mapped file's, read as a file, without a copy of them all."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self._view = view
        self._at = 0

    def readable(self) -> bool:  # noqa: D102 -- io.IOBase
        return True

    def seekable(self) -> bool:  # noqa: D102 -- io.IOBase
        return True

    def tell(self) -> int:  # noqa: D102 -- io.IOBase
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:  # noqa: D102 -- io.IOBase
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}[whence])
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:  # noqa: D102 -- io.IOBase
        target = memoryview(buffer).cast("B")
        piece = self._view[self._at : self._at + len(target)]
        target[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class GuardedReader(io.RawIOBase):
    """A file of which no more than ``most`` bytes are read at a time, whatever its own headers ask for."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        super().__init__()
        self._file = file
        self._most = most

    def readable(self) -> bool:  # noqa: D102 -- io.IOBase
        return True

    def seekable(self) -> bool:  # noqa: D102 -- io.IOBase
        return True

    def tell(self) -> int:  # noqa: D102 -- io.IOBase
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:  # noqa: D102 -- io.IOBase
        return self._file.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes.

        Raises:
            ArchiveError: That many are never needed for what is read here.
        """
        if size < 0:
            here = self._file.tell()
            size = self._file.seek(0, io.SEEK_END) - here
            self._file.seek(here)
        if size > self._most:
            raise ArchiveError(f"a header of {size} bytes")
        return self._file.read(size)


class ForwardReader(io.RawIOBase):
    """A stream that can seek forward, and ends with an error where it grows too long.

    Args:
        stream: What to read, from its beginning.
        most: Bytes it may have.
        piece: Bytes that may be asked for at a time.
    """

    def __init__(self, stream: IO[bytes], *, most: int, piece: int) -> None:
        super().__init__()
        self._stream = stream
        self._most = most
        self._piece = piece
        self._at = 0
        self._last = b""

    def readable(self) -> bool:  # noqa: D102 -- io.IOBase
        return True

    def seekable(self) -> bool:  # noqa: D102 -- io.IOBase
        return True

    def tell(self) -> int:  # noqa: D102 -- io.IOBase
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go on to ``offset``, or to the end where that comes first.

        Raises:
            ArchiveError: It lies behind, or the stream is too long.
        """
        if whence != io.SEEK_SET or offset < self._at:
            raise ArchiveError("a member that lies before the one it follows")
        while self._at < offset and self.read(min(self._piece, offset - self._at)):
            pass
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            ArchiveError: So many are never needed, or the stream is too long.
        """
        if not 0 <= size <= self._piece:
            raise ArchiveError(f"a header of {size} bytes")
        self._last = self._stream.read(size)
        self._at += len(self._last)
        if self._at > self._most:
            raise ArchiveError(f"unpacks to more than {self._most} bytes")
        return self._last

    def expect_padding(self) -> None:
        """Read to the end; what was read last and what follows must be zeros.

        tarfile takes a damaged header for the end. And only at its end does a gzip
        stream say whether it was whole.

        Raises:
            ArchiveError: Something else follows, or the stream is too long.
        """
        going = True
        while going:
            if self._last.strip(b"\0"):
                raise ArchiveError("a damaged header, or bytes after the end")
            going = bool(self.read(self._piece))
