"""PyTorch's zip container, as ``torch.save`` writes a state dict since 1.6.

Source: PyTorch ``torch/serialization.py`` (``_save``), ``caffe2/serialize/inline_container.cc``
(64-byte alignment).
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

from mirror.upstream.containers import torch_state

if TYPE_CHECKING:
    from mirror.upstream.containers.tensors import Named

_ALIGNMENT = 64
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(tensors: list[Named]) -> bytes:
    """Return a ``pytorch_model.bin``.

    A transposed array is stored the way it lies and given strides, as the converters from
    TensorFlow left it; aliases share one storage.
    """
    storages = torch_state.storages(tensors)
    keys = {name: str(number) for number, name in enumerate(storages)}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, stream, "data.pkl", torch_state.pickled(tensors, keys))
        _add(archive, stream, "byteorder", b"little")
        for name, data in storages.items():
            _add(archive, stream, f"data/{keys[name]}", data)
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
