"""safetensors: a JSON header and the numbers after it.

Source: huggingface/safetensors README, "Format"; ``transformers`` ``save_pretrained``,
which drops tied weights and names them in ``__metadata__``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mirror.upstream.containers.tensors import Named


def header(named: Iterable[tuple[str, tuple[int, ...]]], aliases: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return length and header of float32 tensors, padded to eight bytes.

    Args:
        named: Names and shapes.
        aliases: Dropped names and the names that hold their numbers.
    """
    entries: dict[str, Any] = {"__metadata__": {**dict(sorted(aliases)), "format": "pt"}}
    offset = 0
    for name, shape in sorted(named):
        size = 4
        for length in shape:
            size *= length
        entries[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write(tensors: list[Named]) -> bytes:
    """Return a safetensors file; aliases are dropped and named in its metadata."""
    held = sorted((one for one in tensors if one.of is None), key=lambda one: one.name)
    head = header(
        [(one.name, one.array.shape) for one in held], [(one.name, one.of) for one in tensors if one.of is not None]
    )
    return head + b"".join(one.array.astype("<f4", copy=False).tobytes() for one in held)
