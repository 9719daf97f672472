"""Snappy's raw format, unpacked: literals, and copies of what was unpacked before.

What it declares is compared with what the caller allows before anything is unpacked,
and nothing is unpacked beyond it.

Source: google/snappy ``format_description.txt``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import FormatError
from mirror.formats.checkpoint import as_bytes
from mirror.formats.protobuf import varint

if TYPE_CHECKING:
    from typing_extensions import Buffer

_LITERAL = 0
_SHORT_COPY = 1
#: Literals up to this length have it in their tag; above, the tag says in how many bytes it follows.
_MAX_TAGGED = 60


def decompress(source: Buffer, *, most: int, at: int = 0) -> bytes:
    """Return what was compressed.

    Args:
        source: The whole stream, without the framing format around it.
        most: Bytes that may come out.
        at: Offset of the stream in its file, for the error.

    Raises:
        FormatError: It declares more, or is not exactly what it declares.
    """
    data = as_bytes(source)
    size, position = varint(data, 0, at=at)
    if size > most:
        raise FormatError(f"snappy data of {size} bytes, where {most} are allowed", at=at)
    out = bytearray()
    while position < len(data):
        length, offset, start = _element(data, position, at)
        if length > size - len(out):
            raise FormatError(f"snappy data that goes past its {size} bytes", at=at + position)
        if offset is None:
            position = start + length
            if position > len(data):
                raise FormatError(f"a literal of {length} bytes, where {len(data) - start} are left", at=at + start)
            out += data[start:position]
        elif 0 < offset <= len(out):
            position = start
            _copy(out, offset, length)
        else:
            raise FormatError(f"a copy from {offset} bytes back, where {len(out)} are unpacked", at=at + position)
    if len(out) < size:
        raise FormatError(f"snappy data of {len(out)} bytes that declares {size}", at=at)
    return bytes(out)


def _element(data: memoryview, position: int, at: int) -> tuple[int, int | None, int]:
    """Return length, offset back, which no literal has, and where the bytes after the tag begin."""
    tag, start = data[position], position + 1
    kind, upper = tag & 3, tag >> 2
    width = 1 << (kind - 1) if kind else max(0, upper - _MAX_TAGGED + 1)  # of an offset, or of a length
    stop = start + width
    if stop > len(data):
        raise FormatError("snappy data that ends in a tag", at=at + position)
    number = int.from_bytes(data[start:stop], "little")
    if kind == _LITERAL:
        return (number if width else upper) + 1, None, stop
    if kind == _SHORT_COPY:
        return (upper & 7) + 4, (tag >> 5) << 8 | number, stop
    return upper + 1, number, stop


def _copy(out: bytearray, offset: int, length: int) -> None:
    """Append ``length`` bytes from ``offset`` back; they repeat where they reach themselves."""
    start = len(out) - offset
    if length <= offset:
        out += out[start : start + length]
    else:
        out += (out[start:] * (length // offset + 1))[:length]
