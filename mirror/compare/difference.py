"""In what two tensors of one name differ, element by element, and why, where that shows.

A cause is a guess that fits every element, or says of how many it speaks. Tensors are
looked at in pieces: no more than a few megabytes are copied, however large they are.

Source: IEEE 754-2019 §3.4 (binary16, binary32), §4.3.1 (round to nearest, ties to even);
``transformers`` ``_init_weights`` and PaddleNLP 2.8 ``BertPretrainedModel._init_weights``
(normal distribution of 0.02).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mirror.compare.finding import Severity
from mirror.compare.names import have_same_bits
from mirror.compare.values import is_normal, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from mirror.compare.names import CanonicalTensor

#: Elements that are looked at together: what is made of them stays in a core's cache. Measured on 23 million that
#: all differ: 0.6 s, against 1.2 s with sixteen times as many.
_PIECE = 1 << 14
#: Dtypes whose every number is one of float32.
_NARROW = frozenset({"F32", "F16", "BF16"})
_FLOATS = _NARROW | {"F64"}


class Difference(NamedTuple):
    """In what one tensor is not the reference's.

    Attributes:
        name: Canonical name.
        largest: The largest difference of two elements at one place, infinite where only one of them is
            finite; None where the shapes are not the same.
        differing: Elements that do: in their bits, or in what they stand for where the dtypes are not the same.
        total: Elements of the reference.
        ulps: The largest difference counted in the float32 numbers between; None for other dtypes and shapes.
        cause: Why, where that shows; empty otherwise.
    """

    name: str
    largest: float | None
    differing: int
    total: int
    ulps: int | None = None
    cause: str = ""

    def within(self, tolerance: float) -> bool:
        """Whether no element is further off than ``tolerance``."""
        return self.largest is not None and self.largest <= tolerance


def difference(reference: CanonicalTensor, other: CanonicalTensor) -> Difference:
    """Return in what ``other`` is not ``reference``; no element and no cause where nothing does."""
    total = reference.array.size
    if reference.shape != other.shape:
        return Difference(reference.name, None, total, total, None, _reshaped(reference, other))
    tally = _Tally(reference.dtype, other.dtype)
    for one, another in _pieces(reference.array, other.array):
        tally.add(one, another)
    ulps = tally.ulps if reference.dtype == other.dtype == "F32" else None
    return Difference(reference.name, tally.largest, tally.count, total, ulps, _cause(reference, other, tally))


def _pieces(one: NDArray[Any], other: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield what stands at the same places, some rows at a time."""
    if one.ndim == 0:
        one, other = one.reshape(1), other.reshape(1)
    width = math.prod(one.shape[1:])
    if width > _PIECE:
        for row, another in zip(one, other, strict=True):
            yield from _pieces(row, another)
        return
    step = _PIECE // max(1, width)
    for start in range(0, len(one), step):
        yield one[start : start + step], other[start : start + step]


class _Tally:
    """What the pieces of two tensors add up to."""

    def __init__(self, dtype: str, other: str) -> None:
        self._dtypes = dtype, other
        self._narrow = {dtype, other} <= _NARROW
        self.largest = 0.0
        self.count = self.ulps = self.rows = 0
        # A cast is the cause as long as it explains every element, those that stayed as they were among them.
        self.casts = set(_CASTS) if self._narrow else set[str]()
        self.casts_of_other = set(self.casts)

    def add(self, one: NDArray[Any], other: NDArray[Any]) -> None:
        numbers, others = (
            _numbers(array, dtype, narrow=self._narrow) for array, dtype in zip((one, other), self._dtypes, strict=True)
        )
        differ = _differ(one, other) if self._dtypes[0] == self._dtypes[1] else ~_equal(numbers, others)
        self.casts = {name for name in self.casts if _equal(_CASTS[name](numbers), others).all()}
        self.casts_of_other = {name for name in self.casts_of_other if _equal(_CASTS[name](others), numbers).all()}
        if not (count := int(np.count_nonzero(differ))):
            return
        self.count += count
        if differ.ndim == 2:
            self.rows += int(np.count_nonzero(differ.any(axis=1)))
        numbers, others = numbers[differ], others[differ]
        self.largest = max(self.largest, float(_distances(numbers, others).max()))
        if self._dtypes == ("F32", "F32"):
            self.ulps = max(self.ulps, _ulps(numbers, others))


def _numbers(array: NDArray[Any], dtype: str, *, narrow: bool) -> NDArray[Any]:
    """Return what the elements stand for, as float32 where that has all of them, in C order."""
    if dtype == "BF16":
        array = (array.astype("<u4") << np.uint32(16)).view("<f4")
    return np.ascontiguousarray(array, "<f4" if narrow else "<f8")


