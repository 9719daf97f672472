"""LevelDB's table as TensorFlow writes it: sorted keys and their values, in blocks with a CRC.

Stricter than its readers: the blocks fill the file from its first byte to the footer,
in the order of their index, and every key lies between the separators of its block.
So no byte is unread, and no block is read twice.

Source: LevelDB ``doc/table_format.md``; TensorFlow ``core/lib/io/format.cc``, ``block.cc``,
``table_builder.cc``; ``core/lib/hash/crc32c.h`` for the mask.
"""

from __future__ import annotations

import struct
from operator import lt
from typing import TYPE_CHECKING, NamedTuple

import google_crc32c

from mirror.errors import FormatError
from mirror.formats import snappy
from mirror.formats.checkpoint import as_bytes
from mirror.formats.protobuf import varint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5  # kind of the block and its CRC
_PLAIN = 0
_SNAPPY = 1
_MAX_KEY = 4096
#: Bytes of all blocks that are compressed, unpacked. TensorFlow cuts blocks at 256 KiB and writes
#: none of them compressed; our decoder takes up to half a second for these.
_MAX_UNPACKED = 1 << 19
_MASK_DELTA = 0xA282EAD8
_MAX_WORD = 0xFFFFFFFF
_PIECE = 1 << 20


class Entry(NamedTuple):
    """One key and its value.

    Attributes:
        key: Its bytes.
        value: A view of its bytes.
        at: Offset of the entry in the file; of its block where that is compressed.
    """

    key: bytes
    value: memoryview
    at: int


class _Span(NamedTuple):
    """First byte of a block, and the byte after its content; the trailer follows."""

    start: int
    stop: int


def crc32c(source: Buffer) -> int:
    """Return the CRC-32C of some bytes, unmasked (RFC 3720 §12.1)."""
    data = as_bytes(source)
    value = 0
    # The library takes nothing but bytes: one piece at a time is copied, not a whole tensor.
    for start in range(0, len(data), _PIECE):
        value = google_crc32c.extend(value, bytes(data[start : start + _PIECE]))
    return value


def mask(crc: int) -> int:
    """Return a CRC as LevelDB stores it, so that a CRC over a CRC is no trap."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _MAX_WORD


def unmask(masked: int) -> int:
    """Return the CRC of which ``mask`` is ``masked``."""
    turned = (masked - _MASK_DELTA) & _MAX_WORD
    return (turned >> 17 | turned << 15) & _MAX_WORD


def entries(source: Buffer, *, most: int) -> Iterator[Entry]:
    """Return the entries of a table one by one, their keys strictly increasing.

    What is wrong further on is only found when the last entry has been asked for.

    Args:
        source: The whole file.
        most: Entries that it may have.

    Raises:
        FormatError: It is not exactly a table.
    """
    data = as_bytes(source)
    metaindex, index = _footer(data)
    budget = _Budget(most)
    if next(_walk(*_block(data, metaindex, budget)), None) is not None:
        raise FormatError("a metaindex that is not empty", at=metaindex.start)
    end, before = 0, None
    for separator, value, at in _walk(*_block(data, index, budget)):
        span, rest = _handle(value, 0, at)
        if rest != len(value):
            raise FormatError("bytes after a block's offset and size", at=at)
        if span.start != end:
            raise FormatError(f"a block at byte {span.start}, where one ends at byte {end}", at=at)
        key = None
        for entry in _walk(*_block(data, span, budget)):
            if key is None and before is not None and entry.key <= before:
                raise FormatError("the key is not after the separator before its block", at=entry.at)
            budget.count(entry.at)
            key = entry.key
            yield entry
        if key is None or key > separator:
            raise FormatError("a block that is empty, or goes past its separator", at=span.start)
        end, before = span.stop + _TRAILER, separator
    if end != metaindex.start:
        raise FormatError(f"{metaindex.start - end} bytes that belong to no block", at=end)


class _Budget:
    """What one table may still cost."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counted = 0
        self._unpacked = 0

    def count(self, at: int) -> None:
        """Take in one entry."""
        self._counted += 1
        if self._counted > self._most:
            raise FormatError(f"more than {self._most} entries", at=at)

    def unpack(self, data: memoryview, at: int) -> memoryview:
        """Return what a compressed block holds."""
        found = snappy.decompress(data, most=_MAX_UNPACKED - self._unpacked, at=at)
        self._unpacked += len(found)
        return memoryview(found)


