"""Streams packed by bzip2, xz or LZMA, unpacked as they are read: never more at once than is asked for."""

from __future__ import annotations

import bz2
import io
import lzma
from typing import IO, TYPE_CHECKING, Protocol, cast

from mirror.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

_READ = 1 << 16


class Decoder(Protocol):
    """What ``bz2`` and ``lzma`` have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of a stream was found."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing comes of what was given so far."""

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the end."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take more, and return no more than that."""


def bunzip2(file: IO[bytes]) -> IO[bytes]:
    """Return what a bzip2 file unpacks to; in less than 8 MiB of memory."""
    return _buffered(Unpacked(file.read, bz2.BZ2Decompressor))


def unxz(file: IO[bytes], memory: int) -> IO[bytes]:
    """Return what an xz file unpacks to; ArchiveError, at reading, where that takes more ``memory``, in bytes."""
    return _buffered(Unpacked(file.read, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=memory)))


def unpacked_once(read: Callable[[int], bytes], decoder: Decoder) -> IO[bytes]:
    """Return what a stream without a container unpacks to; there is nothing after its end."""
    return _buffered(Unpacked(read, iter((decoder,)).__next__))


class Unpacked(io.RawIOBase):
    """One stream after another, unpacked.

    Args:
        read: Gives packed bytes, up to so many; none at the end.
        decoder: Makes a decoder for the next stream.
    """

    def __init__(self, read: Callable[[int], bytes], decoder: Callable[[], Decoder]) -> None:
        super().__init__()
        self._read = read
        self._make = decoder
        self._decoder = decoder()

    def readable(self) -> bool:  # noqa: D102 -- io.IOBase
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Unpack as much as fits, or nothing at the end.

        Raises:
            ArchiveError: The bytes are damaged, or need too much memory.
        """
        target = memoryview(buffer).cast("B")
        while True:
            data = b""
            if self._decoder.eof:
                # Of xz, zeros may stand between two streams (§2.2 of its format).
                data = self._decoder.unused_data.lstrip(b"\0")
                while not data:
                    if not (piece := self._read(_READ)):
                        return 0
                    data = piece.lstrip(b"\0")
                self._decoder = self._make()
            elif self._decoder.needs_input and not (data := self._read(_READ)):
                raise ArchiveError("ends in the middle of its packed bytes")
            if found := self._decode(data, len(target)):
                target[: len(found)] = found
                return len(found)

    def _decode(self, data: bytes, most: int) -> bytes:
        try:
            return self._decoder.decompress(data, most)
        except (OSError, ValueError, EOFError, MemoryError, lzma.LZMAError) as error:
            raise ArchiveError(f"damaged, or packed with too much memory: {error}") from error


def _buffered(stream: io.RawIOBase) -> IO[bytes]:
    return cast("IO[bytes]", io.BufferedReader(stream, _READ))
