"""Numbers that no trained model has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.compare.names import CanonicalTensor
from mirror.compare.values import look

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)


def trained(*shape: int) -> NDArray[np.float32]:
    return RANDOM.normal(0, 0.05, shape).astype(np.float32)


def said(**arrays: NDArray[Any]) -> list[str]:
    """Return what is found; a double underscore stands for a dot, and a name may end with its dtype."""
    names = {np.dtype("f4"): "F32", np.dtype("f2"): "F16", np.dtype("f8"): "F64", np.dtype("u2"): "BF16"}
    tensors = [
        CanonicalTensor(name.replace("__", "."), names.get(array.dtype, "I64"), array, name)
        for name, array in arrays.items()
    ]
    return [f"{one.severity}: {one.tensor}: {one.text}" for one in look(tensors)]


def test_trained_numbers_need_no_word() -> None:
    assert said(a__weight=trained(300, 7), a__bias=trained(7), b=np.arange(3), c=np.array(0, "f4")) == []


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_an_error_that_says_where(dtype: str, value: float) -> None:
    array = trained(600, 600).astype(dtype)
    array[3, 5] = array[500, 1] = value
    assert said(a=array) == ["error: a: 2 of 360000 elements are not finite, the first at [3, 5]"]


def test_the_place_is_that_of_a_tensor_seen_transposed() -> None:
    array = trained(4, 6)
    array[1, 5] = np.nan
    assert said(a=array.T) == ["error: a: 1 of 24 elements are not finite, the first at [5, 1]"]


def test_bits_of_bfloat16_are_looked_at_as_what_they_stand_for() -> None:
    assert said(a=np.array([0x3F80, 0x7F81], "u2")) == ["error: a: 1 of 2 elements are not finite, the first at [1]"]
    assert said(a=np.array([0xC040, 0xC040], "u2")) == ["warning: a: every element is -3"]


def test_large_numbers_whose_product_overflows_are_finite_all_the_same() -> None:
    assert said(a=np.array([1e30, -1e30, 2], "f4"), b=np.array([60000, 1], "f2")) == []


def test_a_norm_as_it_was_initialised_is_named_once() -> None:
    found = said(x__LayerNorm__weight=np.ones(9, "f4"), x__LayerNorm__bias=np.zeros(9, "f4"), y__bias=trained(3))
    assert found == ["warning: x.LayerNorm.weight: all 1, and its bias all 0, as initialised: never trained?"]


def test_a_group_all_of_whose_biases_are_zero_was_not_trained() -> None:
    zero = np.zeros(9, "f4")
    found = said(
        cls__predictions__bias=zero, cls__predictions__transform__dense__bias=zero, pooler__dense__bias=trained(9)
    )
    assert found == ["warning: cls.predictions.bias: every bias of mlm is 0, as initialised: never trained?"]


def test_one_zero_bias_among_others_is_only_that() -> None:
    found = said(encoder__a__bias=np.zeros(9, "f4"), encoder__b__bias=trained(9))
    assert found == ["warning: encoder.a.bias: all zero"]


def test_kernels_as_berts_initialiser_leaves_them_are_named() -> None:
    drawn = RANDOM.normal(0, 0.02, 40_000)
    cut = drawn[np.abs(drawn) <= 0.04][:20_000].astype("f4").reshape(100, 200)
    assert said(a__weight=cut) == ["warning: a.weight: distributed as an initialiser leaves it: never trained?"]
    fresh = drawn.astype("f4").reshape(200, 200)
    assert said(a__weight=fresh) == ["warning: a.weight: distributed as an initialiser leaves it: never trained?"]
    assert said(a__weight=fresh.T) == ["warning: a.weight: distributed as an initialiser leaves it: never trained?"]
    assert said(a__weight=fresh * 1.2) == []
    assert said(a__weight=(fresh + (RANDOM.normal(0, 1, 40_000) > 2.5).reshape(200, 200) * 0.05).astype("f4")) == []
    cut[99, 199] = 0.05
    assert said(a__weight=cut) == []
