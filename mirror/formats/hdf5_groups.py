"""The groups of an HDF5 file, down to the headers of its datasets.

Groups are read in the layout that HDF5 had first, which is Keras's: a header of messages, a
tree of names, a heap with their letters. Whatever is read is noted as belonging to
something, so that the caller can see that nothing belongs to two. No circle lasts: a header
is read once, a node's level is that of its parent less one, and steps are counted.

Source: The HDF Group, "HDF5 File Format Specification Version 3.0", II.A, III and IV.A.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import FormatError
from mirror.formats.checkpoint import MAX_NAME, MAX_TENSORS, check_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_DEPTH = 24
#: Messages, entries and nodes: a dataset that Keras writes has eight of them.
_MAX_STEPS = 10 * MAX_TENSORS
#: An address that is none.
NOWHERE = 0xFFFF_FFFF_FFFF_FFFF

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCK = struct.Struct("<8sB4xBBx8xQQQQ40s")
_ENTRY = struct.Struct("<QQI4xQQ")
_PREFIX = struct.Struct("<BxH4xI4x")
_MESSAGE = struct.Struct("<HHB3x")
_TREE = struct.Struct("<4sBBHQQ")
_PAIR = struct.Struct("<QQ")
_HEAP = struct.Struct("<4sB3xQQQ")
_NODE = struct.Struct("<4sBxH")

#: The messages that matter: a dataset has the first three, a group the fourth.
SHAPE, DTYPE, LAYOUT, _GROUP, _CONTINUED = 0x01, 0x03, 0x08, 0x11, 0x10
_DATASET = frozenset({SHAPE, DTYPE, LAYOUT})
_KNOWN = _DATASET | {_GROUP, _CONTINUED}
_SHARED = 0x02
#: Padding, fill values, attributes, comments, times, where attributes are, how many names there are.
_PASSED_OVER = frozenset({0x00, 0x04, 0x05, 0x0C, 0x0D, 0x0E, 0x12, 0x15, 0x16})
_REFUSED = {
    0x02: "links in the newer layout",
    0x06: "links in the newer layout",
    0x07: "elements that lie in other files",
    0x0B: "packed elements",
}


class _Entry(NamedTuple):
    """One name in a group, as the file has it; what is cached repeats what the object itself says."""

    name_at: int
    header: int
    cached: int
    tree: int
    heap: int


class Message(NamedTuple):
    """One fact about an object, and where it stands."""

    at: int
    data: memoryview


class Structure:
    """The file's groups, and what has been read of them.

    Attributes:
        data: The whole file.
        spans: What belongs to something: first byte, byte after the last, whose.
    """

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.spans: list[tuple[int, int, str]] = []
        self._headers: set[int] = set()
        self._steps = 0

    def datasets(self) -> Iterator[tuple[str, Mapping[int, Message]]]:
        """Give the name of each dataset, and what is said of it."""
        return self._below(self._root(), "", 0)

    def take(self, start: int, length: int, name: str) -> memoryview:
        """Return bytes that belong to ``name``, and to nothing else."""
        if start > len(self.data) or length > len(self.data) - start:
            raise FormatError(f"bytes {start} to {start + length} of {len(self.data)}", tensor=name)
        self.spans.append((start, start + length, name or "the root"))
        return self.data[start : start + length]

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise FormatError("more structure than weights need")

    def _root(self) -> _Entry:
        fields = _SUPERBLOCK.unpack(self.take(0, _SUPERBLOCK.size, ""))
        signature, version, offsets, lengths, base, _, end, driver, root = fields
        if signature != _SIGNATURE:
            raise FormatError("no HDF5 signature", at=0)
        if version != 0:
            raise FormatError(f"superblock version {version}: the newer layout, which Keras does not write", at=8)
        if (offsets, lengths, base, driver) != (8, 8, 0, NOWHERE):
            raise FormatError("a superblock that is not Keras's: offsets, base address or driver", at=13)
        if end != len(self.data):
            raise FormatError(f"the file says that it ends at byte {end}, and has {len(self.data)}", at=40)
        return _Entry(*_ENTRY.unpack(root))

    def _below(self, entry: _Entry, name: str, depth: int) -> Iterator[tuple[str, Mapping[int, Message]]]:
        if entry.cached not in {0, 1}:
            raise FormatError("a link that is not hard", tensor=name)
        if entry.header in self._headers:
            raise FormatError("has another name as well", at=entry.header, tensor=name)
        self._headers.add(entry.header)
        messages = self._messages(entry.header, name)
        if messages.keys() == _DATASET and not entry.cached:
            yield name, messages
            return
        if messages.keys() != {_GROUP}:
            raise FormatError("neither a group nor a dataset", at=entry.header, tensor=name)
        if depth > _MAX_DEPTH:
            raise FormatError(f"more than {_MAX_DEPTH} levels", at=entry.header, tensor=name)
        tree, heap = _PAIR.unpack(exactly(messages[_GROUP], _PAIR.size, name))
        if entry.cached and (entry.tree, entry.heap) != (tree, heap):
            raise FormatError("a group that its name has elsewhere", at=entry.header, tensor=name)
        names = self._names(heap, name)
        before = ""
        for below in self._entries(tree, None, name):
            key = _text(names, below.name_at, name)
            if key <= before or "/" in key or key == ".":
                raise FormatError(f"the name {key[:60]!a}: out of order, or no name", at=heap, tensor=name)
            before = key
            path = f"{name}/{key}" if name else key
            check_name(path)
            yield from self._below(below, path, depth + 1)

    def _messages(self, address: int, name: str) -> dict[int, Message]:
        """Return what an object's header says, as far as it matters."""
        version, stated, length = _PREFIX.unpack(self.take(address, _PREFIX.size, name))
        if version != 1:
            raise FormatError("no object header in the layout that Keras writes", at=address, tensor=name)
        blocks = [(address + _PREFIX.size, length)]
        found: dict[int, Message] = {}
        count = 0
        while blocks:
            start, length = blocks.pop()
            for kind, message in self._block(start, length, name):
                count += 1
                if kind == _CONTINUED:
                    blocks.append(_PAIR.unpack(exactly(message, _PAIR.size, name)))
                elif kind in found:
                    raise FormatError("says one thing twice", at=message.at, tensor=name)
                elif kind not in _PASSED_OVER:
                    found[kind] = message
        if count != stated:
            raise FormatError(f"a header of {stated} messages has {count}", at=address, tensor=name)
        return found

    def _block(self, start: int, length: int, name: str) -> Iterator[tuple[int, Message]]:
        block = self.take(start, length, name)
        at = 0
        while at < length:
            self._step()
            if length - at < _MESSAGE.size:
                raise FormatError("a message that is cut off", at=start + at, tensor=name)
            kind, size, flags = _MESSAGE.unpack_from(block, at)
            body = Message(start + at + _MESSAGE.size, block[at + _MESSAGE.size :][:size])
            if len(body.data) < size:
                raise FormatError("a message that is cut off", at=start + at, tensor=name)
            if kind not in _PASSED_OVER and (kind not in _KNOWN or flags & _SHARED):
                said = _REFUSED.get(kind, f"a message of type {kind}") if kind not in _KNOWN else "a shared message"
                raise FormatError(f"{said}, which Keras does not write", at=start + at, tensor=name)
            yield kind, body
            at += _MESSAGE.size + size

    def _entries(self, address: int, level: int | None, name: str) -> Iterator[_Entry]:
        """Go through the names of a group, from a node of its tree down."""
        signature, kind, found, count, _, _ = _TREE.unpack(self.take(address, _TREE.size, name))
        if signature != b"TREE" or kind != 0 or (found != level if level is not None else found > _MAX_DEPTH):
            raise FormatError("no node of a group's tree, or not of its level", at=address, tensor=name)
        children = self.take(address + _TREE.size, count * _PAIR.size + 8, name)
        for at in range(count):
            self._step()
            _, child = _PAIR.unpack_from(children, at * _PAIR.size)
            yield from self._entries(child, found - 1, name) if found else self._leaf(child, name)

    def _leaf(self, address: int, name: str) -> Iterator[_Entry]:
        signature, version, count = _NODE.unpack(self.take(address, _NODE.size, name))
        if signature != b"SNOD" or version != 1:
            raise FormatError("no node of a group's names", at=address, tensor=name)
        entries = self.take(address + _NODE.size, count * _ENTRY.size, name)
        for fields in _ENTRY.iter_unpack(entries):
            self._step()
            yield _Entry(*fields)

    def _names(self, address: int, name: str) -> memoryview:
        """Return the bytes among which a group has its names."""
        signature, version, length, _, start = _HEAP.unpack(self.take(address, _HEAP.size, name))
        if signature != b"HEAP" or version != 0:
            raise FormatError("no heap of names", at=address, tensor=name)
        return self.take(start, length, name)


def _text(names: memoryview, at: int, name: str) -> str:
    found, end, _ = bytes(names[at : at + MAX_NAME + 1]).partition(b"\0")
    if not end:
        raise FormatError("a name that does not end", tensor=name)
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise FormatError("a name that is no UTF-8", tensor=name) from error


def exactly(message: Message, length: int, name: str) -> memoryview:
    """Return a message's content of ``length`` bytes; it is padded to a multiple of eight."""
    if len(message.data) - length not in range(8):
        raise FormatError("a message of another length", at=message.at, tensor=name)
    return message.data[:length]
