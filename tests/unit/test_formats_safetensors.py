"""safetensors: what the reference lets pass as well as what it refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from mirror.formats import safetensors


def file(header: Any, body: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def test_every_tensor_is_a_view_into_the_bytes() -> None:
    body = np.array([1, -0.0, 3], "<f4").tobytes() + np.array([7], "<i8").tobytes()
    data = file(
        {"__metadata__": {"format": "pt"}, "b": entry("I64", (), (12, 20)), "a": entry("F32", (3,), (0, 12))}, body
    )
    found = safetensors.read(data)
    assert found.metadata == {"format": "pt"}
    assert [(one.name, one.dtype, one.shape) for one in found.tensors] == [("b", "I64", ()), ("a", "F32", (3,))]
    assert found.tensors[1].array.tobytes() == body[:12]
    assert not found.tensors[1].array.flags.writeable
    assert np.shares_memory(found.tensors[1].array, np.frombuffer(data, "u1"))


def test_bfloat16_keeps_its_bits() -> None:
    found = safetensors.read(file({"a": entry("BF16", (2,), (0, 4))}, b"\x80\x3f\x00\xc0"))
    assert found.tensors[0].array.tolist() == [0x3F80, 0xC000]


def test_an_empty_tensor_has_no_bytes() -> None:
    found = safetensors.read(file({"a": entry("F32", (0, 4), (0, 0)), "b": entry()}, bytes(8)))
    assert [one.shape for one in found.tensors] == [(0, 4), (2,)]


ONE = json.dumps(entry())
REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "a header of 0 bytes in a file of 0"),
    "a length past the file": (file({"a": entry()}, bytes(8), length=4000), "a header of 4000 bytes"),
    "a length of 2^63": (file({"a": entry()}, bytes(8), length=1 << 63), "a header of 9223372036854775808 bytes"),
    "no object": (file(b"[]"), "no JSON object"),
    "white space first": (file(b' {"a":1}'), "no JSON object"),
    "bad JSON": (file(b'{"a":'), "no JSON"),
    "bad UTF-8": (file(b'{"\xff":1}'), "no UTF-8"),
    "deep JSON": (file(b'{"a":' + b"[" * 50_000), "nested too deeply"),
    "a name twice": (file(f'{{"a":{ONE},"a":{ONE}}}'.encode(), bytes(8)), "'a' is there twice"),
    "a field twice": (file(b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)), "twice"),
    "overlap": (file({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), "tensor b: overlaps a"),
    "gap": (file({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)), "tensor b: 4 bytes before it"),
    "begin after end": (file({"a": entry(offsets=(8, 0))}, bytes(8)), "no begin and end"),
    "past the end": (file({"a": entry()}, bytes(4)), "the tensors have 8 bytes, the file 4"),
    "trailing bytes": (file({"a": entry()}, bytes(9)), "the tensors have 8 bytes, the file 9"),
    "size is not shape": (file({"a": entry(shape=(3,))}, bytes(8)), "8 bytes for shape [3] of F32"),
    "product overflow": (file({"a": entry(shape=[1 << 39] * 8)}, bytes(8)), "8 bytes for shape"),
    "a dim of 2^62": (file({"a": entry(shape=[1 << 62])}, bytes(8)), "shape [4611686018427387904]"),
    "a negative dim": (file({"a": entry(shape=[-2])}, bytes(8)), "shape [-2]"),
    "an empty tensor of long axes": (file({"a": entry(shape=[0, 1 << 39, 1 << 39], offsets=(0, 0))}), "shape [0, "),
    "nine axes": (file({"a": entry(shape=[1] * 9)}, bytes(8)), "9 axes"),
    "100,000 digits": (file(b'{"a":' + b"1" * 100_000 + b"}"), "where a whole number should be"),
    "float offsets": (file(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0.0,8]}}', bytes(8)), "whole number, or"),
    "NaN offsets": (file(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[NaN,8]}}', bytes(8)), "whole number, or"),
    "bool offsets": (file({"a": entry(offsets=(False, 8))}, bytes(8)), "no begin and end"),
    "bool shape": (file({"a": entry(shape=(True,), offsets=(0, 4))}, bytes(4)), "no list of whole numbers"),
    "unknown dtype": (file({"a": entry("F8_E4M3")}, bytes(8)), "unknown dtype 'F8_E4M3'"),
    "a further field": (file({"a": entry(more=1)}, bytes(8)), "not exactly dtype"),
    "metadata that is no text": (file({"__metadata__": {"a": 1}, "a": entry()}, bytes(8)), "metadata that is not text"),
    "no tensors": (file({"__metadata__": {}}), "no tensors"),
    "an empty name": (file({"": entry()}, bytes(8)), "a name that no tensor has"),
    "a long name": (file({"n" * 401: entry()}, bytes(8)), "a name that no tensor has"),
    "a control character": (file({"a\n": entry()}, bytes(8)), "a name that no tensor has"),
    "half a surrogate": (file(b'{"\\ud800":' + ONE.encode() + b"}", bytes(8)), "a name that no tensor has"),
    "metadata of half a surrogate": (
        file(b'{"__metadata__":{"a":"\\ud800"},"a":' + ONE.encode() + b"}", bytes(8)),
        "text",
    ),
    "an offset of -0": (file(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[-0,8]}}', bytes(8)), "whole number"),
    "a million lists": (file(b'{"a":[' + b"[]," * 5_000_000 + b"[]]}"), "too many lists"),
    "a million texts": (file(b'{"a":[' + b'"ab",' * 3_000_000 + b'"ab"]}'), "too many values"),
    "a million objects": (file(b'{"a":[' + b"{}," * 1_000_000 + b"{}]}"), "too many objects"),
    "a million numbers": (file(b'{"a":[' + b"1," * 1_000_000 + b"1]}"), "too many"),
}
