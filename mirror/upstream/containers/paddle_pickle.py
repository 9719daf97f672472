"""Paddle's ``.pdparams``: a protocol-2 pickle of a dict of numpy arrays.

Source: Paddle ``python/paddle/framework/io.py`` (``_legacy_save``), numpy
``ndarray.__reduce__`` and ``dtype.__reduce__``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mirror.upstream.containers.pickling import Pickle

if TYPE_CHECKING:
    from mirror.upstream.containers.tensors import Named

NAME_TABLE = "StructuredToParameterName@@"


def write(tensors: list[Named], *, numpy_core: str = "numpy.core") -> bytes:
    """Return a ``.pdparams``; ``numpy_core`` is ``numpy._core`` when numpy 2 wrote it."""
    pickle = Pickle()
    pickle.raw(b"}")
    pickle.remember()

    def names() -> None:
        pickle.raw(b"}")
        pickle.remember()
        pickle.items(
            (tensor.name, partial(pickle.text, f"parameter_{number}")) for number, tensor in enumerate(tensors)
        )

    arrays = [(tensor.name, partial(_array, pickle, tensor, numpy_core)) for tensor in tensors]
    pickle.items([*arrays, (NAME_TABLE, names)])
    return pickle.finish()


def _array(pickle: Pickle, tensor: Named, numpy_core: str) -> None:
    """Emit ``_reconstruct(ndarray, (0,), b'b')`` and its state."""
    array = tensor.array
    pickle.name(f"{numpy_core}.multiarray", "_reconstruct")
    pickle.group(
        [
            lambda: pickle.name("numpy", "ndarray"),
            lambda: pickle.numbers((0,)),
            lambda: _bytes(pickle, b"b", key="b"),
        ]
    )
    pickle.call()
    code = f"{array.dtype.kind}{array.dtype.itemsize}"
    data = array.astype(f"<{code}", copy=False).tobytes()
    pickle.group(
        [
            lambda: pickle.number(1),
            lambda: pickle.numbers(array.shape),
            lambda: _dtype(pickle, code),
            lambda: pickle.raw(b"\x89"),
            lambda: _bytes(pickle, data),
        ]
    )
    pickle.raw(b"b")


def _bytes(pickle: Pickle, data: bytes, *, key: str | None = None) -> None:
    """Emit bytes as ``_codecs.encode(text, 'latin1')``, which protocol 2 has no opcode for."""
    if key is not None and pickle.recall(("bytes", key)):
        return
    pickle.name("_codecs", "encode")
    pickle.group([lambda: pickle.latin1(data), lambda: pickle.text("latin1")])
    pickle.call(("bytes", key) if key is not None else None)


def _dtype(pickle: Pickle, code: str) -> None:
    """Emit ``dtype(code, False, True)`` and its state, once for each code."""
    if pickle.recall(("dtype", code)):
        return
    pickle.name("numpy", "dtype")
    pickle.group([lambda: pickle.text(code), lambda: pickle.raw(b"\x89"), lambda: pickle.raw(b"\x88")])
    pickle.call(("dtype", code))
    pickle.group(
        [
            lambda: pickle.number(3),
            lambda: pickle.text("<"),
            *[lambda: pickle.raw(b"N")] * 3,
            lambda: pickle.number(-1),
            lambda: pickle.number(-1),
            lambda: pickle.number(0),
        ]
    )
    pickle.raw(b"b")
