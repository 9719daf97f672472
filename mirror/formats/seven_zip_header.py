"""The directory of a 7z archive, read from bytes nobody vouches for: folders of packed bytes, and the files in them.

Every count is compared with what is left of the directory, or with a limit, before
anything is made of it. Only what weights are packed with is understood: one method for
each folder. Whatever else a directory may say is refused by its name.

Source: 7-Zip's ``DOC/7zFormat.txt``.
"""

from __future__ import annotations

import stat
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import ArchiveError, ArchiveMethodError
from mirror.formats.seven_zip_numbers import DirectoryReader

if TYPE_CHECKING:
    from collections.abc import Iterator

_END, _HEADER, _PROPERTIES, _EXTRA_STREAMS, _STREAMS, _FILES = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05
_PACK, _UNPACK, _SUBSTREAMS, _SIZE, _CRC, _FOLDER, _UNPACK_SIZE, _COUNTS = (
    0x06,
    0x07,
    0x08,
    0x09,
    0x0A,
    0x0B,
    0x0C,
    0x0D,
)
_EMPTY_STREAM, _EMPTY_FILE, _ANTI, _NAMES, _ATTRIBUTES, _ENCODED = 0x0E, 0x0F, 0x10, 0x11, 0x15, 0x17
_AES = bytes.fromhex("06f10701")
#: What people call methods that are not read here; filters are for programs.
_NAMES_OF = {
    "030401": "PPMd",
    "040108": "Deflate",
    "040109": "Deflate64",
    "04f71101": "Zstandard",
    "03030103": "the filter BCJ",
    "0303011b": "the filter BCJ2",
    "21": "LZMA2",
    "030101": "LZMA",
}
_MAX_CODERS = 32  # 7-Zip's own
_DIRECTORY, _REPARSE, _UNIX = 0x10, 0x400, 0x8000  # Windows' attributes, and 7-Zip's mark that a mode stands above


class Folder(NamedTuple):
    """Bytes that were packed together.

    Attributes:
        method: Number of the method, as 7-Zip writes it.
        properties: What it needs to know.
        at: Where the packed bytes begin, behind the archive's first 32.
        packed: Bytes, packed.
        size: Bytes, unpacked.
        parts: Size of each file in it, and its CRC-32; None where none is stated.
    """

    method: bytes
    properties: bytes
    at: int
    packed: int
    size: int
    parts: tuple[tuple[int, int | None], ...]


class Entry(NamedTuple):
    """What stands under one name.

    Attributes:
        name: As written.
        has_bytes: Whether it is the next part of a folder; else it is empty.
        is_directory: Whether it is one.
        is_odd: Whether it is a link, a device, or a mark that something is to be deleted.
    """

    name: str
    has_bytes: bool
    is_directory: bool
    is_odd: bool


class Directory(NamedTuple):
    """A whole directory; one that is packed itself has a single folder and no entries."""

    folders: tuple[Folder, ...]
    entries: tuple[Entry, ...]
    is_packed: bool


def read_directory(data: bytes, most: int) -> Directory:
    """Return what a directory says.

    Args:
        data: All of it, its CRC already compared.
        most: Number of entries, folders and streams that it may have.

    Raises:
        ArchiveError: It is damaged, built to harm, or says something that is not read here.
    """
    reader = DirectoryReader(data, most)
    kind = reader.byte()
    if kind == _ENCODED:
        return Directory(_streams(reader), (), is_packed=True)
    if kind != _HEADER:
        raise ArchiveError("a damaged directory")
    folders: tuple[Folder, ...] = ()
    entries: tuple[Entry, ...] = ()
    while (kind := reader.byte()) != _END:
        if kind == _STREAMS and not folders:
            folders = _streams(reader)
        elif kind == _FILES and not entries:
            entries = _entries(reader)
        else:
            raise ArchiveError(f"a directory with a section {kind:#04x}, which is not read here")
    parts = sum(len(folder.parts) for folder in folders)
    if parts != sum(entry.has_bytes for entry in entries):
        raise ArchiveError("more, or fewer, files than packed bytes for them")
    return Directory(folders, entries, is_packed=False)


