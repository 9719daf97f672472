"""safetensors, written: the same bytes for the same tensors, wherever they were read.

Tensors lie in the order of the reference's own writer: by dtype, wide ones first, so that
each is aligned, then by name. Nothing but what has to be turned is copied, a piece at a time.

Source: huggingface/safetensors README, "Format"; its ``serialize``, for the order.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from mirror.formats.checkpoint import LAYOUT
from mirror.formats.in_order import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Buffer

    from mirror.formats.checkpoint import Tensor

_DTYPES = (
    ("U64", "I64", "F64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "I8", "U8", "BOOL")
)  # fmt: skip
_ALIGNED = 8


def pieces(tensors: Iterable[Tensor], metadata: Mapping[str, str]) -> Iterator[Buffer]:
    """Yield a whole file, piece by piece; each is used up before the next one is asked for.

    Args:
        tensors: With different names; what their arrays hold is written as it is, bit by bit.
        metadata: What the file says of itself.
    """
    lying = sorted(tensors, key=lambda one: (_DTYPES.index(one.dtype), one.name.encode()))
    yield _header(lying, metadata)
    for tensor in lying:
        yield from in_order(tensor.array.astype(LAYOUT[tensor.dtype], copy=False))


def _header(lying: Iterable[Tensor], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for tensor in lying:
        stop = start + math.prod(tensor.shape) * LAYOUT[tensor.dtype].itemsize
        entries[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    return len(text).to_bytes(8, "little") + text
