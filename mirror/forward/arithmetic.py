"""The few functions that a network of the four families is made of, in single precision.

What is not finite goes through and comes out again; whoever calls keeps numpy quiet about it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_SQRT_HALF = math.sqrt(0.5)
#: Abramowitz and Stegun, 7.1.26: p, then a1 to a5; off by 1.5e-7 at most. The exact error function takes the
#: whole pass twice as long and brings it no nearer to PyTorch's.
_P = 0.3275911
_A1, _A2, _A3, _A4, _A5 = 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429
_TANH_SCALE, _TANH_CUBIC = math.sqrt(2 / math.pi), 0.044715


def as_float32(array: NDArray[Any], dtype: str) -> Floats:
    """Return elements in single precision, laid as they are: themselves where a processor takes them, else a copy.

    Args:
        array: The elements; bfloat16 as its bits.
        dtype: ``F64``, ``F32``, ``F16`` or ``BF16``.
    """
    if dtype == "BF16":
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array.astype(np.float32, copy=not array.flags.aligned)


def normalized(states: Floats, weight: Floats, bias: Floats, eps: float) -> Floats:
    """Return states of mean 0 and variance 1 along the last axis, scaled and moved.

    Source: Ba et al., arXiv:1607.06450 (layer normalization).
    """
    centred: Floats = states - states.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    centred /= np.sqrt(variance + np.float32(eps))
    centred *= weight
    centred += bias
    return centred


def softmax(scores: Floats) -> Floats:
    """Return probabilities along the last axis, each of which has a score that is larger than -inf."""
    found: Floats = np.exp(scores - scores.max(axis=-1, keepdims=True))
    found /= found.sum(axis=-1, keepdims=True)
    return found


def gelu(x: Floats) -> Floats:
    """Return x times the normal distribution's integral up to x.

    Source: Hendrycks and Gimpel, arXiv:1606.08415; Abramowitz and Stegun 7.1.26 (error function).
    """
    z = np.abs(x) * np.float32(_SQRT_HALF)
    t: Floats = np.reciprocal(1 + np.float32(_P) * z)
    tail: Floats = t * np.float32(_A5)
    for coefficient in (_A4, _A3, _A2, _A1):
        tail += np.float32(coefficient)
        tail *= t
    tail *= np.exp(-z * z)
    # What is beyond |x|, on one side: the same for both signs, so nothing cancels where x is far below 0.
    tail *= np.float32(0.5)
    found: Floats = np.maximum(x, 0) - np.abs(x) * tail
    return found


def gelu_new(x: Floats) -> Floats:
    """Return what Google's code takes for ``gelu``: with a hyperbolic tangent, up to 5e-4 away from it.

    Source: google-research/bert ``modeling.gelu``.
    """
    inner = np.float32(_TANH_SCALE) * (x + np.float32(_TANH_CUBIC) * x * x * x)
    found: Floats = np.float32(0.5) * x * (1 + np.tanh(inner))
    return found


def relu(x: Floats) -> Floats:
    """Return x where it is positive, else 0."""
    found: Floats = np.maximum(x, 0)
    return found


#: Where a configuration does not say: what ``transformers`` takes then (``configuration_{albert,bert}``).
_DEFAULTS: Mapping[str, str] = {"albert": "gelu_new"}


def stated_activation(config: Mapping[str, Any], family: str) -> str:
    """Return the activation that a configuration asks for, or the one that its family has where it does not."""
    return str(config.get("hidden_act", config.get("activation", _DEFAULTS.get(family, "gelu"))))


#: Under the names that configurations have for them.
ACTIVATIONS: Mapping[str, Callable[[Floats], Floats]] = {"gelu": gelu, "gelu_new": gelu_new, "relu": relu}
