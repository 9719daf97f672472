"""Flax: real files read bit for bit, and everything that is not exactly one refused."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import FormatError
from mirror.formats import flax

REAL = Path(__file__).parents[1] / "data/flax"
CUT = "__msgpack_chunked_array__"
NAMED = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32"}
NAMED |= {"U8": "uint8", "BOOL": "bool"}


def real(name: str) -> tuple[bytes, list[str]]:
    fixture = json.loads((REAL / f"{name}.json").read_text(encoding="utf-8"))
    data = base64.b64decode("".join(fixture["base64"]))
    assert hashlib.sha256(data).hexdigest() == fixture["sha256"]
    return data, fixture["tensors"]


class Ext:
    def __init__(self, code: int, data: bytes) -> None:
        self.code, self.data = code, data


def pack(value: Any) -> bytes:
    """The msgpack of what Flax writes, always with four bytes of length; pairs stand for a map."""
    match value:
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return b"\xcf" + value.to_bytes(8, "big")
        case str():
            return b"\xdb" + size(value.encode()) + value.encode()
        case bytes():
            return b"\xc6" + size(value) + value
        case Ext():
            return b"\xc9" + size(value.data) + bytes([value.code]) + value.data
        case list():
            return b"\xdd" + size(value) + b"".join(map(pack, value))
        case tuple():
            return b"\xdf" + size(value) + b"".join(pack(key) + pack(below) for key, below in value)
        case dict():
            return pack(tuple(value.items()))
    raise TypeError(value)


def size(value: Any) -> bytes:
    return len(value).to_bytes(4, "big")


def array(shape: Any = (2,), dtype: Any = "float32", data: Any = bytes(8), code: int = 1, more: bytes = b"") -> Ext:
    return Ext(code, pack([list(shape) if isinstance(shape, tuple) else shape, dtype, data]) + more)


def cut(**other: Any) -> dict[str, Any]:
    parts = {CUT: True, "shape": {"0": 3, "1": 1}, "chunks": {"0": array(), "1": array((1,), data=bytes(4))}}
    return {"a": parts | other}


@pytest.mark.parametrize("name", ["plain", "bfloat16", "chunked"])
def test_real_files_of_flax_are_read_bit_for_bit(name: str) -> None:
    data, expected = real(name)
    found = flax.read(data)
    assert found.format == "flax"
    assert sorted(expected) == sorted(
        f"{NAMED[one.dtype]} {'x'.join(map(str, one.shape)) or '-'} "
        f"{hashlib.sha256(one.array.tobytes()).hexdigest()} {one.name}"
        for one in found.tensors
    )


def test_every_whole_array_is_a_view_into_the_bytes() -> None:
    data, _ = real("chunked")
    arrays = {one.name: one.array for one in flax.read(data).tensors}
    shared = {name: np.shares_memory(one, np.frombuffer(data, "u1")) for name, one in arrays.items()}
    assert shared == {"a/cut": False, "a/cut half": False, "a/whole": True}
    assert not any(one.flags.writeable for one in arrays.values())


def test_the_pieces_of_an_array_are_found_by_their_numbers() -> None:
    # msgpack maps have no order, and Flax asks for "0", "1" and so on.
    first, second = (array((1,), data=np.float32(value).tobytes()) for value in (1, 2))
    found = flax.read(pack(cut(chunks={"1": second, "0": first}, shape={"0": 2})))
    assert found.tensors[0].array.tolist() == [1, 2]


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "byte 0: 1 bytes are said to follow, 0 do"),
    "a map32 of 2^32": (b"\xdf\xff\xff\xff\xff", "byte 0: 4294967295 items are said to follow, in 0 bytes"),
    "an array32 of 2^32": (b"\x81\xa1a\xdd\xff\xff\xff\xff" + bytes(99), "byte 3: 4294967295 items"),
    "a shape of 2^32": (
        pack({"a": Ext(1, b"\x93\xdd\xff\xff\xff\xff")}),
        "byte 18: 4294967295 items are said to follow, in 0 bytes",
    ),
    "a million empty maps": (b"\xdf\x00\x0f\x42\x40" + bytes(2_000_000), "more items than a model has"),
    "as many axes as fit": (pack({"a": array((1,) * 10_000)}), "more items than a model has"),
    "nine axes": (pack({"a": array((1,) * 9)}), "tensor a: 9 axes"),
    "20,001 tensors": (pack({str(at): array() for at in range(20_001)}), "more than 20000 tensors"),
    "an ext past the end": (b"\x81\xa1a\xc9\xff\xff\xff\xff\x01", "byte 3: 4294967295 bytes are said to follow, 0 do"),
    "a fixext past the end": (b"\x81\xa1a\xd8\x01", "byte 3: 16 bytes are said to follow, 0 do"),
    "elements past the ext": (
        pack({"a": Ext(1, b"\x93\x90\xa1f\xc4\x09" + bytes(8)), "b": array()}),
        "byte 21: 9 bytes are said to follow, 8 do",
    ),
    "a text past the end": (b"\x81\xd9\xff", "byte 1: 255 bytes are said to follow, 0 do"),
    "a long text": (b"\x81\xdb\x7f\xff\xff\xff", "byte 1: a text of 2147483647 bytes"),
    "25 levels": (b"\x81\xa1a" * 25, "byte 72: more than 24 levels"),
    "a hundred thousand lists": (b"\x91" * 100_000, "byte 24: more than 24 levels"),
    "object dtype": (pack({"a": array(dtype="object")}), "tensor a, byte 17: the dtype 'object', which no weights"),
    "structured dtype": (pack({"a": array(dtype="void64")}), "the dtype 'void64'"),
    "complex dtype": (pack({"a": array((1,), "complex64")}), "the dtype 'complex64'"),
    "big-endian dtype": (pack({"a": array(dtype=">f4")}), "the dtype '>f4'"),
    "bytes do not fit the shape": (pack({"a": array((3,))}), "tensor a, byte 53: 8 bytes for shape [3] of F32"),
    "a shape of 2^63": (pack({"a": array((1 << 63,))}), "tensor a: shape [9223372036854775808]"),
    "a product of 2^64": (pack({"a": array((1 << 32, 1 << 32), data=b"")}), "0 bytes for shape"),
    "a negative shape": (
        pack({"a": Ext(1, b"\x93\x91\xff\xa7float32\xc4\x00")}),
        "byte 19: the msgpack type negative fix",
    ),
    "a boolean shape": (pack({"a": array((True,))}), "tensor a: a shape that is no list of whole numbers"),
    "no shape": (pack({"a": array(8)}), "not exactly shape, dtype and bytes"),
    "elements as text": (pack({"a": array(data="12345678")}), "not exactly shape, dtype and bytes"),
    "a dtype as bytes": (pack({"a": array(dtype=b"float32")}), "not exactly shape, dtype and bytes"),
    "a fourth part": (pack({"a": Ext(1, pack([[2], "float32", bytes(8), 1]))}), "not exactly shape, dtype and bytes"),
    "bytes after an array": (pack({"a": array(more=b"\x00")}), "byte 61: 1 bytes after the end"),
    "trailing bytes": (pack({"a": array()}) + b"\xc0", "byte 61: 1 bytes after the end"),
    "unknown ext": (pack({"a": array(code=2)}), "tensor a, byte 17: the extension type 2"),
    "negative ext": (pack({"a": array(code=255)}), "the extension type -1"),
    "a scalar with axes": (pack({"a": array(code=3)}), "tensor a, byte 17: a scalar of shape [2]"),
    "a name twice": (pack((("a", array()), ("a", array()))), "byte 61: the key 'a' is there twice"),
    "a slashed key": (pack({"a": {"b/c": array()}}), "the key 'b/c' below 'a': empty, or with a slash"),
    "an empty key": (pack({"": array()}), "the key '' below '': empty"),
    "a key that is a number": (pack(((7, array()),)), "byte 5: a map's key that is no text"),
    "a key that is a map": (pack((({}, array()),)), "byte 5: a map's key that is no text"),
    "a control character": (pack({"a\n": array()}), "a name that no tensor has"),
    "a name of many levels": (pack({"n" * 300: {"n" * 300: array()}}), "a name that no tensor has"),
    "no UTF-8": (b"\x81\xa2a\xff" + pack(array()), "byte 3: text that is no UTF-8"),
    "a number": (pack({"a": {"step": 7}}), "tensor a/step: a number where an array should be"),
    "a boolean": (pack({"a": True}), "tensor a: a boolean where an array should be"),
    "a text": (pack({"a": "b"}), "tensor a: text where an array should be"),
    "a list": (pack({"a": [array()]}), "tensor a: a list where an array should be"),
    "naked bytes": (pack({"a": b"b"}), "tensor a: bytes where an array should be"),
    "nil": (b"\x81\xa1a\xc0", "byte 3: the msgpack type nil, which no weights need"),
    "a float": (b"\x81\xa1a\xcb" + bytes(8), "byte 3: the msgpack type float 64, which no weights need"),
    "the byte that is never used": (b"\xc1", "byte 0: the msgpack type 0xc1"),
    "an array without a name": (pack(array()), "byte 0: no map of names"),
    "no tensors": (pack({"a": {}}), "no tensors"),
    "a cut array, not so": (pack(cut(**{CUT: False})), "tensor a: not exactly the shape and the chunks"),
    "a cut array with more": (pack(cut(more=1)), "tensor a: not exactly the shape and the chunks"),
    "a missing chunk": (pack(cut(chunks={"1": array()})), "not numbered from 0"),
    "chunks in a list": (pack(cut(chunks=[array()])), "not numbered from 0"),
    "no chunks": (pack(cut(chunks={})), "tensor a: chunks that are no lists of one dtype"),
    "chunks too short": (pack(cut(shape={"0": 4})), "tensor a: chunks of 3 elements for shape [4]"),
    "a lie of 2^60": (pack(cut(shape={"0": 1 << 30, "1": 1 << 30})), "chunks of 3 elements for shape"),
    "a matrix as chunk": (pack(cut(chunks={"0": array((2, 1))})), "tensor a: chunks that are no lists of one dtype"),
    "two dtypes": (pack(cut(chunks={"0": array(), "1": array(dtype="int32")})), "no lists of one dtype"),
    "a number as chunk": (pack(cut(chunks={"0": 7})), "tensor a: chunk 0: a number where an array should be"),
    "a cut array without a name": (pack({CUT: True}), f"tensor {CUT}: a boolean where an array should be"),
}


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try_to_read(data)


@pytest.mark.parametrize("name", ["plain", "bfloat16", "chunked"])
@given(changes=st.lists(st.tuples(st.integers(0), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(name: str, changes: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(real(name)[0])
    for at, new in changes:
        at %= len(damaged)
        damaged[at : at + len(new)] = new
    try_to_read(bytes(damaged))


@pytest.mark.parametrize("name", ["plain", "bfloat16", "chunked"])
def test_a_file_that_was_cut_off_anywhere_is_refused(name: str) -> None:
    data, _ = real(name)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            flax.read(data[:length])


def try_to_read(data: bytes) -> None:
    try:
        found = flax.read(data)
    except FormatError:
        return
    assert sum(one.array.nbytes for one in found.tensors) < len(data)
