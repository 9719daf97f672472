"""Snappy, unpacked: what its description says, and what a hostile stream says instead."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import FormatError
from mirror.formats.snappy import decompress
from mirror.upstream.containers.tf_bundle import varint

MOST = 1 << 16


def literal(data: bytes) -> bytes:
    """Return ``data`` as one element, its length in the tag or in as few bytes as hold it."""
    count = len(data) - 1
    if count < 60:
        return bytes([count << 2]) + data
    width = (count.bit_length() + 7) // 8
    return bytes([(59 + width) << 2]) + count.to_bytes(width, "little") + data


def copy(offset: int, length: int) -> bytes:
    """Return a copy as one element, in the shortest form that holds it."""
    if 4 <= length < 12 and offset < 1 << 11:
        return bytes([offset >> 8 << 5 | length - 4 << 2 | 1, offset & 255])
    if offset < 1 << 16:
        return bytes([length - 1 << 2 | 2]) + offset.to_bytes(2, "little")
    return bytes([length - 1 << 2 | 3]) + offset.to_bytes(4, "little")


def stream(size: int, *elements: bytes) -> bytes:
    return varint(size) + b"".join(elements)


@pytest.mark.parametrize("count", [1, 59, 60, 61, 256, 257, 65_536])
def test_a_literal_of_any_length_comes_out_as_it_is(count: int) -> None:
    data = bytes(at % 251 for at in range(count))
    assert decompress(stream(count, literal(data)), most=MOST) == data


def test_a_copy_may_reach_into_itself() -> None:
    assert decompress(stream(9, literal(b"abc"), copy(2, 6)), most=MOST) == b"abcbcbcbc"
    assert decompress(stream(65, literal(b"x"), copy(1, 64)), most=MOST) == b"x" * 65


def test_every_form_of_a_copy_reaches_back() -> None:
    start = bytes(range(256)) * 300
    for offset, length in ((1, 4), (2047, 11), (2048, 5), (65_535, 64), (70_000, 1), (len(start), 64)):
        whole = stream(len(start) + length, literal(start), copy(offset, length))
        expected = (start[-offset:] * length)[:length]
        assert decompress(whole, most=1 << 17) == start + expected


def test_nothing_may_be_compressed() -> None:
    assert decompress(b"\0", most=0) == b""


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "a varint without an end"),
    "a size that does not end": (b"\xff" * 10, "a varint without an end"),
    "a size longer than it need be": (b"\x81\x00" + literal(b"a"), "longer than it need be"),
    "a bomb": (stream(1 << 40, literal(b"x"), copy(1, 64)), "of 1099511627776 bytes, where 65536 are allowed"),
    "one byte too many": (stream(MOST + 1, literal(b"x")), "where 65536 are allowed"),
    "a literal past what is declared": (stream(2, literal(b"abc")), "byte 1: snappy data that goes past its 2 bytes"),
    "a copy past what is declared": (stream(4, literal(b"abc"), copy(3, 4)), "past its 4 bytes"),
    "a literal past the end": (stream(9, b"\x20abc"), "a literal of 9 bytes, where 3 are left"),
    "a tag alone": (stream(9, literal(b"abc"), b"\x02"), "byte 5: snappy data that ends in a tag"),
    "a literal's length cut": (stream(9, b"\xf4\x01"), "ends in a tag"),
    "a literal of 4 GiB": (stream(9, b"\xfc\xff\xff\xff\xff" + b"a"), "past its 9 bytes"),
    "a copy from nowhere": (stream(9, copy(1, 4)), "1 bytes back, where 0 are unpacked"),
    "a copy from before the start": (stream(9, literal(b"abc"), copy(4, 4)), "4 bytes back, where 3 are unpacked"),
    "a copy of itself": (stream(9, literal(b"abc"), copy(0, 4)), "0 bytes back"),
    "less than declared": (stream(4, literal(b"abc")), "of 3 bytes that declares 4"),
    "trailing bytes": (stream(3, literal(b"abc"), literal(b"d")), "past its 3 bytes"),
}


@given(st.binary(max_size=200))
def test_any_bytes_give_bytes_or_our_error(data: bytes) -> None:
    with suppress(FormatError):
        assert len(decompress(data, most=MOST)) <= MOST


@given(st.data())
def test_what_any_elements_say_comes_out(data: st.DataObject) -> None:
    expected, elements = bytearray(), []
    for _ in range(data.draw(st.integers(1, 8))):
        if not expected or data.draw(st.booleans()):
            piece = data.draw(st.binary(min_size=1, max_size=90))
            elements.append(literal(piece))
            expected += piece
        else:
            offset, length = data.draw(st.integers(1, len(expected))), data.draw(st.integers(1, 64))
            elements.append(copy(offset, length))
            for _ in range(length):
                expected.append(expected[-offset])
    assert decompress(stream(len(expected), *elements), most=MOST) == expected
