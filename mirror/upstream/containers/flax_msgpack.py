"""Flax's ``flax_model.msgpack``: maps inside maps, and at their ends the arrays.

Maps keep the order of the tensors, as ``to_bytes`` keeps that of its dicts. No model here has
a scalar, or an array of more than 2^30 bytes, which Flax would cut: neither is written.

Source: google/flax ``flax/serialization.py``; the MessagePack specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mirror.upstream.containers.tensors import Named

_Tree = dict[str, "_Tree | NDArray[Any]"]
_NDARRAY = 1


def write(tensors: list[Named]) -> bytes:
    """Return a Flax file of tensors, whose names are paths joined by ``/``."""
    tree: _Tree = {}
    for tensor in tensors:
        *above, last = tensor.name.split("/")
        place = tree
        for key in above:
            below = place.setdefault(key, {})
            assert isinstance(below, dict), f"{tensor.name} lies below another tensor"
            place = below
        place[last] = tensor.array
    return b"".join(_packed(tree))


def _packed(value: _Tree | NDArray[Any]) -> list[bytes]:
    if not isinstance(value, dict):
        return _array(value)
    parts = [_header(len(value), 0x80, 16, {2: 0xDE, 4: 0xDF})]
    for key, below in value.items():
        parts += [_text(key), *_packed(below)]
    return parts


def _array(array: NDArray[Any]) -> list[bytes]:
    """Return an extension that holds shape, dtype and elements."""
    data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    shape = b"".join([_header(array.ndim, 0x90, 16, {2: 0xDC}), *map(_number, array.shape)])
    inside = b"".join([b"\x93", shape, _text(array.dtype.name), _header(len(data), 0, 0, {1: 0xC4, 2: 0xC5, 4: 0xC6})])
    extension = _header(len(inside) + len(data), 0, 0, {1: 0xC7, 2: 0xC8, 4: 0xC9})
    return [extension, bytes([_NDARRAY]), inside, data]


def _text(value: str) -> bytes:
    data = value.encode()
    return _header(len(data), 0xA0, 32, {1: 0xD9, 2: 0xDA}) + data


def _number(value: int) -> bytes:
    return _header(value, 0, 128, {1: 0xCC, 2: 0xCD, 4: 0xCE, 8: 0xCF})


def _header(value: int, short: int, few: int, codes: dict[int, int]) -> bytes:
    """Return a length, or a whole number, in its shortest form.

    Args:
        value: It.
        short: What is added to a value below ``few``, which then is one byte.
        few: Where that form ends.
        codes: First byte of every longer form, by how many bytes follow it.
    """
    if value < few:
        return bytes([short + value])
    width = next(width for width in codes if value < 1 << 8 * width)
    return bytes([codes[width]]) + value.to_bytes(width, "big")
