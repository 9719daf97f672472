"""7z archives, unpacked by the standard library's own LZMA: folder by folder, forward, in bounded memory.

The methods are those that 7-Zip takes for anything but programs: LZMA2, LZMA, bzip2, and
none at all. A dictionary is never larger than what it unpacks to, and never beyond the limit.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from typing import IO, TYPE_CHECKING

from mirror.errors import ArchiveError, ArchiveMethodError
from mirror.formats.archive_rules import (
    Limits,
    Member,
    Pass,
    Readable,
    check_names,
    check_ratio,
    check_total,
    read_member,
)
from mirror.formats.packed import unpacked_once
from mirror.formats.seven_zip_header import Directory, method_name, read_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mirror.formats.packed import Decoder
    from mirror.formats.seven_zip_header import Entry, Folder

#: Bytes before the packed ones: signature, version, and where the directory is.
_START = 32
_COPY, _LZMA2, _LZMA, _BZIP2 = b"\x00", b"\x21", bytes.fromhex("030101"), bytes.fromhex("040202")
_LEAST_DICTIONARY = 4096  # liblzma's
_DEEPEST = 4  # directories packed in directories; 7-Zip packs one once


def list_7z(file: IO[bytes], limits: Limits, reading: Pass) -> tuple[Member, ...]:
    """Return the files of a 7z, in the archive's order."""
    directory = _directory(file, limits)
    for entry in directory.entries:
        if entry.is_odd:
            raise ArchiveError("neither a file nor a directory, but a link or a device", member=ascii(entry.name))
    files = [entry for entry in directory.entries if not entry.is_directory]
    check_names([entry.name for entry in files], [one.name for one in directory.entries if one.is_directory])
    check_total(sum(folder.size for folder in directory.folders), limits)
    for folder in directory.folders:
        check_ratio(folder.size, folder.packed, limits)
    parts = _parts(file, directory.folders, limits)
    return tuple(_member(entry, parts, reading) for entry in files)


def _directory(file: IO[bytes], limits: Limits) -> Directory:
    """Return the directory; one that is packed itself is unpacked first."""
    length = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(_START)
    if len(start) < _START or zlib.crc32(start[12:]) != int.from_bytes(start[8:12], "little"):
        raise ArchiveError("a damaged beginning")
    at, size, stated = (int.from_bytes(part, "little") for part in (start[12:20], start[20:28], start[28:]))
    if not size:
        return Directory((), (), is_packed=False)
    if _START + at + size > length:
        raise ArchiveError("its directory lies beyond the end: cut short, or one of several volumes")
    crc: int | None = stated
    stream: Readable = _Slice(file, _START + at, size)
    for _ in range(_DEEPEST):
        found = read_directory(_whole(stream, size, crc, limits), limits.members)
        if any(folder.at + folder.packed > at for folder in found.folders):
            raise ArchiveError("packed bytes beyond the directory")
        if not found.is_packed:
            return found
        if [len(folder.parts) for folder in found.folders] != [1]:
            raise ArchiveError("a directory in several pieces")
        (folder,) = found.folders
        size, crc = folder.parts[0]
        stream = _unpacked(file, folder, limits)
    raise ArchiveError(f"a directory packed more than {_DEEPEST} times")


def _whole(stream: Readable, size: int, crc: int | None, limits: Limits) -> bytes:
    if size > limits.names:
        raise ArchiveError(f"a header of {size} bytes")
    data = stream.read(size)
    if len(data) != size or (crc is not None and zlib.crc32(data) != crc):
        raise ArchiveError("a damaged directory")
    return data


def _parts(file: IO[bytes], folders: Iterable[Folder], limits: Limits) -> Iterator[_Part]:
    """Yield the bytes of each file; one has to be read before the next."""
    for folder in folders:
        stream = _unpacked(file, folder, limits)
        for size, crc in folder.parts:
            yield _Part(stream, size, crc)


def _member(entry: Entry, parts: Iterator[_Part], reading: Pass) -> Member:
    part = next(parts) if entry.has_bytes else _Part(io.BytesIO(), 0, 0)
    stated = f"{part.crc:08x}" if part.crc is not None else None
    member = read_member(part, entry.name, part.size, stated, reading)
    if part.crc not in {None, part.found}:
        raise ArchiveError(f"CRC-32 {part.found:08x} instead of {stated}", member=entry.name)
    return member


def _unpacked(file: IO[bytes], folder: Folder, limits: Limits) -> Readable:
    packed = _Slice(file, _START + folder.at, folder.packed)
    return packed if folder.method == _COPY else unpacked_once(packed.read, _decoder(folder, limits))


def _decoder(folder: Folder, limits: Limits) -> Decoder:
    properties = folder.properties
    if folder.method == _BZIP2:
        return bz2.BZ2Decompressor()
    if folder.method == _LZMA and len(properties) == 5 and properties[0] < 9 * 5 * 5:
        bits, rest = properties[0] % 9, properties[0] // 9
        wanted = {"id": lzma.FILTER_LZMA1, "lc": bits, "lp": rest % 5, "pb": rest // 5}
        dictionary = int.from_bytes(properties[1:], "little")
    elif folder.method == _LZMA2 and len(properties) == 1 and properties[0] <= 40:
        wanted = {"id": lzma.FILTER_LZMA2}
        dictionary = 2 | properties[0] & 1
        dictionary <<= properties[0] // 2 + 11
    else:
        raise ArchiveMethodError(f"packed by {method_name(folder.method)}, which is not read here")
    # No distance reaches back beyond the first byte.
    wanted["dict_size"] = max(_LEAST_DICTIONARY, min(dictionary, folder.size))
    if wanted["dict_size"] > limits.memory:
        raise ArchiveError(f"needs {wanted['dict_size']} bytes of memory to unpack, more than {limits.memory}")
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[wanted])
    except (lzma.LZMAError, MemoryError) as error:
        raise ArchiveError(f"packed as LZMA cannot be, or with too much memory: {error}") from error


class _Slice:
    """So many bytes of a file from an offset on; nothing else reads the file meanwhile."""

    def __init__(self, file: IO[bytes], at: int, size: int) -> None:
        self._file = file
        self._left = size
        file.seek(at)

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; none at the end."""
        data = self._file.read(max(0, min(size, self._left)))
        self._left -= len(data)
        return data


class _Part:
    """One file's bytes in what a folder unpacks to, and the CRC-32 of what was read of them."""

    def __init__(self, stream: Readable, size: int, crc: int | None) -> None:
        self.size, self.crc, self.found = size, crc, 0
        self._stream = stream
        self._left = size

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; none at the end."""
        data = self._stream.read(max(0, min(size, self._left)))
        self._left -= len(data)
        self.found = zlib.crc32(data, self.found)
        return data