def _footer(data: memoryview) -> tuple[_Span, _Span]:
    """Return where metaindex and index are: one after the other, before the footer."""
    at = len(data) - _FOOTER
    if at < 0 or data[-len(MAGIC) :] != MAGIC:
        raise FormatError("no table: TensorFlow's and LevelDB's end with a magic number that is not there")
    handles = data[at : -len(MAGIC)]
    metaindex, position = _handle(handles, 0, at)
    index, position = _handle(handles, position, at)
    if any(handles[position:]):
        raise FormatError("a footer that is not filled up with zeros", at=at)
    if metaindex.stop + _TRAILER != index.start or index.stop + _TRAILER != at:
        raise FormatError("metaindex and index do not lie right before the footer", at=at)
    return metaindex, index


def _handle(data: memoryview, position: int, at: int) -> tuple[_Span, int]:
    """Return the span that a block handle is, and the offset after it."""
    start, position = varint(data, position, at=at)
    size, position = varint(data, position, at=at)
    return _Span(start, start + size), position


def _block(data: memoryview, span: _Span, budget: _Budget) -> tuple[memoryview, int, bool]:
    """Return the content of a block after a look at its CRC, where it is, and whether it lies there as it is."""
    kind_at, stop = span.stop, span.stop + _TRAILER
    if stop > len(data) - _FOOTER:
        raise FormatError(f"a block of {kind_at - span.start} bytes goes past the last one", at=span.start)
    stated = unmask(int.from_bytes(data[kind_at + 1 : stop], "little"))
    if crc32c(data[span.start : kind_at + 1]) != stated:
        raise FormatError("the block does not have its CRC-32C", at=span.start)
    content, kind = data[span.start : kind_at], data[kind_at]
    if kind == _PLAIN:
        return content, span.start, True
    if kind == _SNAPPY:
        return budget.unpack(content, span.start), span.start, False
    raise FormatError(f"a block compressed in way {kind}", at=kind_at)


def _walk(block: memoryview, at: int, plain: bool) -> Iterator[Entry]:
    """Return the entries of a block, and refuse it after the last where its restart points are others."""
    end, restarts = _tail(block, at)
    full: list[int] = []
    position, key = 0, None
    while position < end:
        start, here = position, at + position if plain else at
        shared, position = varint(block, position, at=here)
        added, position = varint(block, position, at=here)
        length, position = varint(block, position, at=here)
        if shared > len(key or b"") or shared + added > _MAX_KEY:
            raise FormatError(f"a key of {shared} bytes from before and {added} more", at=here)
        stop = position + added + length
        if stop > end:
            raise FormatError(f"an entry of {added + length} bytes, where {end - position} are left", at=here)
        following = (key or b"")[:shared] + bytes(block[position : position + added])
        if key is not None and following <= key:
            raise FormatError("the key is not after the one before", at=here)
        key = following
        if not shared:
            full.append(start)
        yield Entry(key, block[position + added : stop], here)
        position = stop
    _check_restarts(restarts, full, at)


def _tail(block: memoryview, at: int) -> tuple[int, memoryview]:
    """Return where the entries of a block end, and the offsets of its restart points."""
    count = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (count + 1)
    if not count or end < 0:
        raise FormatError(f"{count} restart points in a block of {len(block)} bytes", at=at)
    return end, block[end:-4]


def _check_restarts(restarts: memoryview, full: list[int], at: int) -> None:
    """Refuse points that are no entries with a whole key: a reader that jumps would see other entries."""
    count = len(restarts) // 4
    if count <= max(1, len(full)):
        offsets = struct.unpack(f"<{count}I", restarts)
        if offsets[0] == 0 and all(map(lt, offsets, offsets[1:])) and {0, *full}.issuperset(offsets):
            return
    raise FormatError("restart points that are not entries of the block, in their order", at=at)