def method_name(method: bytes) -> str:
    """Return what people call a method, or its number."""
    return _NAMES_OF.get(method.hex(), f"method {method.hex()}")


def _streams(reader: DirectoryReader) -> tuple[Folder, ...]:
    """Read where packed bytes stand, how they were packed, and how they are cut into files."""
    packs: list[tuple[int, int]] = []
    coders: list[tuple[bytes, bytes]] = []
    sizes: list[int] = []
    crcs: list[int | None] = []
    parts: list[tuple[tuple[int, int | None], ...]] | None = None
    while (kind := reader.byte()) != _END:
        if kind == _PACK and not packs:
            packs = _packs(reader)
        elif kind == _UNPACK and not coders:
            coders, sizes, crcs = _coders(reader)
        elif kind == _SUBSTREAMS and parts is None:
            parts = _parts(reader, sizes, crcs)
        else:
            raise ArchiveError(f"a directory with a section {kind:#04x}, which is not read here")
    if len(packs) != len(coders):
        raise ArchiveError("more, or fewer, packed streams than methods for them")
    whole = parts if parts is not None else [((size, crc),) for size, crc in zip(sizes, crcs, strict=True)]
    return tuple(
        Folder(method, properties, at, packed, size, inside)
        for (at, packed), (method, properties), size, inside in zip(packs, coders, sizes, whole, strict=True)
    )


def _packs(reader: DirectoryReader) -> list[tuple[int, int]]:
    """Return where each packed stream begins, and its size: one behind the other, so that none overlap."""
    begin, count = reader.number(), reader.count("packed streams")
    sizes: list[int] = []
    while (kind := reader.byte()) != _END:
        if kind == _SIZE and not sizes:
            sizes = [reader.number() for _ in range(count)]
        elif kind == _CRC:
            reader.crcs(count)  # of the packed bytes; those of the files are compared
        else:
            raise ArchiveError("a damaged directory of packed streams")
    if len(sizes) != count:
        raise ArchiveError("packed streams without a size")
    return list(zip(accumulate(sizes, initial=begin), sizes, strict=False))


def _coders(reader: DirectoryReader) -> tuple[list[tuple[bytes, bytes]], list[int], list[int | None]]:
    """Return method, unpacked size and CRC of each folder."""
    reader.expect(_FOLDER)
    count = reader.count("folders")
    if reader.byte():
        raise ArchiveError("a directory that stands elsewhere")
    coders = [_coder(reader) for _ in range(count)]
    reader.expect(_UNPACK_SIZE)
    sizes = [reader.number() for _ in range(count)]
    crcs: list[int | None] = [None] * count
    if (kind := reader.byte()) == _CRC:
        crcs, kind = reader.crcs(count), reader.byte()
    if kind != _END:
        raise ArchiveError("a damaged directory of folders")
    return coders, sizes, crcs


def _coder(reader: DirectoryReader) -> tuple[bytes, bytes]:
    """Return the one method of a folder, and what it needs to know."""
    count = reader.number()
    if not 1 <= count <= _MAX_CODERS:
        raise ArchiveError(f"a folder with {count} methods")
    methods, properties = [], b""
    for _ in range(count):
        flags = reader.byte()
        methods.append(reader.take(flags & 0x0F))
        if flags & 0x10 and (reader.number(), reader.number()) != (1, 1):
            raise ArchiveMethodError(f"packed by {method_name(methods[-1])}, which is not read here")
        properties = reader.take(reader.number()) if flags & 0x20 else b""
    if _AES in methods:
        raise ArchiveMethodError("encrypted")
    if count > 1:
        names = " and ".join(map(method_name, methods))
        raise ArchiveMethodError(f"packed by {names}, which is not read here")
    return methods[0], properties


