"""TensorFlow's checkpoint V2: an index, which is a LevelDB table, and one data file.

Source: TensorFlow ``core/util/tensor_bundle/tensor_bundle.cc``, ``core/lib/io/table_builder.cc``,
``block_builder.cc``, ``format.cc``; LevelDB ``doc/table_format.md``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mirror.upstream.content import crc32c

if TYPE_CHECKING:
    from mirror.upstream.containers.tensors import Named

_MAGIC = 0xDB4775248B80FB57
_RESTART_INTERVAL = 16
_BLOCK_SIZE = 262144
_FLOAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of the index; ``crc`` is unmasked."""

    name: str
    shape: tuple[int, ...]
    offset: int
    size: int
    crc: int


def write(tensors: list[Named]) -> tuple[bytes, bytes]:
    """Return index and data file of the tensors."""
    entries, parts, offset = [], [], 0
    for tensor in sorted(tensors, key=lambda one: one.name.encode()):
        data = tensor.array.astype("<f4", copy=False).tobytes()
        entries.append(Entry(tensor.name, tensor.array.shape, offset, len(data), crc32c(data)))
        parts.append(data)
        offset += len(data)
    return index(entries), b"".join(parts)


def index(entries: list[Entry]) -> bytes:
    """Return the index of float tensors, sorted by name, in one shard."""
    # BundleHeaderProto: num_shards 1, endianness 0 (little, so absent), version {producer 1}.
    table = _Table()
    table.add(b"", b"\x08\x01\x1a\x02\x08\x01")
    for entry in entries:
        table.add(entry.name.encode(), _entry_proto(entry))
    return table.finish()


def _entry_proto(entry: Entry) -> bytes:
    """Return a BundleEntryProto; fields that are zero are absent, as proto3 writes them."""
    dims = b"".join(_field(2, _number(1, length)) for length in entry.shape)
    crc = b"\x35" + struct.pack("<I", mask(entry.crc))
    return _number(1, _FLOAT) + _field(2, dims) + _number(4, entry.offset) + _number(5, entry.size) + crc


def _number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def _field(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """Return a base-128 varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def mask(crc: int) -> int:
    """Return a CRC-32C as LevelDB stores it, so that a CRC of CRCs is no trap."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class _Block:
    """Key-value pairs with shared prefixes, and restart points."""

    def __init__(self, restart_interval: int) -> None:
        self._interval = restart_interval
        self._data = bytearray()
        self._restarts = [0]
        self._since_restart = 0
        self.last = b""

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._since_restart < self._interval:
            while shared < min(len(key), len(self.last)) and key[shared] == self.last[shared]:
                shared += 1
        else:
            self._restarts.append(len(self._data))
            self._since_restart = 0
        rest = key[shared:]
        self._data += varint(shared) + varint(len(rest)) + varint(len(value)) + rest + value
        self._since_restart += 1
        self.last = key

    @property
    def size(self) -> int:
        return len(self._data) + 4 * len(self._restarts) + 4

    def finish(self) -> bytes:
        return bytes(self._data) + struct.pack(f"<{len(self._restarts) + 1}I", *self._restarts, len(self._restarts))


class _Table:
    """A table of uncompressed blocks."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._block = _Block(_RESTART_INTERVAL)
        self._index = _Block(1)
        self._pending: tuple[bytes, bytes] | None = None

    def add(self, key: bytes, value: bytes) -> None:
        if self._pending is not None:
            last, handle = self._pending
            self._index.add(_between(last, key), handle)
            self._pending = None
        self._block.add(key, value)
        if self._block.size >= _BLOCK_SIZE:
            self._flush()

    def _flush(self) -> None:
        last = self._block.last
        self._pending = (last, self._put(self._block.finish()))
        self._block = _Block(_RESTART_INTERVAL)

    def _put(self, block: bytes) -> bytes:
        """Append a block with its type and CRC; return its handle."""
        handle = varint(len(self._out)) + varint(len(block))
        typed = block + b"\0"
        self._out += typed + struct.pack("<I", mask(crc32c(typed)))
        return handle

    def finish(self) -> bytes:
        if self._block.last or self._pending is None:
            self._flush()
        metaindex = self._put(_Block(_RESTART_INTERVAL).finish())
        if self._pending is not None:
            last, handle = self._pending
            self._index.add(_after(last), handle)
        footer = metaindex + self._put(self._index.finish())
        return bytes(self._out) + footer.ljust(40, b"\0") + struct.pack("<Q", _MAGIC)


def _between(last: bytes, following: bytes) -> bytes:
    """Return a short key that is at least ``last`` and less than ``following``."""
    shared = 0
    while shared < min(len(last), len(following)) and last[shared] == following[shared]:
        shared += 1
    if shared < min(len(last), len(following)) and last[shared] < 0xFF and last[shared] + 1 < following[shared]:
        return last[:shared] + bytes([last[shared] + 1])
    return last


def _after(last: bytes) -> bytes:
    """Return a short key that is at least ``last``."""
    for at, byte in enumerate(last):
        if byte != 0xFF:
            return last[:at] + bytes([byte + 1])
    return last
