"""A PyTorch state dict, pickled as ``torch.save`` does for both of its containers.

Source: PyTorch ``torch/serialization.py`` (``_save``, ``_legacy_save``: persistent ids),
``torch/_utils.py`` (``_rebuild_tensor_v2``), ``torch/nn/modules/module.py`` (``_metadata``).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mirror.upstream.containers.pickling import Pickle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.upstream.containers.tensors import Named

_NONE, _FALSE = b"N", b"\x89"


def storages(tensors: list[Named]) -> dict[str, bytes]:
    """Return the numbers of each storage by the tensor that it is made for, in the tensors' order.

    A transposed array is stored the way it lies; aliases have no storage of their own.
    """
    lying = {one.name: one.array if one.array.flags.c_contiguous else one.array.T for one in tensors if one.of is None}
    return {name: array.astype("<f4", copy=False).tobytes() for name, array in lying.items()}


def pickled(tensors: list[Named], keys: Mapping[str, str], *, legacy: bool = False) -> bytes:
    """Return the pickle of a state dict of float32 tensors.

    Args:
        tensors: In the order of the module; a transposed one gets strides.
        keys: What each storage is called, by the tensor that it is made for.
        legacy: Whether persistent ids are those of the old container.
    """
    pickle = Pickle()
    _ordered_dict(pickle)
    pickle.items((one.name, partial(_tensor, pickle, one, keys[one.of or one.name], legacy)) for one in tensors)
    _metadata(pickle, [tensor.name for tensor in tensors])
    return pickle.finish()


def _ordered_dict(pickle: Pickle) -> None:
    pickle.name("collections", "OrderedDict")
    pickle.raw(b")")
    pickle.call()


def _tensor(pickle: Pickle, tensor: Named, key: str, legacy: bool) -> None:
    """Emit ``_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``."""
    array = tensor.array
    storage = [
        lambda: pickle.text("storage"),
        lambda: pickle.name("torch", "FloatStorage"),
        # The old container asks for the address anew each time: equal texts, but no memo.
        lambda: pickle.text(key, fresh=legacy),
        lambda: pickle.text("cpu"),
        lambda: pickle.number(array.size),
        *([lambda: pickle.atom(_NONE)] if legacy else []),
    ]
    pickle.name("torch._utils", "_rebuild_tensor_v2")

    def persistent() -> None:
        pickle.group(storage)
        pickle.raw(b"Q")

    pickle.group(
        [
            persistent,
            lambda: pickle.number(0),
            lambda: pickle.numbers(array.shape),
            lambda: pickle.numbers(tuple(stride // 4 for stride in array.strides)),
            lambda: pickle.atom(_FALSE),
            lambda: _ordered_dict(pickle),
        ]
    )
    pickle.call()


def _metadata(pickle: Pickle, names: list[str]) -> None:
    """Emit the attribute ``_metadata`` of a module's state dict: a version for every module."""
    modules = dict.fromkeys([""])
    for name in names:
        parts = name.split(".")[:-1]
        modules |= dict.fromkeys(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))

    def version() -> None:
        pickle.mapping([("version", lambda: pickle.number(1))])

    def metadata() -> None:
        _ordered_dict(pickle)
        pickle.items((module, version) for module in modules)

    pickle.mapping([("_metadata", metadata)])
    pickle.raw(b"b")
