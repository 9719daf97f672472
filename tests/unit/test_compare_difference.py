"""By how much two tensors differ, and the causes that can be told."""

from __future__ import annotations

import math
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mirror.compare.difference import Difference, difference
from mirror.compare.names import CanonicalTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORDS = "embeddings.word_embeddings.weight"
KERNEL = "encoder.layer.0.output.dense.weight"
RANDOM = np.random.default_rng(0)


def drawn(*shape: int, spread: float = 0.05) -> NDArray[np.float32]:
    return RANDOM.normal(0, spread, shape).astype("<f4")


def between(
    one: NDArray[Any], other: NDArray[Any], name: str = KERNEL, dtypes: tuple[str, str] = ("F32", "F32")
) -> Difference:
    return difference(CanonicalTensor(name, dtypes[0], one, name), CanonicalTensor(name, dtypes[1], other, name))


def as_bf16(numbers: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the nearest bfloat16 of each number, by way of float64 and the definition."""
    found = []
    for number in numbers.ravel():
        low = int(np.float32(number).view("<u4")) >> 16
        near = [(np.uint32(bits << 16)).view("<f4") for bits in (low, low + 1)]
        apart = [abs(float(each) - float(number)) for each in near]
        up = apart[1] < apart[0] or (apart[1] == apart[0] and low % 2 == 1)
        found.append(low + up)
    return np.array(found, "<u2").reshape(numbers.shape)


def widened(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (bits.astype("<u4") << np.uint32(16)).view("<f4")


def test_the_same_numbers_do_not_differ_wherever_they_lie() -> None:
    array = drawn(70, 130)
    assert between(array, np.asfortranarray(array)) == Difference(KERNEL, 0.0, 0, 9100, 0)
    nothing = np.zeros((0, 4), "<f4")
    assert between(nothing, nothing.copy()) == Difference(KERNEL, 0.0, 0, 0, 0)
    scalar = np.array(2.5, "<f4")
    assert between(scalar, scalar.copy()).differing == 0


def test_one_step_of_one_element_is_found_and_measured() -> None:
    array = drawn(300, 200)
    other = array.copy()
    other[299, 199] = np.nextafter(other[299, 199], np.float32(9))
    found = between(array, other)
    assert (found.differing, found.total, found.ulps, found.cause) == (1, 60_000, 1, "")
    assert found.largest == float(other[299, 199]) - float(array[299, 199])
    assert not found.within(found.largest / 2)
    assert found.within(found.largest)


def test_steps_are_counted_across_zero() -> None:
    tiny = np.float32(1e-45)  # the smallest number above zero
    assert between(np.array([tiny, 5], "<f4"), np.array([-tiny, 5], "<f4")).ulps == 2


def test_minus_zero_and_the_bits_of_nan_are_told_from_numbers() -> None:
    nan = np.array([0x7FC00000], "<u4").view("<f4"), np.array([0x7FC00001], "<u4").view("<f4")
    for one, other in ((np.zeros(3, "<f4"), -np.zeros(3, "<f4")), nan):
        found = between(one, other)
        assert (found.largest, found.ulps, found.differing) == (0.0, 0, one.size)
        assert found.cause == "only the signs of zeros, or the bits of what is no number"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_infinitely_far_off(value: float) -> None:
    found = between(np.array([1, 2], "<f4"), np.array([1, value], "<f4"))
    assert (found.largest, found.differing) == (math.inf, 1)
    assert not found.within(1e30)


@pytest.mark.parametrize("turned", [False, True])
def test_a_cast_through_f16_is_named_with_the_difference_that_it_leaves(turned: bool) -> None:
    array = drawn(100, 90, spread=0.02)
    lossy = array.astype("<f2").astype("<f4")
    found = between(array, np.asfortranarray(lossy) if turned else lossy)
    assert found.cause == "cast through F16"
    assert found.largest == np.abs(array - lossy).max() <= 3.06e-5
    assert between(array, array.astype("<f2"), dtypes=("F32", "F16")).cause == "cast through F16"
    assert between(lossy, array).cause == "the reference is this one, cast through F16"


def test_numbers_too_large_for_f16_become_infinite_and_the_cause_is_still_found() -> None:
    array = np.array([1.1, 7e4], "<f4")
    found = between(array, np.array([np.float32(np.float16(1.1)), np.inf], "<f4"))
    assert (found.cause, found.largest) == ("cast through F16", math.inf)


def test_both_ways_to_bf16_are_told_apart() -> None:
    array = drawn(40, 30)
    array[0, 0] = np.array([0x3F808000], "<u4").view("<f4")[0]  # a tie, with an even number below it
    array[0, 1] = np.array([0x3F818000], "<u4").view("<f4")[0]  # a tie, with an odd one
    rounded = as_bf16(array)
    assert between(array, widened(rounded)).cause == "cast through BF16"
    assert between(array, rounded, dtypes=("F32", "BF16")).cause == "cast through BF16"
    cut = (array.view("<u4") >> np.uint32(16)).astype("<u2")
    assert between(array, widened(cut)).cause == "cast through BF16 by cutting bits off"


def test_one_element_that_a_cast_does_not_explain_is_no_cast() -> None:
    array = drawn(100, 90)
    lossy = array.astype("<f2").astype("<f4")
    lossy[50, 7] += 1
    assert between(array, lossy).cause == ""


def test_another_dtype_alone_changes_no_number() -> None:
    array = drawn(10, 9).astype("<f2")
    found = between(array.astype("<f4"), array, dtypes=("F32", "F16"))
    assert (found.differing, found.largest, found.ulps) == (0, 0.0, None)
    assert found.cause == "the same numbers as F16, not F32"
    assert between(array.astype("<f8"), array.astype("<f4"), dtypes=("F64", "F32")).differing == 0
    assert between(np.arange(3), np.arange(3) + 1, dtypes=("I64", "I64")).largest == 1.0


@pytest.mark.parametrize("shape", [(40, 40), (40, 60)])
def test_a_transposed_matrix_is_named(shape: tuple[int, int]) -> None:
    array = drawn(*shape)
    assert between(array, np.ascontiguousarray(array.T)).cause == "transposed"
    assert between(array, array.T).cause == "transposed"


def test_strides_that_a_reader_did_not_heed_are_named() -> None:
    array = drawn(40, 60)
    scrambled = np.ascontiguousarray(array.T).reshape(40, 60)
    assert between(array, scrambled).cause == "the bytes of the transposed matrix under this one's shape"


def test_some_changed_rows_of_a_table_are_counted_and_all_of_them_are_no_cause() -> None:
    table = drawn(500, 20)
    tuned = table.copy()
    tuned[[3, 400]] += 0.001
    assert between(table, tuned, WORDS).cause == "only 2 of 500 rows differ: fine-tuned?"
    assert between(table, tuned, KERNEL).cause == ""
    assert between(table, table + 1, WORDS).cause == ""


@pytest.mark.parametrize(
    ("rows", "change", "cause"),
    [
        (510, 0, "10 rows more than the reference's 500: resized? Of the 500 that both have all are equal"),
        (490, 0, "10 rows fewer than the reference's 500: resized? Of the 490 that both have all are equal"),
        (510, 1, "10 rows more than the reference's 500: resized? Of the 500 that both have 20 elements differ"),
    ],
)
def test_a_resized_vocabulary_is_named_with_what_became_of_the_old_words(rows: int, change: int, cause: str) -> None:
    table = drawn(510, 20)
    other = table[:rows].copy()
    other[0] += change
    found = between(table[:500], other, WORDS)
    assert (found.largest, found.differing, found.total, found.cause) == (None, 10_000, 10_000, cause)
    assert not found.within(1e9)
    bias = drawn(12)
    assert between(bias[:10], bias, "cls.predictions.bias").cause.endswith("Of the 10 that both have all are equal")


def test_other_shapes_are_only_named() -> None:
    assert between(drawn(3, 4), drawn(5, 6)).cause == "shape 5 x 6, where the reference has 3 x 4"
    assert between(drawn(3), np.array(1, "<f4")).cause == "shape of a scalar, where the reference has 3"


def cut_normal() -> NDArray[np.float32]:
    found = RANDOM.normal(0, 0.02, 60_000)
    return found[np.abs(found) <= 0.04][:40_000].astype("<f4").reshape(200, 200)


@pytest.mark.parametrize("fresh", [cut_normal(), drawn(200, 200, spread=0.02), drawn(64, 16, spread=0.02)])
def test_a_kernel_as_an_initialiser_leaves_it_is_named(fresh: NDArray[np.float32]) -> None:
    trained = drawn(*fresh.shape)
    assert between(trained, fresh).cause == "freshly initialised? distributed as an initialiser leaves it"
    assert between(fresh, trained).cause == ""
    assert between(fresh, fresh[::-1].copy()).cause == ""  # so is the reference: nothing is explained


def test_a_head_whose_norm_and_biases_were_never_trained_is_named() -> None:
    ones, zeros = np.ones(8, "<f4"), np.zeros(8, "<f4")
    assert between(drawn(8), ones).cause == "freshly initialised? every element is 1"
    assert between(drawn(8), zeros).cause == "freshly initialised? every element is 0"
    assert between(drawn(8), np.full(8, 0.3, "<f4")).cause == ""
    assert between(drawn(200, 200), drawn(200, 200, spread=0.03)).cause == ""


def test_a_long_row_is_looked_at_in_pieces_too() -> None:
    row = drawn(1, 100_000)
    other = row.copy()
    other[0, 99_999] += 1
    assert between(row, other).differing == 1
    assert between(row.T, other.T).differing == 1


@given(st.data())
def test_count_and_largest_are_those_of_a_plain_comparison(data: st.DataObject) -> None:
    shape = data.draw(array_shapes(max_dims=3, max_side=6))
    floats = st.floats(-4, 4, width=32)
    one, other = (data.draw(arrays("<f4", shape, elements=floats)) for _ in range(2))
    found = between(one, other)
    assert found.differing == np.count_nonzero(one.view("<u4") != other.view("<u4"))
    assert found.largest == float(np.abs(one.astype("f8") - other.astype("f8")).max())


def test_the_word_table_of_bert_base_is_compared_in_little_memory() -> None:
    table = np.zeros((30522, 768), "<f4")
    other = np.full((768, 30522), 0.1, "<f4").T
    tracemalloc.start()
    try:
        found = between(table, other, WORDS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.differing == table.size
    assert peak < 8 << 20
