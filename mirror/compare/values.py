"""What the numbers themselves show: what is not finite, never varies, or was never trained.

Only the first is an error. The others are what a converter leaves behind that missed a
name: weights as the framework initialised them.

Source: google-research/bert ``modeling.create_initializer`` (normal distribution of 0.02,
cut at two standard deviations), ``transformers`` ``_init_weights``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mirror.compare.digest import group_of
from mirror.compare.finding import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from mirror.compare.names import CanonicalTensor

_STEP = "values"
#: Elements that are looked at together: they stay in a core's cache from one question to the next.
_PIECE = 1 << 18
#: No initialised weight of Google's is larger, and its standard deviation is that of the cut distribution.
_CUT_AT = 0.04
_CUT_SPREAD = (0.0170, 0.0182)
#: Others do not cut it.
_SPREAD = 0.02
#: Standard errors by which a sample may miss its distribution.
_ERRORS = 4.0
#: Fewer elements say nothing about a distribution.
_ENOUGH = 1024
#: Elements that are asked first, and the largest standard deviation that so many may have: eight errors off.
_HEAD = 4096
_SPREAD_OF_HEAD = 0.0218
_MOMENTS_PIECE = 1 << 14
_BF16_EXPONENT = 0x7F80


def look(tensors: Iterable[CanonicalTensor]) -> Iterator[Finding]:
    """Yield what is strange about the numbers of a model's tensors."""
    constants: dict[str, float] = {}
    everything = {one.name: one for one in tensors}
    for one in everything.values():
        flat = _flat(one.array)
        if (bad := _first_bad(one, flat)) is not None:
            yield Finding(_STEP, Severity.ERROR, bad, one.name)
        elif _is_constant(flat):
            constants[one.name] = _number(flat[0], one.dtype)
        elif one.dtype == "F32" and one.name.endswith(".weight") and _is_initialised(flat):
            text = "distributed as an initialiser leaves it: never trained?"
            yield Finding(_STEP, Severity.WARNING, text, one.name)
    yield from _untrained(everything, constants)


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Return the elements in the order that they lie in, without a copy wherever that is possible."""
    return array.ravel(order="K")


def _pieces(flat: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (flat[start : start + _PIECE] for start in range(0, flat.size, _PIECE))


def _first_bad(one: CanonicalTensor, flat: NDArray[Any]) -> str | None:
    """Say which element is the first that is no number; None when all are."""
    if one.dtype not in {"F64", "F32", "F16", "BF16"}:
        return None
    if all(_is_finite(piece, one.dtype) for piece in _pieces(flat)):
        return None
    bad = ~_finite(one.array, one.dtype)
    index = tuple(int(each) for each in np.unravel_index(int(np.argmax(bad)), bad.shape))
    return f"{int(bad.sum())} of {bad.size} elements are not finite, the first at {list(index)}"


def _is_finite(piece: NDArray[Any], dtype: str) -> bool:
    # One product is twice as fast as asking each element, and is finite only if all of them are.
    # A large one may overflow, and half precision does so at 256: then they are asked.
    with np.errstate(all="ignore"):
        if dtype in {"F32", "F64"} and np.isfinite(np.dot(piece, piece)):
            return True
    return bool(_finite(piece, dtype).all())


def _finite(array: NDArray[Any], dtype: str) -> NDArray[np.bool_]:
    # bfloat16 is kept as its bits.
    finite: NDArray[np.bool_] = (array & _BF16_EXPONENT) != _BF16_EXPONENT if dtype == "BF16" else np.isfinite(array)
    return finite


def _is_constant(flat: NDArray[Any]) -> bool:
    """Whether all of several elements are the same."""
    if flat.size < 2 or flat[0] != flat[-1] or flat[0] != flat[flat.size // 2]:
        return False
    return all((piece == flat[0]).all() for piece in _pieces(flat))


def _number(element: Any, dtype: str) -> float:
    if dtype == "BF16":
        return float((np.uint32(element) << np.uint32(16)).view(np.float32))
    return float(element)


def _is_initialised(flat: NDArray[np.float32]) -> bool:
    head = flat[:_HEAD]
    if flat.size < _HEAD or not _CUT_SPREAD[0] < head.std() < _SPREAD_OF_HEAD:
        return False  # most trained weights end here
    if is_normal(flat):
        return True
    if any(np.abs(piece).max() > _CUT_AT for piece in _pieces(flat)):
        return False
    return _CUT_SPREAD[0] < float(flat.std()) < _CUT_SPREAD[1]


def is_normal(flat: NDArray[Any]) -> bool:
    """Whether elements may be drawn from the normal distribution, not cut, that weights are initialised with.

    Source: ``transformers`` ``_init_weights`` with an ``initializer_range`` of 0.02.
    """
    count = flat.size
    if count < _ENOUGH:
        return False
    sums = np.zeros(4)
    for start in range(0, count, _MOMENTS_PIECE):
        numbers = flat[start : start + _MOMENTS_PIECE].astype("f8") / _SPREAD
        squares = numbers * numbers
        sums += numbers.sum(), squares.sum(), (squares * numbers).sum(), (squares * squares).sum()
        if not start and not _has_moments(sums, min(count, _MOMENTS_PIECE)):
            return False
    return _has_moments(sums, count)


def _has_moments(sums: NDArray[np.float64], count: int) -> bool:
    mean, square, cube, fourth = sums / count
    # Moments of a standard normal distribution, and the variances of their estimates.
    expected = ((mean, 0, 1), (square, 1, 2), (cube, 0, 15), (fourth, 3, 96))
    return all(abs(found - wanted) <= _ERRORS * math.sqrt(variance / count) for found, wanted, variance in expected)


def _untrained(everything: dict[str, CanonicalTensor], constants: dict[str, float]) -> Iterator[Finding]:
    """Yield what constant tensors mean: norms and biases as initialised, or numbers that are missing."""
    norms = {name.removesuffix(".weight") for name, value in constants.items() if value == 1.0}
    fresh = {norm for norm in norms if constants.get(f"{norm}.bias") == 0.0}
    for norm in sorted(fresh):
        yield Finding(
            _STEP, Severity.WARNING, "all 1, and its bias all 0, as initialised: never trained?", f"{norm}.weight"
        )
    explained = {f"{norm}.{part}" for norm in fresh for part in ("weight", "bias")}
    for group, biases in _biases(everything, explained).items():
        if all(constants.get(name) == 0.0 for name in biases):
            yield Finding(
                _STEP, Severity.WARNING, f"every bias of {group} is 0, as initialised: never trained?", biases[0]
            )
            explained.update(biases)
    for name in sorted(constants.keys() - explained):
        text = "all zero" if constants[name] == 0.0 else f"every element is {constants[name]:g}"
        yield Finding(_STEP, Severity.WARNING, text, name)


def _biases(everything: dict[str, CanonicalTensor], explained: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in everything:
        if name.endswith(".bias") and name not in explained:
            found.setdefault(group_of(name), []).append(name)
    return found