def _parts(
    reader: DirectoryReader, sizes: list[int], crcs: list[int | None]
) -> list[tuple[tuple[int, int | None], ...]]:
    """Return the files in each folder: size and CRC."""
    counts = [1] * len(sizes)
    cut: list[int] = []
    stated: Iterator[int | None] = repeat(None)
    if (kind := reader.byte()) == _COUNTS:
        counts = [reader.count("files") for _ in sizes]
        if sum(counts) > reader.most:
            raise ArchiveError(f"more than {reader.most} files")
        kind = reader.byte()
    if kind == _SIZE:
        cut = [reader.number() for count in counts for _ in range(count - 1)]
        kind = reader.byte()
    elif any(count > 1 for count in counts):
        raise ArchiveError("files without a size")
    known = [count == 1 and crc is not None for count, crc in zip(counts, crcs, strict=True)]
    if kind == _CRC:
        stated = iter(reader.crcs(sum(count for count, is_known in zip(counts, known, strict=True) if not is_known)))
        kind = reader.byte()
    if kind != _END:
        raise ArchiveError("a damaged directory of files")
    found, rest = [], iter(cut)
    for count, size, crc, is_known in zip(counts, sizes, crcs, known, strict=True):
        inside = [next(rest) for _ in range(count - 1)]
        if sum(inside) > size or (not count and size):
            raise ArchiveError("files that are larger, or smaller, than what they were packed in")
        inside += [size - sum(inside)] if count else []
        found.append(tuple((each, crc if is_known else next(stated)) for each in inside))
    return found


def _entries(reader: DirectoryReader) -> tuple[Entry, ...]:
    """Return every name, and what stands under it."""
    count = reader.count("members")
    sections: dict[int, bytes] = {}
    while (kind := reader.byte()) != _END:
        data = reader.take(reader.number())
        if kind in sections and kind in {_EMPTY_STREAM, _EMPTY_FILE, _ANTI, _NAMES, _ATTRIBUTES}:
            raise ArchiveError(f"a directory with two sections {kind:#04x}")
        sections[kind] = data

    def section(kind: int) -> DirectoryReader | None:
        return DirectoryReader(sections[kind], reader.most) if kind in sections else None

    empty = found.bits(count) if (found := section(_EMPTY_STREAM)) else [False] * count
    files = found.bits(sum(empty)) if (found := section(_EMPTY_FILE)) else [False] * sum(empty)
    anti = found.bits(sum(empty)) if (found := section(_ANTI)) else [False] * sum(empty)
    names = _names(sections.get(_NAMES, b""), count)
    attributes = _attributes(section(_ATTRIBUTES), count)
    of_empty = iter(zip(files, anti, strict=True))
    entries = []
    for name, is_empty, attribute in zip(names, empty, attributes, strict=True):
        is_file, is_anti = next(of_empty) if is_empty else (True, False)
        mode = stat.S_IFMT(attribute >> 16) if attribute & _UNIX else 0
        odd = is_anti or bool(attribute & _REPARSE) or mode not in {0, stat.S_IFREG, stat.S_IFDIR}
        is_directory = not is_file or bool(attribute & _DIRECTORY)
        if is_directory and not is_empty:
            raise ArchiveError("a directory that has bytes", member=ascii(name))
        entries.append(Entry(name, not is_empty, is_directory, odd))
    return tuple(entries)


def _names(data: bytes, count: int) -> list[str]:
    if not data or data[0] or len(data) % 2 == 0:
        raise ArchiveError("a directory without names")
    try:
        names = data[1:].decode("utf-16-le").split("\0")
    except UnicodeDecodeError as error:
        raise ArchiveError("a name that is no text") from error
    if len(names) != count + 1 or names[-1]:
        raise ArchiveError("more, or fewer, names than files")
    return names[:-1]


def _attributes(reader: DirectoryReader | None, count: int) -> list[int]:
    if reader is None:
        return [0] * count
    there = reader.optional_bits(count)
    if reader.byte():
        raise ArchiveError("a directory that stands elsewhere")
    return [int.from_bytes(reader.take(4), "little") if each else 0 for each in there]
