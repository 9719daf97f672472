"""The forward pass of the four families, over canonical tensors.

Everything is computed in single precision, whatever the file has, and by batch, so arrays
are ``(batch, tokens, width)``. Weights are read where they lie; nothing is trained, dropped
out or drawn, so the same input gives the same output, up to the rounding of another BLAS.

Source: ``transformers`` ``modeling_bert``, ``modeling_distilbert``, ``modeling_albert``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mirror.compare.digest import group_of
from mirror.compare.families import ALIASES, WORDS
from mirror.compare.structure import expected
from mirror.errors import FormatError
from mirror.forward.arithmetic import ACTIVATIONS, as_float32, normalized, softmax
from mirror.forward.parts import EMBEDDED_NORM, HEADS, LAYERS, POSITIONS, SEGMENTS, WIDENED, Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mirror.compare.names import CanonicalTensor
    from mirror.compare.sizes import Sizes
    from mirror.forward.arithmetic import Floats

_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
#: Elements of a weight that are brought to single precision at a time.
_PIECE = 1 << 22


class Outputs(NamedTuple):
    """What a model says of its input; heads that its file does not hold are None.

    Attributes:
        hidden: States after the embeddings and after every layer, each ``(batch, tokens, hidden)``.
        pooled: State of the first token, pooled, ``(batch, hidden)``.
        mlm: Logits of every word at every place, ``(batch, tokens, vocab)``; the decoder is the word table,
            unless the file has another one.
        nsp: Logits of the next sentence, or of ALBERT's sentence order, ``(batch, 2)``.
        row_error: How far the sum of an attention row is from 1 at most.
    """

    hidden: tuple[Floats, ...]
    pooled: Floats | None
    mlm: Floats | None
    nsp: Floats | None
    row_error: float


class _Network:
    """A model's tensors, each looked at for its shape and dtype before it is used."""

    def __init__(
        self, family: str, sizes: Sizes, tensors: Mapping[str, CanonicalTensor], activation: str, eps: float
    ) -> None:
        if sizes.layers is None:
            raise FormatError("the number of layers is not known")
        if not sizes.heads or sizes.hidden % sizes.heads:
            raise FormatError(f"a width of {sizes.hidden} with {sizes.heads} heads")
        if activation not in ACTIVATIONS:
            raise FormatError(f"an activation that is not known here: {ascii(activation)[:40]}")
        if not 0 < eps < 1:
            raise FormatError(f"norms with an epsilon of {eps}")
        self._family, self._sizes, self._tensors, self._eps = family, sizes, tensors, eps
        self._expected = expected(family, sizes)
        self._activation: Callable[[Floats], Floats] = ACTIVATIONS[activation]
        self._groups = {group_of(name) for name in self._expected if name in tensors}
        self.heads = HEADS[family]
        self.row_error = 0.0

    def holds(self, group: str) -> bool:
        """Whether the file has any tensor of a group."""
        return group in self._groups

    def embedded(self, ids: NDArray[np.int64], segments: NDArray[np.int64]) -> Floats:
        """Return the sum of the tables' rows, normalised; for ALBERT widened too."""
        states = self._rows(WORDS, ids)
        states += self._rows(POSITIONS, np.arange(ids.shape[1]))
        if self._family != "distilbert":
            states += self._rows(SEGMENTS, segments)
        states = self.normed(states, EMBEDDED_NORM)
        return self.linear(states, WIDENED) if self._family == "albert" else states

    def layer(self, states: Floats, number: int, mask: NDArray[np.bool_]) -> Floats:
        """Return the states after one more layer."""
        names = Layer(*(name.format(number) for name in LAYERS[self._family]))
        attended = self.linear(self._attended(states, names, mask), names.attended)
        states = self.normed(states + attended, names.attended_norm)
        inner = self._activation(self.linear(states, names.inner))
        return self.normed(states + self.linear(inner, names.outer), names.norm)

    def _attended(self, states: Floats, names: Layer, mask: NDArray[np.bool_]) -> Floats:
        """Return for every token the values of all tokens, mixed by how much it looks at each."""
        parts = (names.query, names.key, names.value)
        query, key, value = (self._by_head(self.linear(states, part)) for part in parts)
        scores = query @ key.swapaxes(-1, -2) * np.float32(query.shape[-1] ** -0.5)
        weights = softmax(np.where(mask[:, None, None, :], scores, np.float32(-np.inf)))
        error = np.abs(weights.sum(axis=-1) - 1).max()
        # With ``np.maximum`` and not ``max``, a NaN of one layer is still there after the next.
        self.row_error = float(np.maximum(self.row_error, error))
        mixed: Floats = (weights @ value).swapaxes(1, 2).reshape(states.shape)
        return mixed

    def _by_head(self, states: Floats) -> Floats:
        batch, tokens, width = states.shape
        heads = self._sizes.heads
        assert heads  # it is asked for at the beginning
        return states.reshape(batch, tokens, heads, width // heads).swapaxes(1, 2)

    def words(self, states: Floats) -> Floats:
        """Return the logits of every word."""
        changed = self._activation(self.linear(states, self.heads.transform))
        normed = self.normed(changed, self.heads.transform_norm)
        logits = self._product(normed, self._untied(f"{self.heads.decoder}.weight", WORDS))
        logits += self._vector(self._untied(f"{self.heads.decoder}.bias", self.heads.words_bias))
        return logits

    def _untied(self, own: str, tied: str) -> str:
        """Return the name of the decoder's own numbers where a file has other ones than those it is tied to."""
        return own if own in self._tensors else tied

    def linear(self, states: Floats, name: str) -> Floats:
        """Return states after a linear layer."""
        return self._product(states, f"{name}.weight") + self._vector(f"{name}.bias")

    def normed(self, states: Floats, name: str) -> Floats:
        """Return states after a layer's norm."""
        return normalized(states, self._vector(f"{name}.weight"), self._vector(f"{name}.bias"), self._eps)

    def _product(self, states: Floats, name: str) -> Floats:
        """Return states times a weight that lies ``(out, in)``."""
        one = self._tensor(name)
        flat = states.reshape(-1, states.shape[-1])  # one large product, where numpy would make one for each row
        out = len(one.array)
        found: Floats = np.empty((len(flat), out), np.float32)
        # What is in single precision already is used where it lies, all at once; but where a file has it at an odd
        # place, numpy would copy it for the product, and ten times as slowly.
        is_ready = one.dtype == "F32" and one.array.flags.aligned
        step = out if is_ready else max(1, _PIECE // flat.shape[1])
        for start in range(0, out, step):
            piece = one.array[start : start + step]
            np.matmul(flat, as_float32(piece, one.dtype).T, out=found[:, start : start + step])
        return found.reshape(*states.shape[:-1], out)

    def _rows(self, name: str, rows: NDArray[np.int64]) -> Floats:
        one = self._tensor(name)
        return as_float32(one.array[rows], one.dtype)

    def _vector(self, name: str) -> Floats:
        one = self._tensor(name)
        return as_float32(one.array, one.dtype)

    def _tensor(self, name: str) -> CanonicalTensor:
        one = self._tensors.get(name)
        if one is None:
            raise FormatError("missing", tensor=name)
        wanted = self._expected.get(name) or self._expected[ALIASES[name]]
        if one.shape != wanted:
            raise FormatError(f"shape {list(one.shape)}, where {list(wanted)} should be", tensor=name)
        if one.dtype not in _FLOATS:
            raise FormatError(f"dtype {one.dtype}, where numbers with a fraction should be", tensor=name)
        return one


def run(
    family: str,
    sizes: Sizes,
    tensors: Mapping[str, CanonicalTensor],
    ids: NDArray[Any],
    segments: NDArray[Any] | None = None,
    mask: NDArray[Any] | None = None,
    *,
    activation: str = "gelu",
    eps: float = 1e-12,
) -> Outputs:
    """Return what a model says of some tokens.

    Args:
        family: One of ``families.FAMILIES``.
        sizes: The sizes of the model; heads and layers must be known.
        tensors: Its tensors, by canonical name.
        ids: Numbers of the tokens, ``(batch, tokens)``.
        segments: Which segment each token is of; by default all are of the first.
        mask: Which tokens are there, and not padding; by default all. At least one in each row.
        activation: One of ``arithmetic.ACTIVATIONS``, as the configuration names it.
        eps: What norms add to the variance.

    Raises:
        FormatError: A tensor that is needed is missing, or has another shape or dtype than it should, or the
            configuration wants what is not known here.
        ValueError: The input is not one that a model of these sizes takes.
    """
    network = _Network(family, sizes, tensors, activation, eps)
    segments = np.zeros_like(ids) if segments is None else segments
    present = np.ones(ids.shape, np.bool_) if mask is None else mask.astype(np.bool_)
    _check_input(ids, segments, present, sizes)
    assert sizes.layers is not None  # the network has asked
    # What is not finite is for whoever looks at the outputs, and no reason for a warning here.
    with np.errstate(all="ignore"):
        hidden = [network.embedded(ids, segments)]
        for number in range(sizes.layers):
            hidden.append(network.layer(hidden[-1], number, present))
        heads = network.heads
        pooled = np.tanh(network.linear(hidden[-1][:, 0], heads.pooler)) if network.holds("pooler") else None
        return Outputs(
            hidden=tuple(hidden),
            pooled=pooled,
            mlm=network.words(hidden[-1]) if network.holds("mlm") else None,
            nsp=network.linear(pooled, heads.nsp) if pooled is not None and network.holds("nsp") else None,
            row_error=network.row_error,
        )


def _check_input(ids: NDArray[Any], segments: NDArray[Any], mask: NDArray[np.bool_], sizes: Sizes) -> None:
    if ids.ndim != 2 or not ids.size or segments.shape != ids.shape or mask.shape != ids.shape:
        raise ValueError(f"ids {ids.shape}, segments {segments.shape}, mask {mask.shape}")
    if ids.shape[1] > sizes.positions:
        raise ValueError(f"{ids.shape[1]} tokens for {sizes.positions} positions")
    # A negative index would be one from the end.
    for values, size in ((ids, sizes.vocab), (segments, max(1, sizes.types))):
        if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= size:
            raise ValueError(f"numbers of {values.dtype} that are not all from 0 to {size - 1}")
    if not mask.any(axis=1).all():
        raise ValueError("a row without any token")
