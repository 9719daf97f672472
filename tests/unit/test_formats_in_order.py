"""Elements in C order, whatever way an array lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mirror.formats import in_order as module
from mirror.formats.in_order import in_order

DTYPES = ("u1", "<i2", "<f2", "<f4", "<i8", "<f8", "<c16", "?")


def together(array: Any) -> bytes:
    return b"".join(bytes(piece) for piece in in_order(array))


@given(
    st.sampled_from(DTYPES).flatmap(lambda dtype: arrays.arrays(np.dtype(dtype), arrays.array_shapes(max_side=40))),
    st.randoms(use_true_random=False),
)
def test_any_array_in_any_order_of_its_axes_comes_out_as_numpy_writes_it(array: Any, random: Any) -> None:
    axes = list(range(array.ndim))
    random.shuffle(axes)
    assert together(array.transpose(axes)) == array.transpose(axes).tobytes()
    assert together(array[..., ::2]) == array[..., ::2].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(768, 3072), (512, 128), (129, 515), (1, 999), (999, 1), (130, 16), (4, 4)])
def test_a_turned_matrix_of_any_size_comes_out_whole(dtype: str, shape: tuple[int, int]) -> None:
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    matrix = np.resize(np.frombuffer(np.random.default_rng(0).bytes(1 << 16), "u1"), count).view(dtype).reshape(shape)
    assert together(matrix.T) == matrix.T.tobytes()


def test_elements_keep_their_bits_wherever_they_start() -> None:
    # Every pattern of a NaN, also one that an arithmetic copy would make quiet, at an odd place of a file.
    bits = np.arange(0x7F800001, 0x7F800001 + 64 * 64, dtype="<u4")
    odd = np.frombuffer(b"_" + bits.tobytes(), "u1")[1:].view("<f4").reshape(64, 64)
    assert together(odd.T) == bits.reshape(64, 64).T.tobytes()


def test_what_lies_in_order_is_not_copied() -> None:
    array = np.arange(12.0).reshape(3, 4)
    (piece,) = in_order(array)
    assert np.shares_memory(np.frombuffer(piece, "u1"), array)


def test_what_has_to_be_copied_is_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIECE", 1 << 10)
    matrix = np.arange(1 << 12, dtype="<f4").reshape(64, 64)
    for array in (matrix.T, matrix[:, ::2], matrix.reshape(4, 4, 256).T, matrix.reshape(1, -1)[:, ::2]):
        pieces = [len(piece) for piece in in_order(array)]
        assert sum(pieces) == array.nbytes
        assert max(pieces) <= max(1 << 10, 16 * array.shape[-1])
    assert list(in_order(matrix[:0].T)) == []