def _differ(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    bits = f"u{one.itemsize}"
    differ: NDArray[np.bool_] = np.ascontiguousarray(one).view(bits) != np.ascontiguousarray(other).view(bits)
    return differ


def _equal(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where numbers are the same; what is no number is the same as itself."""
    equal: NDArray[np.bool_] = (one == other) | ((one != one) & (other != other))
    return equal


def _distances(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = np.abs(one.astype("f8") - other.astype("f8"))
    found[np.isnan(found)] = math.inf
    found[_equal(one, other)] = 0.0
    return found


def _ulps(one: NDArray[Any], other: NDArray[Any]) -> int:
    """Return the most float32 numbers that lie between two; what is no number is left out."""
    apart = np.abs(_order(one) - _order(other))[~(np.isnan(one) | np.isnan(other))]
    return int(apart.max(initial=0))


def _order(numbers: NDArray[Any]) -> NDArray[np.int64]:
    """Return each number's place among all of float32, -0.0 and 0.0 at one."""
    bits = numbers.view("<i4").astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _through_f16(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return numbers.astype("<f2").astype("<f4")


def _through_bf16(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    bits = numbers.view("<u4")
    # Half of the last place that stays, and ties go to the even one.
    return _cut(bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))))


def _through_cut_bf16(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    return _cut(numbers.view("<u4"))


def _cut(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    return (bits & np.uint32(0xFFFF0000)).view("<f4")


#: What loses precision, the mildest first.
_CASTS: Mapping[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "cast through F16": _through_f16,
    "cast through BF16": _through_bf16,
    "cast through BF16 by cutting bits off": _through_cut_bf16,
}


def _cause(reference: CanonicalTensor, other: CanonicalTensor, tally: _Tally) -> str:
    """Return why two tensors of one shape differ; empty where nothing fits."""
    if not tally.count:
        return "" if reference.dtype == other.dtype else f"the same numbers as {other.dtype}, not {reference.dtype}"
    if tally.largest == 0:
        return "only the signs of zeros, or the bits of what is no number"
    if found := next((name for name in _CASTS if name in tally.casts), ""):
        return found
    if found := next((name for name in _CASTS if name in tally.casts_of_other), ""):
        return f"the reference is this one, {found}"
    if found := _turned(reference, other):
        return found
    rows = len(reference.array) if reference.array.ndim == 2 else 0
    if "_embeddings." in reference.name and tally.rows < rows:
        return f"only {tally.rows} of {rows} rows differ: fine-tuned?"
    if (found := _fresh(other)) and not _fresh(reference):
        return f"freshly initialised? {found}"
    return ""


def _reshaped(reference: CanonicalTensor, other: CanonicalTensor) -> str:
    """Return why two tensors differ in shape."""
    if found := _turned(reference, other):
        return found
    shapes = f"shape {_dims(other)}, where the reference has {_dims(reference)}"
    if not (reference.shape and other.shape) or reference.shape[1:] != other.shape[1:]:
        return shapes
    rows, others = len(reference.array), len(other.array)
    common = min(rows, others)
    unlike = difference(
        reference._replace(array=reference.array[:common]), other._replace(array=other.array[:common])
    ).differing
    resized = f"{abs(others - rows)} rows {'more' if others > rows else 'fewer'} than the reference's {rows}: resized?"
    told = "all are equal" if not unlike else f"{unlike} elements differ"
    return f"{resized} Of the {common} that both have {told}"


def _turned(reference: CanonicalTensor, other: CanonicalTensor) -> str:
    """Say whether the other is the reference transposed, or its bytes in that order; empty when neither."""
    if reference.array.ndim != 2 or 1 in reference.shape:
        return ""
    turned = reference.array.T
    if have_same_bits(turned, other.array):
        return "transposed"
    # A reader that takes the strides of a file for granted gets the right shape, and this.
    is_plain = other.shape == reference.shape and other.array.flags.c_contiguous
    if is_plain and have_same_bits(turned, other.array.reshape(turned.shape)):
        return "the bytes of the transposed matrix under this one's shape"
    return ""


def _dims(one: CanonicalTensor) -> str:
    return " x ".join(map(str, one.shape)) or "of a scalar"


def _fresh(one: CanonicalTensor) -> str:
    """Say in what a tensor looks as if it was never trained; empty where it does not."""
    if one.dtype not in {"F32", "F16", "F64"} or one.array.size < 2:
        return ""
    low, high = float(one.array.min()), float(one.array.max())
    if low == high:
        return f"every element is {low:g}" if low in {0.0, 1.0} else ""
    if one.array.ndim != 2:
        return ""
    if any(found.severity is Severity.WARNING for found in look([one])) or is_normal(one.array.ravel(order="K")):
        return "distributed as an initialiser leaves it"
    return ""
