"""PyTorch's zip container, as ``torch.save`` writes a state dict.

Source: PyTorch ``torch/serialization.py`` (``_save``), ``torch/_utils.py``
(``_rebuild_tensor_v2``), ``caffe2/serialize/inline_container.cc`` (64-byte alignment).
"""

from __future__ import annotations

import io
import struct
import zipfile
from functools import partial
from typing import TYPE_CHECKING

from mirror.upstream.containers.pickling import Pickle

if TYPE_CHECKING:
    from mirror.upstream.containers.tensors import Named

_ALIGNMENT = 64
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(tensors: list[Named]) -> bytes:
    """Return a ``pytorch_model.bin``.

    A transposed array is stored the way it lies and given strides, as the converters from
    TensorFlow left it; aliases share one storage.
    """
    storages: dict[str, int] = {}
    for tensor in tensors:
        storages.setdefault(tensor.of or tensor.name, len(storages))
    held = {tensor.name: tensor for tensor in tensors if tensor.of is None}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, stream, "data.pkl", _state_dict(tensors, storages))
        _add(archive, stream, "byteorder", b"little")
        for name, key in storages.items():
            array = held[name].array
            lying = array if array.flags.c_contiguous else array.T
            _add(archive, stream, f"data/{key}", lying.astype("<f4", copy=False).tobytes())
        _add(archive, stream, "version", b"3\n")
    return stream.getvalue()


def _add(archive: zipfile.ZipFile, stream: io.BytesIO, name: str, data: bytes) -> None:
    """Add a stored entry whose bytes begin at a multiple of 64."""
    info = zipfile.ZipInfo(f"archive/{name}", _EPOCH)
    # Local header: 30 bytes, the name, and an extra field FB of 4 bytes and padding.
    begin = stream.tell() + 30 + len(info.filename) + 4
    padding = -begin % _ALIGNMENT
    info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    archive.writestr(info, data)


def _state_dict(tensors: list[Named], storages: dict[str, int]) -> bytes:
    pickle = Pickle()
    _ordered_dict(pickle)
    pickle.items((tensor.name, partial(_tensor, pickle, tensor, storages)) for tensor in tensors)
    _metadata(pickle, [tensor.name for tensor in tensors])
    return pickle.finish()


def _ordered_dict(pickle: Pickle) -> None:
    pickle.name("collections", "OrderedDict")
    pickle.raw(b")")
    pickle.call()


def _tensor(pickle: Pickle, tensor: Named, storages: dict[str, int]) -> None:
    """Emit ``_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``."""
    array = tensor.array
    storage = [
        lambda: pickle.text("storage"),
        lambda: pickle.name("torch", "FloatStorage"),
        lambda: pickle.text(str(storages[tensor.of or tensor.name])),
        lambda: pickle.text("cpu"),
        lambda: pickle.number(array.size),
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
            lambda: pickle.raw(b"\x89"),
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
        pickle.raw(b"}")
        pickle.remember()
        pickle.items([("version", lambda: pickle.number(1))])

    def metadata() -> None:
        _ordered_dict(pickle)
        pickle.items((module, version) for module in modules)

    pickle.raw(b"}")
    pickle.remember()
    pickle.items([("_metadata", metadata)])
    pickle.raw(b"b")
