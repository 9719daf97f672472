"""Protocol Buffers' wire format: the fields of one message, in the order they stand.

No schema and no nesting: the content of a message inside a message is read by another
call. Fields are given one by one, so that whoever reads them can stop. A number longer
than it need be is refused: every known writer writes the shortest form.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_MAX_NUMBER = (1 << 29) - 1
_MAX_VARINT = 10
_SIGN = 1 << 63


class Wire(IntEnum):
    """How the value of a field is written; groups (3 and 4) are nobody's any more."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


_WIRES = {wire.value: wire for wire in Wire}
_FIXED = {Wire.FIXED64: 8, Wire.FIXED32: 4}


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: As its schema numbers it.
        wire: How its value is written.
        value: Of a varint or a fixed one, its bits as an unsigned number; 0 for bytes.
        content: Of bytes, text or a message, a view of it; else of the value's own bytes.
    """

    number: int
    wire: Wire
    value: int
    content: memoryview


def varint(data: memoryview, start: int, *, at: int) -> tuple[int, int]:
    """Return the base-128 number at ``start``, and the offset after it.

    Args:
        data: Bytes that hold it.
        start: Offset of its first byte in ``data``.
        at: Offset in the file of what it is part of, for the error.

    Raises:
        FormatError: It does not end, has more than 64 bits, or is longer than it need be.
    """
    if start < len(data) and data[start] < 0x80:
        return data[start], start + 1
    value = 0
    for position in range(start, min(start + _MAX_VARINT, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << 7 * (position - start)
        if byte < 0x80:
            if value >> 64 or (not byte and position > start):
                raise FormatError("a varint that is longer than it need be", at=at)
            return value, position + 1
    raise FormatError("a varint without an end", at=at)


def signed(value: int) -> int:
    """Return the number that a varint's 64 bits are, where the schema has int32 or int64."""
    return value - (value & _SIGN) * 2


def fields(data: memoryview, *, at: int) -> Iterator[Field]:
    """Return the fields of a message, one by one.

    Args:
        data: The whole message.
        at: Offset of it in the file, for the error.

    Raises:
        FormatError: Something in it is no field, or goes past its end.
    """
    position = 0
    while position < len(data):
        tag, position = varint(data, position, at=at)
        number, wire = tag >> 3, _WIRES.get(tag & 7)
        if wire is None or not 0 < number <= _MAX_NUMBER:
            raise FormatError(f"a field of number {number} and wire type {tag & 7}", at=at)
        value, start = 0, position
        if wire is Wire.VARINT:
            value, position = varint(data, position, at=at)
        else:
            length = _FIXED.get(wire)
            if length is None:
                length, start = varint(data, position, at=at)
            if length > len(data) - start:
                raise FormatError(f"{length} bytes for field {number}, where {len(data) - start} are left", at=at)
            position = start + length
            value = int.from_bytes(data[start:position], "little") if wire in _FIXED else 0
        yield Field(number, wire, value, data[start:position])


def known_fields(
    data: memoryview, known: Mapping[int, Wire], *, repeated: Collection[int] = (), at: int
) -> Iterator[Field]:
    """Return the fields of a message whose schema is known and does not grow.

    Args:
        data: The whole message.
        known: How each field of the schema is written, by its number.
        repeated: Numbers of the fields that may be there more than once.
        at: Offset of the message in the file, for the error.

    Raises:
        FormatError: A field is not in the schema, is written otherwise, or is there twice.
    """
    seen: set[int] = set()
    for field in fields(data, at=at):
        if known.get(field.number) is not field.wire:
            raise FormatError(f"field {field.number} of wire type {field.wire} is not in the schema", at=at)
        if field.number in seen and field.number not in repeated:
            raise FormatError(f"field {field.number} is there twice", at=at)
        seen.add(field.number)
        yield field
