"""The numbers, bits and digests that the directory of a 7z archive is made of; ArchiveError where it ends too early.

Source: 7-Zip's ``DOC/7zFormat.txt``.
"""

from __future__ import annotations

from mirror.errors import ArchiveError


class DirectoryReader:
    """A directory, read forward.

    Args:
        data: All of it.
        most: Number of anything that it may have.
    """

    def __init__(self, data: bytes, most: int) -> None:
        self._data = data
        self._at = 0
        self.most = most

    def take(self, size: int) -> bytes:
        """Return the next bytes, exactly so many."""
        if size > len(self._data) - self._at:
            raise ArchiveError("a directory that ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def number(self) -> int:
        """Return a number of 1 to 9 bytes: as many follow the first as it has ones at its beginning."""
        first = self.byte()
        more = 8 - (first ^ 0xFF).bit_length()
        low = int.from_bytes(self.take(more), "little")
        return low if more >= 7 else low | (first & (0xFF >> more + 1)) << 8 * more

    def count(self, what: str) -> int:
        """Return a number of things, of which there may not be too many."""
        found = self.number()
        if found > self.most:
            raise ArchiveError(f"more than {self.most} {what}")
        return found

    def bits(self, count: int) -> list[bool]:
        """Return so many bits, the highest of each byte first."""
        packed = self.take(-(-count // 8))
        return [bool(packed[at // 8] & 0x80 >> at % 8) for at in range(count)]

    def optional_bits(self, count: int) -> list[bool]:
        """Return so many bits, which need not be written where all are set."""
        return [True] * count if self.byte() else self.bits(count)

    def crcs(self, count: int) -> list[int | None]:
        """Return so many CRC-32s; None for each that is not stated."""
        return [int.from_bytes(self.take(4), "little") if there else None for there in self.optional_bits(count)]

    def expect(self, kind: int) -> None:
        """Pass over the mark of a section, which must be the next byte."""
        if (found := self.byte()) != kind:
            raise ArchiveError(f"a directory with {found:#04x} where {kind:#04x} should be")
