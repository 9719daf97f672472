"""PyTorch's container before 1.6: five pickles, then every storage with its length.

Storage keys are addresses of the memory that was saved; here they are made up, always the
same, and like real ones in no order.

Source: PyTorch ``torch/serialization.py`` (``_legacy_save``), ``torch/csrc/serialization.cpp``
(``THPStorage_writeFileRaw``).
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING

from mirror.upstream.containers import torch_state
from mirror.upstream.containers.pickling import Pickle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirror.upstream.containers.tensors import Named

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_SIZES = {"short": 2, "int": 4, "long": 4}
_TRUE = b"\x88"
#: Where heaps of 64-bit Linux begin, and how far objects of one size may be apart there.
_HEAP, _APART = 0x55D0_9E3A_4000, 112
#: A prime, and a number that is none of its multiples: every index below it has another place.
_PLACES, _STRIDE = 100_003, 7_919


def write(tensors: list[Named], *, addresses: Sequence[int] | None = None) -> bytes:
    """Return a ``pytorch_model.bin`` of PyTorch before 1.6.

    A transposed array is stored the way it lies and given strides, as the converters from
    TensorFlow left it; aliases share one storage.

    Args:
        tensors: In the order of the module.
        addresses: Of the storages, in the order of their tensors; made up by default.
    """
    storages = torch_state.storages(tensors)
    places = [_address(number) for number in range(len(storages))] if addresses is None else addresses
    keys = {name: str(place) for name, place in zip(storages, places, strict=True)}
    listed = sorted(storages, key=lambda name: keys[name])
    parts = [_number(_MAGIC), _number(_PROTOCOL), _system(), torch_state.pickled(tensors, keys, legacy=True)]
    parts.append(_keys([keys[name] for name in listed]))
    for name in listed:
        parts += [struct.pack("<q", len(storages[name]) // 4), storages[name]]
    return b"".join(parts)


def _address(number: int) -> int:
    return _HEAP + _APART * (number * _STRIDE % _PLACES)


def _number(value: int) -> bytes:
    pickle = Pickle()
    pickle.number(value)
    return pickle.finish()


def _system() -> bytes:
    """Return what is said of the machine."""
    pickle = Pickle()

    def sizes() -> None:
        pickle.mapping((name, partial(pickle.number, size)) for name, size in _SIZES.items())

    pickle.mapping(
        [
            ("protocol_version", lambda: pickle.number(_PROTOCOL)),
            ("little_endian", lambda: pickle.atom(_TRUE)),
            ("type_sizes", sizes),
        ]
    )
    return pickle.finish()


def _keys(keys: list[str]) -> bytes:
    pickle = Pickle()
    pickle.texts(keys)
    return pickle.finish()
