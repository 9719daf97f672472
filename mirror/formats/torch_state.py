"""A PyTorch state dict: from its inert pickle to tensors over the storages' bytes.

Strides are respected: kernels that a converter took from TensorFlow lie there transposed,
and a reader that ignores it returns garbage of the right shape.

Source: PyTorch ``torch/_utils.py`` (``_rebuild_tensor_v2``, ``_rebuild_parameter``),
``torch/serialization.py`` (persistent ids).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mirror.errors import FormatError
from mirror.formats.checkpoint import LAYOUT, Tensor, check_count, check_name, elements
from mirror.formats.inert import Call, Global, Persistent, Rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_ORDERED_DICT = Global("collections", "OrderedDict")
_TENSOR = Global("torch._utils", "_rebuild_tensor_v2")
_PARAMETER = Global("torch._utils", "_rebuild_parameter")
_STORAGES = {
    Global("torch", f"{kind}Storage"): dtype
    for kind, dtype in {
        "Float": "F32",
        "Double": "F64",
        "Half": "F16",
        "BFloat16": "BF16",
        "Long": "I64",
        "Int": "I32",
        "Short": "I16",
        "Char": "I8",
        "Byte": "U8",
        "Bool": "BOOL",
    }.items()
}
#: More elements than any storage has, and few enough that their bytes can be counted in 64 bits.
_MOST = 1 << 50
#: What the pickles of a state dict may have in them.
RULES = Rules(
    names=frozenset({_ORDERED_DICT, _TENSOR, _PARAMETER, *_STORAGES}),
    containers=frozenset({_ORDERED_DICT}),
    built=frozenset({_ORDERED_DICT}),
    persistent=True,
)


class Storage(NamedTuple):
    """A run of elements that tensors are views of.

    Attributes:
        key: What the file calls it.
        dtype: A key of ``LAYOUT``.
        length: Its elements.
    """

    key: str
    dtype: str
    length: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.length * LAYOUT[self.dtype].itemsize


class Placed(NamedTuple):
    """One tensor, as a view of a storage; offset and strides count elements."""

    name: str
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def extent(self) -> int:
        """Elements from the first to the last, both included."""
        if 0 in self.shape:
            return 0
        return 1 + sum((length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True))


def placed(state: object) -> tuple[Placed, ...]:
    """Return the tensors of a state dict, in its order, each known to stay within its storage.

    Raises:
        FormatError: It is no state dict, or a tensor is not one that a model has.
    """
    items = _items(state)
    check_count(len(items))
    if not items:
        raise FormatError("no tensors")
    found = tuple(_place(name, value) for name, value in items.items())
    _check_storages(found)
    return found


def storages_of(tensors: tuple[Placed, ...]) -> dict[str, Storage]:
    """Return the storages that ``tensors`` are views of, by key."""
    return {tensor.storage.key: tensor.storage for tensor in tensors}


def tensors_over(found: tuple[Placed, ...], held: Mapping[str, memoryview]) -> tuple[Tensor, ...]:
    """Return the tensors as views of the storages' bytes.

    Raises:
        FormatError: A storage has not the bytes that it should.
    """
    for key, storage in storages_of(found).items():
        if len(held[key]) != storage.size:
            raise FormatError(f"storage {key} has {len(held[key])} bytes instead of {storage.size}")
    return tuple(Tensor(one.name, one.storage.dtype, _array(one, held[one.storage.key])) for one in found)


def _array(one: Placed, data: memoryview) -> NDArray[Any]:
    layout = LAYOUT[one.storage.dtype]
    if not one.extent:
        return np.empty(one.shape, layout)
    flat = np.frombuffer(data, layout, one.extent, one.offset * layout.itemsize)
    strides = tuple(stride * layout.itemsize for stride in one.strides)
    return np.lib.stride_tricks.as_strided(flat, one.shape, strides, writeable=False)


def _items(state: object) -> dict[str | int, Any]:
    """Return the items of a state dict; its attributes say only which version each module has."""
    if type(state) is dict:
        return state
    if not isinstance(state, Call) or state.function != _ORDERED_DICT or state.args:
        raise FormatError("the file holds no dict of tensors")
    if state.state is not None and (type(state.state) is not dict or state.state.keys() != {"_metadata"}):
        raise FormatError("a dict with attributes that no state dict has")
    return state.items


def _place(name: str | int, value: object) -> Placed:
    if type(name) is not str:
        raise FormatError(f"{name!r} where a tensor's name should be")
    check_name(name)
    if isinstance(value, Call) and value.function == _PARAMETER:
        if len(value.args) != 3:
            raise FormatError(f"a parameter of {len(value.args)} fields", tensor=name)
        value = value.args[0]
    if not isinstance(value, Call) or value.function != _TENSOR:
        raise FormatError("no tensor; a training checkpoint rather than a model?", tensor=name)
    if len(value.args) != 6 or value.items or value.state is not None:
        raise FormatError(f"a tensor of {len(value.args)} fields", tensor=name)
    reference, offset, shape, strides = value.args[:4]
    if type(offset) is not int or not _integers(shape) or not _integers(strides) or len(shape) != len(strides):
        raise FormatError("an offset, a shape or strides that are no whole numbers", tensor=name)
    one = Placed(name, _storage(reference, name), offset, shape, strides)
    _check_view(one)
    return one


def _integers(found: object) -> bool:
    return type(found) is tuple and all(type(each) is int for each in found)


def _storage(reference: object, name: str) -> Storage:
    """Return the storage that a persistent id names: ``("storage", type, key, location, count)``."""
    fields = reference.id if isinstance(reference, Persistent) else None
    if type(fields) is not tuple or not fields or type(fields[0]) is not str or fields[0] != "storage":
        raise FormatError("its storage is none", tensor=name)
    # Legacy files have a sixth field, for views of storages, that has been empty since 2017.
    if len(fields) not in {5, 6} or any(each is not None for each in fields[5:]):
        raise FormatError(f"a storage of {len(fields)} fields", tensor=name)
    _, kind, key, location, count = fields[:5]
    if not isinstance(kind, Global) or kind not in _STORAGES:
        raise FormatError("a storage of unknown type", tensor=name)
    if type(key) is not str or type(location) is not str or type(count) is not int or not 0 <= count < _MOST:
        raise FormatError("a storage whose key, place or length is none", tensor=name)
    check_name(key)
    return Storage(key, _STORAGES[kind], count)


def _check_view(one: Placed) -> None:
    """Refuse tensors that leave their storage, and elements that share bytes, as ``expand`` makes them."""
    count = elements(one.shape, one.name)
    if one.offset < 0 or any(stride < 0 for stride in one.strides):
        raise FormatError("a negative offset or stride", tensor=one.name)
    # Of an axis of one element, or an array of none, all that numpy wants is that the product fits.
    if max(one.strides, default=0) >= _MOST:
        raise FormatError(f"shape {list(one.shape)} with strides {one.strides}"[:300], tensor=one.name)
    if one.offset + one.extent > one.storage.length:
        raise FormatError(f"reaches beyond the {one.storage.length} elements of its storage", tensor=one.name)
    reach = 1
    for stride, length in sorted(zip(one.strides, one.shape, strict=True)):
        if count and length > 1:
            if stride < reach:
                raise FormatError(f"strides {one.strides} give elements the same bytes", tensor=one.name)
            reach = stride * length


def _check_storages(found: tuple[Placed, ...]) -> None:
    """Refuse storages of two kinds, and tensors that overlap without being the same."""
    known: dict[str, Storage] = {}
    views: dict[str, dict[tuple[object, ...], Placed]] = {}
    for one in found:
        key = one.storage.key
        if known.setdefault(key, one.storage) != one.storage:
            raise FormatError(f"storage {ascii(key)[:60]} has two types or lengths", tensor=one.name)
        # The same view under two names is a tied weight.
        views.setdefault(key, {}).setdefault((one.offset, one.shape, one.strides), one)
    for key, same in views.items():
        filled = (one for one in same.values() if one.extent)
        for before, one in pairwise(sorted(filled, key=lambda each: each.offset)):
            if one.offset < before.offset + before.extent:
                raise FormatError(f"overlaps {before.name} in storage {key}", tensor=one.name)
