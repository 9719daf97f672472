"""The part of MessagePack that weights are written in, decoded into inert values.

Maps, lists, text, booleans and whole numbers from zero on become Python's own. Bytes and
extensions become the spans where they lie, so that nothing is copied. The other types,
which no weights need, are refused by name; so are a key that is there twice, more items
than a model has, and a count or length that the bytes left cannot hold.

Source: msgpack/msgpack ``spec.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mirror.errors import FormatError
from mirror.formats.checkpoint import MAX_NAME, check_count

if TYPE_CHECKING:
    from collections.abc import Callable

#: Maps and lists inside one another: nesting beyond this is built to harm.
MAX_DEPTH = 24
#: Items of all maps and lists together, five for each tensor of the largest file that we take.
MAX_ITEMS = 100_000


class Span(NamedTuple):
    """Where bytes lie in the file: the first, and the one after the last."""

    start: int
    stop: int


class Extension(NamedTuple):
    """A value of a type that the writing program defined.

    Attributes:
        code: Which type, −128 to 127.
        start: Offset of its first byte.
        stop: Offset of the byte after its last.
    """

    code: int
    start: int
    stop: int


Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | bool | Span | Extension"


def decode(data: memoryview, start: int = 0, stop: int | None = None, *, most: int = MAX_ITEMS) -> Value:
    """Return the one value that fills the half-open span of ``data``.

    Args:
        data: The file.
        start: Offset of the value's first byte.
        stop: Offset of the byte after its last; the end of the file when None.
        most: How many items its maps and lists may have together.

    Raises:
        FormatError: It does not fill the span, is damaged, too large, or of a type that no weights need.
    """
    stop = len(data) if stop is None else stop
    decoder = _Decoder(data, start, stop, most)
    found = decoder.value()
    if decoder.at != stop:
        raise FormatError(f"{stop - decoder.at} bytes after the end", at=decoder.at)
    return found


class _Decoder:
    """A place in the bytes, and how much has been found so far.

    Attributes:
        at: Offset of the next byte.
    """

    def __init__(self, data: memoryview, start: int, stop: int, most: int) -> None:
        self.at = start
        self._data = data
        self._stop = stop
        self._items_left = most
        self._extensions = 0
        self._depth = 0
        self._begun = start

    def value(self) -> Value:
        self._begun = self.at
        first = self.number(1)
        if first < 0x80:
            return first
        if first < 0x90:
            return self.map(first & 0x0F)
        if first < 0xA0:
            return self.list(first & 0x0F)
        if first < 0xC0:
            return self.text(first & 0x1F)
        known = _TYPES.get(first)
        if known is None:
            raise self._wrong(f"the msgpack type {_NAMES.get(first, 'negative fixint')}, which no weights need")
        return known(self)

    def number(self, size: int) -> int:
        start, stop = self.take(size)
        return int.from_bytes(self._data[start:stop], "big")

    def take(self, length: int) -> Span:
        left = self._stop - self.at
        if length > left:
            raise self._wrong(f"{length} bytes are said to follow, {left} do")
        self.at += length
        return Span(self.at - length, self.at)

    def map(self, count: int) -> dict[str, Value]:
        self._enter(count, least=2)
        found: dict[str, Value] = {}
        for _ in range(count):
            key_at = self.at
            key = self.value()
            if not isinstance(key, str):
                raise FormatError("a map's key that is no text", at=key_at)
            if key in found:
                raise FormatError(f"the key {key[:60]!a} is there twice", at=key_at)
            found[key] = self.value()
        self._depth -= 1
        return found

    def list(self, count: int) -> list[Value]:
        self._enter(count, least=1)
        found = [self.value() for _ in range(count)]
        self._depth -= 1
        return found

    def _enter(self, count: int, *, least: int) -> None:
        """Go one level deeper, where ``count`` items of at ``least`` so many bytes are said to be."""
        left = self._stop - self.at
        if count * least > left:
            raise self._wrong(f"{count} items are said to follow, in {left} bytes")
        self._items_left -= count
        if self._items_left < 0:
            raise self._wrong("more items than a model has")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"more than {MAX_DEPTH} levels")

    def text(self, length: int) -> str:
        if length > MAX_NAME:
            raise self._wrong(f"a text of {length} bytes")
        start, stop = self.take(length)
        try:
            return str(self._data[start:stop], "utf-8")
        except UnicodeDecodeError as error:
            raise FormatError("text that is no UTF-8", at=start + error.start) from error

    def extension(self, length: int) -> Extension:
        self._extensions += 1
        check_count(self._extensions)
        code = self.number(1)
        return Extension(code - 256 if code > 127 else code, *self.take(length))

    def _wrong(self, message: str) -> FormatError:
        return FormatError(message, at=self._begun)


_TYPES: dict[int, Callable[[_Decoder], Value]] = {
    0xC2: lambda decoder: False,
    0xC3: lambda decoder: True,
    0xC4: lambda decoder: decoder.take(decoder.number(1)),
    0xC5: lambda decoder: decoder.take(decoder.number(2)),
    0xC6: lambda decoder: decoder.take(decoder.number(4)),
    0xC7: lambda decoder: decoder.extension(decoder.number(1)),
    0xC8: lambda decoder: decoder.extension(decoder.number(2)),
    0xC9: lambda decoder: decoder.extension(decoder.number(4)),
    0xCC: lambda decoder: decoder.number(1),
    0xCD: lambda decoder: decoder.number(2),
    0xCE: lambda decoder: decoder.number(4),
    0xCF: lambda decoder: decoder.number(8),
    0xD4: lambda decoder: decoder.extension(1),
    0xD5: lambda decoder: decoder.extension(2),
    0xD6: lambda decoder: decoder.extension(4),
    0xD7: lambda decoder: decoder.extension(8),
    0xD8: lambda decoder: decoder.extension(16),
    0xD9: lambda decoder: decoder.text(decoder.number(1)),
    0xDA: lambda decoder: decoder.text(decoder.number(2)),
    0xDB: lambda decoder: decoder.text(decoder.number(4)),
    0xDC: lambda decoder: decoder.list(decoder.number(2)),
    0xDD: lambda decoder: decoder.list(decoder.number(4)),
    0xDE: lambda decoder: decoder.map(decoder.number(2)),
    0xDF: lambda decoder: decoder.map(decoder.number(4)),
}
_NAMES = {
    0xC0: "nil",
    0xC1: "0xc1",
    0xCA: "float 32",
    0xCB: "float 64",
    0xD0: "int 8",
    0xD1: "int 16",
    0xD2: "int 32",
    0xD3: "int 64",
}
