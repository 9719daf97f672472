"""How a zip's parts lie in its file: every byte belongs to a member, to its header or to the directory.

What lies between would be seen by some readers and not by others, and by none who ask the
directory. And where a zip was cut off, its directory is gone: then its members tell how far it went.

Source: PKWARE APPNOTE 4.3.6 to 4.3.16.
"""

from __future__ import annotations

import io
import struct
from typing import IO, TYPE_CHECKING

from mirror.errors import ArchiveError

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterable

_LOCAL = struct.Struct("<4s5H3I2H")  # 4.3.7
_END = struct.Struct("<4s4H2IH")  # 4.3.16
_END64, _LOCATOR = 56, 20  # 4.3.14, 4.3.15
_DESCRIBED = 0x8  # 4.4.4, bit 3
#: The longest descriptor that may follow a member whose length was not known before (4.3.9).
_DESCRIPTOR = 24
_NONE32 = 0xFFFFFFFF
#: Members of a zip without a directory that are looked at.
_MOST = 100_000


def check_covered(file: IO[bytes], infos: Iterable[zipfile.ZipInfo], directory: int, comment: bytes) -> None:
    """Refuse bytes that belong to nothing, and members that share bytes: a few of them unpack to petabytes.

    Args:
        file: The zip.
        infos: Its members, directories included.
        directory: Where its directory begins.
        comment: What follows its last record.

    Raises:
        ArchiveError: There are such.
        OSError: The file cannot be read.

    Source: D. Fifield, A better zip bomb, WOOT 2019, for the bombs.
    """
    end = slack = 0
    for info in sorted(infos, key=lambda each: each.header_offset):
        _check_gap(end, info.header_offset, slack, info.orig_filename)
        file.seek(info.header_offset)
        name, extra = _LOCAL.unpack(file.read(_LOCAL.size))[-2:]
        end = info.header_offset + _LOCAL.size + name + extra + info.compress_size
        slack = _DESCRIPTOR if info.flag_bits & _DESCRIBED else 0
    _check_gap(end, directory, slack, "its directory")
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - _END.size - len(comment)))
    magic, *_, size, start, _ = _END.unpack(file.read(_END.size))
    after = start + size if _NONE32 not in {start, size} else length - _END.size - len(comment) - _END64 - _LOCATOR
    if magic != b"PK\x05\x06" or length - len(comment) - _END.size not in {after, after + _END64 + _LOCATOR}:
        raise ArchiveError("bytes around its last record that belong to nothing")


def _check_gap(end: int, begin: int, slack: int, name: str) -> None:
    if begin < end:
        raise ArchiveError("overlaps the member before it", member=name)
    if begin > end + slack:
        raise ArchiveError(f"{begin - end} bytes before it belong to no member", member=name)


def where_cut(file: IO[bytes]) -> str:
    """Say at which byte of how many a zip ends that has lost its directory.

    Raises:
        OSError: The file cannot be read.
    """
    length = file.seek(0, io.SEEK_END)
    at, inside = 0, ""
    for _ in range(_MOST):
        file.seek(at)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
            break
        _, _, flags, _, _, _, _, packed, _, name, extra = _LOCAL.unpack(header)
        inside = ascii(file.read(name).decode("utf-8", "replace"))
        at += _LOCAL.size + name + extra + packed
        if at > length:
            return f"cut off at byte {length}, in {inside}, which goes on to byte {at}"
        if flags & _DESCRIBED and not packed:
            break  # how long it is follows behind it
    return f"cut off at byte {length}{f', in or after {inside}' if inside else ''}: it has no directory"
