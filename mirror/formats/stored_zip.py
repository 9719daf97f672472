"""Zips whose entries are stored as they are: names and spans, nothing else in the file.

Stricter than any unpacker: every byte belongs to an entry, a header or the directory, in one order.

Source: PKWARE APPNOTE 6.3.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from zlib_ng.zlib_ng import crc32

from mirror.errors import FormatError
from mirror.formats.reader import ViewReader
from mirror.formats.zip_layout import where_cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_ENTRIES = 20_100
_MAX_DIRECTORY = 16 << 20
_MAX_NAME = 1000
_LOCAL = struct.Struct("<4s5H3I2H")  # APPNOTE 4.3.7
_DESCRIPTOR, _DESCRIPTOR64 = struct.Struct("<4s3I"), struct.Struct("<4sI2Q")  # 4.3.9
_CENTRAL = struct.Struct("<4s6H3I5H2I")  # 4.3.12
_END64 = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
_LOCATOR = struct.Struct("<4sIQI")  # 4.3.15
_END = struct.Struct("<4s4H2IH")  # 4.3.16
_DESCRIBED, _UTF8 = 0x8, 0x800  # 4.4.4, bits 3 and 11
_NONE16, _NONE32 = 0xFFFF, 0xFFFFFFFF


class Entry(NamedTuple):
    """One entry: its name, the half-open span of its bytes, and their CRC-32."""

    name: str
    start: int
    stop: int
    crc32: int


class _Directory(NamedTuple):
    entries: int
    start: int
    stop: int


def entries(data: memoryview) -> tuple[Entry, ...]:
    """Return every entry of the zip that ``data`` is, in the order of the bytes; CRCs are not compared.

    Raises:
        FormatError: An entry is packed, encrypted or hidden, or there are bytes that belong to none.
    """
    directory = _directory(data)
    found: list[tuple[int, int, Entry]] = []
    at = directory.start
    for _ in range(directory.entries):
        offset, flags, entry, at = _central(data, at, directory.stop)
        found.append((offset, flags, entry))
    if at != directory.stop:
        raise FormatError("the zip's directory has more in it than its entries", at=at)
    found.sort(key=lambda each: each[0])
    return tuple(_in_order(data, found, directory.start))


def check_crcs(data: memoryview, found: Iterable[Entry]) -> None:
    """Compare every entry with its CRC-32.

    Raises:
        FormatError: One differs.
    """
    for entry in found:
        if (actual := crc32(data[entry.start : entry.stop])) != entry.crc32:
            raise FormatError(f"{entry.name} has CRC-32 {actual:08x}, not {entry.crc32:08x}", at=entry.start)


def _directory(data: memoryview) -> _Directory:
    """Return where the directory lies; the record of its end is the last thing in the file."""
    end = len(data) - _END.size
    if end < 0:
        raise FormatError(f"a zip of {len(data)} bytes")
    magic, *short, comment = _END.unpack_from(data, end)
    if magic != b"PK\x05\x06" or comment:
        if data[-_END.size - _NONE16 :].tobytes().find(b"PK\x05\x06") < 0:
            raise FormatError(where_cut(cast("IO[bytes]", ViewReader(data))))
        raise FormatError("a zip that has bytes after its end", at=end)
    locator = end - _LOCATOR.size
    wide = locator >= 0 and bytes(data[locator : locator + 4]) == b"PK\x06\x07"
    stop = locator - _END64.size if wide else end
    disk, first_disk, here, count, size, start = _end64(data, stop, locator, short) if wide else short
    if disk or first_disk or here != count or start + size != stop:
        raise FormatError("the zip's directory is not where it is said to be", at=end)
    if count > _MAX_ENTRIES or size > _MAX_DIRECTORY or count * _CENTRAL.size > size:
        raise FormatError(f"a zip of {count} entries in a directory of {size} bytes", at=end)
    return _Directory(count, start, stop)


def _end64(data: memoryview, at: int, locator: int, short: list[int]) -> list[int]:
    """Return the fields of the zip64 record at ``at``, of which the record of the end has what there is room for."""
    _, disk, place, disks = _LOCATOR.unpack_from(data, locator)
    if disk or place != at or disks > 1:
        raise FormatError("the zip64 record is not where it is said to be", at=locator)
    magic, length, _, _, *fields = _END64.unpack_from(data, at)
    if magic != b"PK\x06\x06" or length != _END64.size - 12:
        raise FormatError("a damaged zip64 record", at=at)
    for one, full, field in zip(short, (_NONE16,) * 4 + (_NONE32,) * 2, fields, strict=True):
        if one not in {field, full}:
            raise FormatError("the zip's two records of its end contradict each other", at=at)
    return fields


def _central(data: memoryview, at: int, stop: int) -> tuple[int, int, Entry, int]:
    """Return offset, flags and promise of an entry (its span begins at 0 as yet), and where the next one stands."""
    if at + _CENTRAL.size > stop:
        raise FormatError("the zip's directory is cut off", at=at)
    (magic, _, _, flags, method, _, _, crc, packed, size, name, extra, comment, disk, _, _, offset) = (
        _CENTRAL.unpack_from(data, at)
    )
    following = at + _CENTRAL.size + name + extra + comment
    if magic != b"PK\x01\x02" or following > stop or comment or disk:
        raise FormatError("a damaged entry in the zip's directory", at=at)
    text = _name(data[at + _CENTRAL.size :][:name], at)
    if flags & ~(_DESCRIBED | _UTF8):
        raise FormatError(f"{text} is encrypted, or of a kind that is not read here", at=at)
    if method:
        raise FormatError(f"{text} is packed by method {method}, not stored", at=at)
    if _NONE32 in {packed, size, offset}:
        wide = _zip64_fields(data[at + _CENTRAL.size + name :][:extra], at)
        size, packed, offset = (next(wide, -1) if short == _NONE32 else short for short in (size, packed, offset))
    if size != packed or not 0 <= size <= len(data) or not 0 <= offset <= len(data):
        raise FormatError(f"{text} has {packed} bytes for {size}, at {offset}", at=at)
    return offset, flags, Entry(text, 0, size, crc), following


def _zip64_fields(extra: memoryview, at: int) -> Iterator[int]:
    """Return the 64-bit numbers that stand for those that had no room (APPNOTE 4.5.3)."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1 and length <= len(extra) - 4 and not length % 8:
            return iter(struct.unpack_from(f"<{length // 8}Q", extra, 4))
        extra = extra[4 + length :]
    raise FormatError("an entry without the 64-bit lengths that it needs", at=at)


