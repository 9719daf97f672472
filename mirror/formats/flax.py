"""Flax's msgpack: maps inside maps, and at their ends the arrays.

An array is an extension that holds its shape, the name of its dtype and its elements. One
of more than 2^30 bytes is cut: a map of its own with the shape and the pieces; joining them
is the one copy that is made here. A name is the path to the array, joined by ``/``. What is
neither map nor array, such as the step counter of a training state, is refused.

Source: google/flax ``flax/serialization.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mirror.errors import FormatError
from mirror.formats.checkpoint import MAX_DIMS, Checkpoint, Tensor, as_bytes, check_count, check_name, elements, view
from mirror.formats.msgpack import Extension, Span, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from mirror.formats.msgpack import Value

_ARRAY, _SCALAR = 1, 3
#: Shape, dtype and elements, and what a shape may have; the next axis is refused by its own rule.
_ARRAY_ITEMS = 3 + MAX_DIMS + 1
_CHUNKED = "__msgpack_chunked_array__"
_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}


def read(source: Buffer) -> Checkpoint:
    """Return what a file written by ``flax.serialization`` holds.

    Raises:
        FormatError: It is not exactly such a file, or holds something else than arrays.
    """
    data = as_bytes(source)
    tree = decode(data)
    if not isinstance(tree, dict):
        raise FormatError("no map of names", at=0)
    leaves = tuple(_leaves(tree, ""))
    check_count(len(leaves))
    if not leaves:
        raise FormatError("no tensors")
    return Checkpoint("flax", tuple(_tensor(data, name, leaf) for name, leaf in leaves))


def _leaves(tree: dict[str, Value], above: str) -> Iterator[tuple[str, Value]]:
    for key, value in tree.items():
        if not key or "/" in key:
            raise FormatError(f"the key {key[:60]!a} below {above[:200]!a}: empty, or with a slash")
        name = f"{above}/{key}" if above else key
        check_name(name)
        if isinstance(value, dict) and _CHUNKED not in value:
            yield from _leaves(value, name)
        else:
            yield name, value


def _tensor(data: memoryview, name: str, leaf: Value) -> Tensor:
    if isinstance(leaf, dict):
        return _joined(data, name, leaf)
    array = _array(data, name, leaf)
    return Tensor(name, array.dtype, array.elements)


class _Array(NamedTuple):
    """What one extension holds: the dtype as safetensors names it, and a view."""

    dtype: str
    elements: NDArray[Any]


def _array(data: memoryview, name: str, leaf: Value) -> _Array:
    if not isinstance(leaf, Extension):
        raise FormatError(f"{_kind(leaf)} where an array should be", tensor=name)
    if leaf.code not in {_ARRAY, _SCALAR}:
        raise FormatError(f"the extension type {leaf.code}, which is no array", at=leaf.start, tensor=name)
    lengths, dtype, span = _parts(decode(data, leaf.start, leaf.stop, most=_ARRAY_ITEMS), leaf.start, name)
    if dtype not in _DTYPES:
        raise FormatError(f"the dtype {dtype[:40]!a}, which no weights have", at=leaf.start, tensor=name)
    shape = _shape(lengths, name)
    if shape and leaf.code == _SCALAR:
        raise FormatError(f"a scalar of shape {shape}", at=leaf.start, tensor=name)
    return _Array(_DTYPES[dtype], view(data, _DTYPES[dtype], shape, *span, name))


def _parts(found: Value, at: int, name: str) -> tuple[list[Value], str, Span]:
    if isinstance(found, list) and len(found) == 3:
        shape, dtype, span = found
        if isinstance(shape, list) and isinstance(dtype, str) and isinstance(span, Span):
            return shape, dtype, span
    raise FormatError("not exactly shape, dtype and bytes", at=at, tensor=name)


def _shape(lengths: list[Value], name: str) -> list[int]:
    # ``True`` is an int to Python, and no number to msgpack.
    shape = [length for length in lengths if type(length) is int]
    if len(shape) < len(lengths):
        raise FormatError("a shape that is no list of whole numbers", tensor=name)
    return shape


def _joined(data: memoryview, name: str, parts: dict[str, Value]) -> Tensor:
    """Return an array that was cut into pieces, put together."""
    if parts.keys() != {_CHUNKED, "shape", "chunks"} or parts[_CHUNKED] is not True:
        raise FormatError("not exactly the shape and the chunks of an array that was cut", tensor=name)
    shape = _shape(_numbered(parts["shape"], name), name)
    chunks = [_array(data, f"{name}: chunk {at}", leaf) for at, leaf in enumerate(_numbered(parts["chunks"], name))]
    dtypes = {chunk.dtype for chunk in chunks}
    if len(dtypes) != 1 or any(chunk.elements.ndim != 1 for chunk in chunks):
        raise FormatError("chunks that are no lists of one dtype", tensor=name)
    count = sum(chunk.elements.size for chunk in chunks)
    if count != elements(shape, name):
        raise FormatError(f"chunks of {count} elements for shape {shape}", tensor=name)
    whole = np.concatenate([chunk.elements for chunk in chunks]).reshape(shape)
    whole.flags.writeable = False
    return Tensor(name, dtypes.pop(), whole)


def _numbered(found: Value, name: str) -> list[Value]:
    """Return the values of a map whose keys are ``0``, ``1`` and so on, as Flax writes a list."""
    if not isinstance(found, dict) or found.keys() != {str(at) for at in range(len(found))}:
        raise FormatError("shape or chunks that are not numbered from 0", tensor=name)
    return [found[str(at)] for at in range(len(found))]


def _kind(value: Value) -> str:
    if isinstance(value, Span):
        return "bytes"
    return {str: "text", list: "a list", bool: "a boolean", int: "a number"}[type(value)]
