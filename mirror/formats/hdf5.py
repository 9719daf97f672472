"""HDF5 as Keras writes weights: groups inside groups, and datasets whose elements lie in one piece.

Only the structure that leads to the datasets is read, by code of our own: eight changed
bytes, a node that is its own child, are enough for HDF5's library (2.0.0) to end the whole
process. Attributes, among them ``model_config`` with its code, are passed over. Refused
are links that are not hard; objects of two names; elements that lie in other files, in
chunks, packed or nowhere; types other than numbers; and the newer layout, which Keras does
not write. No two parts of what is read may share bytes. Space that nothing names may hold
anything, as the library leaves it.

Source: The HDF Group, "HDF5 File Format Specification Version 3.0".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mirror.errors import FormatError
from mirror.formats.checkpoint import (
    MAX_DIMS,
    Checkpoint,
    Tensor,
    as_bytes,
    check_count,
    check_disjoint,
    elements,
    view,
)
from mirror.formats.hdf5_groups import DTYPE, LAYOUT, NOWHERE, SHAPE, Structure, exactly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from mirror.formats.hdf5_groups import Message

#: Keras keeps what the optimizer remembers beside the weights.
_OPTIMIZER = "optimizer_weights/"
_LAYOUT = struct.Struct("<2xQQ")
_SHAPE_HEAD = 8
#: The one description that the library writes of each little-endian number: class, order, size, bits, parts.
_DTYPES = {
    bytes.fromhex("11203f0008000000 00004000 340b0034 ff030000"): "F64",
    bytes.fromhex("11201f0004000000 00002000 17080017 7f000000"): "F32",
    bytes.fromhex("11200f0002000000 00001000 0a05000a 0f000000"): "F16",
    bytes.fromhex("11200f0002000000 00001000 07080007 7f000000"): "BF16",
} | {
    struct.pack("<BBxxIHH", 0x10, 8 * signed, size, 0, 8 * size): f"{'UI'[signed]}{8 * size}"
    for signed in (0, 1)
    for size in (1, 2, 4, 8)
}
_FLOAT, _INTEGER = 20, 12  # bytes of a description
_CLASSES = {
    0: "integer",
    1: "float",
    2: "time",
    3: "string",
    4: "bits",
    5: "opaque",
    6: "record",
    7: "reference",
    8: "enumeration",
    9: "list",
    10: "array",
}
#: By version and class of a layout; the one that is read is not among them.
_STORED = {b"\3\0": "inside the header", b"\3\2": "in chunks", b"\4\2": "in chunks", b"\4\3": "in other files"}
_ONE_PIECE = b"\3\1"


def read(source: Buffer) -> Checkpoint:
    """Return what an HDF5 file written by Keras holds.

    Raises:
        FormatError: It is damaged, or has what Keras does not write.
    """
    data = as_bytes(source)
    structure = Structure(data)
    tensors = [_tensor(structure, name, messages) for name, messages in structure.datasets()]
    check_count(len(tensors))
    check_disjoint(structure.spans)
    weights = tuple(tensor for tensor in tensors if not tensor.name.startswith(_OPTIMIZER))
    if not weights:
        raise FormatError("no tensors")
    skipped = tuple(tensor.name for tensor in tensors if tensor.name.startswith(_OPTIMIZER))
    return Checkpoint("hdf5", weights, skipped=skipped)


def _tensor(structure: Structure, name: str, messages: Mapping[int, Message]) -> Tensor:
    dtype = _dtype(messages[DTYPE], name)
    shape = _shape(messages[SHAPE], name)
    start, length = _lying(messages[LAYOUT], name)
    if start == NOWHERE and not elements(shape, name):
        start = 0
    array = view(structure.data, dtype, shape, start, start + length, name)
    structure.spans.append((start, start + length, name))
    return Tensor(name, dtype, array)


def _dtype(message: Message, name: str) -> str:
    data = message.data
    for length in (_FLOAT, _INTEGER):
        if dtype := _DTYPES.get(bytes(data[:length])):
            exactly(message, length, name)
            return dtype
    said = _CLASSES.get(data[0] & 0x0F, "unknown") if data else "nothing"
    raise FormatError(f"elements of a type that no weights have ({said})", at=message.at, tensor=name)


def _shape(message: Message, name: str) -> tuple[int, ...]:
    head = bytes(message.data[:_SHAPE_HEAD])
    if len(head) < _SHAPE_HEAD or head[0] != 1 or head[2] not in {0, 1}:
        raise FormatError("no shape in the layout that Keras writes", at=message.at, tensor=name)
    axes, growing = head[1], head[2]
    if axes > MAX_DIMS:
        raise FormatError(f"{axes} axes", at=message.at, tensor=name)
    # After the lengths there may be those up to which they may grow.
    data = exactly(message, _SHAPE_HEAD + 8 * axes * (1 + growing), name)
    return struct.unpack_from(f"<{axes}Q", data, _SHAPE_HEAD)


def _lying(message: Message, name: str) -> tuple[int, int]:
    kind = bytes(message.data[:2])
    if kind != _ONE_PIECE:
        said = _STORED.get(kind, f"in a way of its own ({kind.hex()})")
        raise FormatError(f"elements {said}, where Keras has them in one piece", at=message.at, tensor=name)
    start, length = _LAYOUT.unpack(exactly(message, _LAYOUT.size, name))
    return start, length