def _in_order(data: memoryview, found: list[tuple[int, int, Entry]], stop: int) -> Iterator[Entry]:
    """Yield the entries with their spans; each begins where the one before it ends."""
    names: set[str] = set()
    end = 0
    for offset, flags, entry in found:
        if entry.name in names:
            raise FormatError(f"{entry.name} is there twice", at=offset)
        names.add(entry.name)
        if offset != end:
            raise FormatError(f"{entry.name} begins at {offset}, not at {end}", at=end)
        start = _local(data, offset, flags, entry, stop)
        end = start + entry.stop
        yield entry._replace(start=start, stop=end)
        end += _descriptor(data, end, entry) if flags & _DESCRIBED else 0
    if end != stop:
        raise FormatError(f"{stop - end} bytes before the zip's directory belong to no entry", at=end)


def _local(data: memoryview, offset: int, flags: int, entry: Entry, stop: int) -> int:
    """Return where an entry's bytes begin; its own header must say what the directory says."""
    if offset + _LOCAL.size > stop:
        raise FormatError(f"{entry.name} is cut off", at=offset)
    magic, _, own_flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack_from(data, offset)
    start = offset + _LOCAL.size + name + extra
    if magic != b"PK\x03\x04" or own_flags != flags or method or start + entry.stop > stop:
        raise FormatError(f"{entry.name} has another header than in the directory", at=offset)
    if bytes(data[offset + _LOCAL.size :][:name]) != entry.name.encode():
        raise FormatError(f"{entry.name} is called otherwise where it stands", at=offset)
    known = (entry.crc32, min(entry.stop, _NONE32), min(entry.stop, _NONE32))
    if (crc, packed, size) != known and not (flags & _DESCRIBED and (crc, packed, size) == (0, 0, 0)):
        raise FormatError(f"{entry.name} has other lengths where it stands", at=offset)
    return int(start)


def _descriptor(data: memoryview, at: int, entry: Entry) -> int:
    """Return the length of the descriptor behind an entry's bytes, which repeats what the directory says."""
    # The long form first: of an empty entry it begins as the short one does.
    for form in (_DESCRIPTOR64, _DESCRIPTOR) if entry.stop <= _NONE32 else (_DESCRIPTOR64,):
        if bytes(data[at : at + form.size]) == form.pack(b"PK\x07\x08", entry.crc32, entry.stop, entry.stop):
            return form.size
    raise FormatError(f"{entry.name} is not followed by its lengths", at=at)


def _name(raw: memoryview, at: int) -> str:
    try:
        text = str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("an entry whose name is no UTF-8", at=at) from error
    if (
        len(raw) > _MAX_NAME
        or not text.isprintable()
        or any(part in {"", ".", ".."} for part in text.split("/"))
        or "\\" in text
    ):
        raise FormatError(f"an entry {text[:100]!a}, which would not stay where it is put", at=at)
    return text
