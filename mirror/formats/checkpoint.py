"""What every reader of a weight format gives back, and the bounds that all of them keep.

A reader takes bytes and gives ``Checkpoint``: names, dtypes, shapes and read-only views
into those bytes. It imports, calls, unpacks and writes nothing, and compares every count
with the bytes that are left before it makes room for anything.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mirror.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from typing_extensions import Buffer

MAX_TENSORS = 20_000
MAX_DIMS = 8
MAX_DIM = 1 << 40
MAX_NAME = 400
#: Layers that share their weights may be stored once, and named again for each of them: ALBERT's largest has 24.
MOST_TIED = 32
_MAX_ELEMENTS = 1 << 50

#: How elements lie in a file, by the dtype's name as safetensors writes it. numpy has no
#: bfloat16: its bits are kept as unsigned integers.
LAYOUT: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


class Tensor(NamedTuple):
    """One tensor of a file.

    Attributes:
        name: What the file calls it.
        dtype: A key of ``LAYOUT``.
        array: Its elements, ``shape`` as the file says; a read-only view, strided where the file is.
        crc32c: CRC-32C of the elements that the file itself states, unmasked; None where it states none.
    """

    name: str
    dtype: str
    array: NDArray[Any]
    crc32c: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, in the file's order."""
        return self.array.shape


class Checkpoint(NamedTuple):
    """What one weight file, or one index with its data, holds.

    Attributes:
        format: ``safetensors``, ``torch-zip``, ``torch-legacy``, ``paddle``, ``tensorflow``, ``flax`` or ``hdf5``.
        tensors: In the order of the file.
        metadata: What the file says of itself, as text.
        skipped: Names of entries that are no weights: optimizer slots, the step counter.
    """

    format: str
    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, str] = {}
    skipped: tuple[str, ...] = ()


def as_bytes(source: Buffer) -> memoryview:
    """Return ``source`` as read-only bytes, without a copy."""
    return memoryview(source).cast("B").toreadonly()


def check_total(checkpoint: Checkpoint, size: int) -> Checkpoint:
    """Refuse tensors that make a file many times larger than it is: one storage under thousands of names.

    Args:
        checkpoint: What was read.
        size: Bytes of the file, or of index and data.

    Raises:
        FormatError: There are more than ``MOST_TIED`` times as many bytes of tensors.
    """
    total = sum(one.array.nbytes for one in checkpoint.tensors)
    if total > MOST_TIED * size:
        raise FormatError(f"tensors of {total} bytes in a file of {size}: the same numbers under many names")
    return checkpoint


def check_name(name: str) -> None:
    """Refuse names that no model has.

    Raises:
        FormatError: It is empty, too long, or holds what cannot be printed.
    """
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME or not name.isprintable():
        raise FormatError(f"a name that no tensor has: {name[:60]!a}")


def check_count(count: int) -> None:
    """Refuse more tensors than any model has.

    Raises:
        FormatError: There are more than ``MAX_TENSORS``.
    """
    if count > MAX_TENSORS:
        raise FormatError(f"more than {MAX_TENSORS} tensors")


def elements(shape: Sequence[int], name: str) -> int:
    """Return how many elements a tensor of ``shape`` has.

    Raises:
        FormatError: There are too many axes or elements, or an axis is negative or too long.
    """
    if len(shape) > MAX_DIMS:
        raise FormatError(f"{len(shape)} axes", tensor=name)
    count = math.prod(shape)
    # Of an empty tensor no bytes tell how long the other axes are, and numpy counts those as well.
    too_long = not count and math.prod(filter(None, shape)) >= _MAX_ELEMENTS
    if too_long or not all(0 <= length < MAX_DIM for length in shape):
        raise FormatError(f"shape {list(shape)}", tensor=name)
    return count


def view(data: memoryview, dtype: str, shape: Sequence[int], start: int, stop: int, name: str) -> NDArray[Any]:
    """Return the elements that lie, in C order, in the half-open span of ``data``.

    Raises:
        FormatError: The span is not inside the data, or has not exactly the shape's bytes.
    """
    if not 0 <= start <= stop <= len(data):
        raise FormatError(f"bytes {start} to {stop} of {len(data)}", tensor=name)
    layout = LAYOUT[dtype]
    count = elements(shape, name)
    if stop - start != count * layout.itemsize:
        raise FormatError(f"{stop - start} bytes for shape {list(shape)} of {dtype}", at=start, tensor=name)
    if not count:
        return np.empty(shape, layout)
    return np.frombuffer(data, layout, count, start).reshape(shape)


def check_disjoint(spans: Iterable[tuple[int, int, str]]) -> None:
    """Refuse tensors that share bytes.

    Args:
        spans: First byte, byte after the last, and name of each.

    Raises:
        FormatError: Two overlap.
    """
    end, before = 0, ""
    for start, stop, name in sorted(spans):
        if start < end and stop > start:
            raise FormatError(f"overlaps {before}", at=start, tensor=name)
        if stop > end:
            end, before = stop, name
