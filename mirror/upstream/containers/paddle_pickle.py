"""Paddle's ``.pdparams``: a pickle of a dict of numpy arrays, of protocol 2 or 4.

Source: Paddle ``python/paddle/framework/io.py`` (``_legacy_save``, ``_pickle_save``,
``_build_saved_state_dict``), numpy ``ndarray.__reduce__`` and ``dtype.__reduce__``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mirror.upstream.containers.pickling import Pickle

if TYPE_CHECKING:
    from mirror.upstream.containers.tensors import Named

NAME_TABLE = "StructuredToParameterName@@"
_NONE, _TRUE, _FALSE = b"N", b"\x88", b"\x89"


def write(tensors: list[Named], *, protocol: int = 2, numpy_core: str = "numpy.core") -> bytes:
    """Return a ``.pdparams``; ``numpy_core`` is ``numpy._core`` when numpy 2 wrote it."""
    pickle = Pickle(protocol)
    table = [(tensor.name, partial(pickle.text, f"parameter_{number}")) for number, tensor in enumerate(tensors)]
    arrays = [(tensor.name, partial(_array, pickle, tensor, numpy_core)) for tensor in tensors]
    pickle.mapping([*arrays, (NAME_TABLE, partial(pickle.mapping, table))])
    return pickle.finish()


def _array(pickle: Pickle, tensor: Named, numpy_core: str) -> None:
    """Emit ``_reconstruct(ndarray, (0,), b'b')`` and its state."""
    array = tensor.array
    pickle.name(f"{numpy_core}.multiarray", "_reconstruct")
    pickle.group(
        [
            lambda: pickle.name("numpy", "ndarray"),
            lambda: pickle.numbers((0,)),
            lambda: pickle.binary(b"b", key=("bytes", b"b")),
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
            lambda: pickle.atom(_FALSE),
            lambda: pickle.binary(data),
        ]
    )
    pickle.raw(b"b")


def _dtype(pickle: Pickle, code: str) -> None:
    """Emit ``dtype(code, False, True)`` and its state, once for each code."""
    if pickle.recall(("dtype", code)):
        return
    pickle.name("numpy", "dtype")
    pickle.group([lambda: pickle.text(code), lambda: pickle.atom(_FALSE), lambda: pickle.atom(_TRUE)])
    pickle.call(("dtype", code))
    pickle.group(
        [
            lambda: pickle.number(3),
            lambda: pickle.text("<"),
            *[lambda: pickle.atom(_NONE)] * 3,
            lambda: pickle.number(-1),
            lambda: pickle.number(-1),
            lambda: pickle.number(0),
        ]
    )
    pickle.raw(b"b")
