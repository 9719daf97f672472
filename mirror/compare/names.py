"""From what a file calls its tensors to canonical names, in Hugging Face's orientation.

Nothing is copied: a matrix that lies ``(in, out)`` is seen through a transposed view. What
a file holds twice is dropped where the bits agree, and stays under its own name where they
do not; buffers are checked and dropped; names that no rule knows stay, and are named.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mirror.compare.dialects import dialect
from mirror.compare.families import ALIASES, FAMILIES, POSITION_IDS, TOKEN_TYPE_IDS, is_known
from mirror.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from mirror.formats.checkpoint import Checkpoint, Tensor

#: Elements that are compared at a time.
_PIECE = 1 << 18
_MAX_POSITIONS = 1 << 20
#: PyTorch's and Paddle's wrappers for training on several devices; it fits every beginning.
_MODULE = re.compile(r"(?:module\.)*")
_SIGNS = {
    "albert": r"^albert\.|albert_layer|\.inner_group_[0-9]|\bembedding_hidden_mapping_in\.",
    "tinybert": r"^tinybert\.|\bfit_denses?\.",
    "distilbert": r"^distilbert\.|^transformer\.layer\.|^vocab_transform\.",
    "bert": r"^bert\.|^encoder\.layer|^cls\.",
}


class CanonicalTensor(NamedTuple):
    """One tensor under its canonical name.

    Attributes:
        name: Hugging Face's name, without the model's prefix.
        dtype: As safetensors writes it.
        array: Its elements as Hugging Face has them; a view into the file, transposed where the file is.
        file_name: What the file calls it.
    """

    name: str
    dtype: str
    array: NDArray[Any]
    file_name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, in Hugging Face's order."""
        return self.array.shape


class Canonical(NamedTuple):
    """What a checkpoint holds, whatever its format.

    Attributes:
        family: One of ``families.FAMILIES``; empty where the names do not tell.
        tensors: By canonical name, in the order of the file.
        tied: File's names of what was dropped because it repeats another tensor bit by bit.
        untied: Canonical names of tied weights that were kept because their bits differ.
        buffers: File's names of buffers, which were checked and dropped.
        unknown: File's names that no rule knows; they are in ``tensors`` all the same.
    """

    family: str
    tensors: Mapping[str, CanonicalTensor]
    tied: tuple[str, ...] = ()
    untied: tuple[str, ...] = ()
    buffers: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def canonical(checkpoint: Checkpoint, family: str | None = None) -> Canonical:
    """Return what a checkpoint holds, under canonical names.

    Args:
        checkpoint: What a reader gave back.
        family: One of ``families.FAMILIES``; by default the one that the names show.

    Raises:
        FormatError: Two tensors have one canonical name, or a buffer holds something else than it should.
        ValueError: There is no such family.
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"no family {family!r}")
    rules = dialect(checkpoint.format)
    plain = [_MODULE.sub("", rules.plain(tensor.name), count=1) for tensor in checkpoint.tensors]
    family = family_of(plain) if family is None else family
    tensors: dict[str, CanonicalTensor] = {}
    tied: list[str] = []
    buffers: list[str] = []
    unknown: list[str] = []
    for tensor, dotted in zip(checkpoint.tensors, plain, strict=True):
        name = rules.own(_without(dotted, rules.prefixes), family)
        if name in _BUFFERS:
            _BUFFERS[name](tensor)
            buffers.append(tensor.name)
            continue
        is_turned = tensor.array.ndim == 2 and rules.is_turned(tensor.name, name)
        one = CanonicalTensor(name, tensor.dtype, tensor.array.T if is_turned else tensor.array, tensor.name)
        if (before := tensors.setdefault(name, one)) is not one:
            _check_repeated(before, one, checkpoint.format)
            tied.append(tensor.name)
        elif not is_known(name, family):
            unknown.append(tensor.name)
    dropped, untied = _without_aliases(tensors)
    return Canonical(family, tensors, (*tied, *dropped), untied, tuple(buffers), tuple(unknown))


def family_of(names: Iterable[str]) -> str:
    """Return the family that dotted names show, the model's prefix still on them; empty where they show none."""
    text = "\n".join(names)
    found = next((family for family, sign in _SIGNS.items() if re.search(sign, text, re.MULTILINE)), "")
    # Paddle calls the layers of both alike, and without a prefix only the segments tell.
    if found == "bert" and "encoder.layers." in text and "token_type_embeddings" not in text:
        return "distilbert"
    return found


def _without(name: str, prefixes: Iterable[str]) -> str:
    return next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)


def _check_repeated(before: CanonicalTensor, one: CanonicalTensor, container: str) -> None:
    """Refuse two tensors of one name, but for Keras, which writes the embeddings below every head that uses them."""
    if container != "hdf5" or not one.name.startswith("embeddings."):
        raise FormatError(f"is {one.name}, and so is {before.file_name}", tensor=one.file_name)
    if not _is_same(before, one.dtype, one.array):
        raise FormatError(f"repeats {before.file_name} with other numbers", tensor=one.file_name)


def _without_aliases(tensors: dict[str, CanonicalTensor]) -> tuple[list[str], tuple[str, ...]]:
    """Drop tied weights that repeat another tensor; return file's names of these, and names of the others."""
    tied: list[str] = []
    untied: list[str] = []
    for name, target in ALIASES.items():
        alias, held = tensors.get(name), tensors.get(target)
        if alias is None or held is None:
            continue
        # PaddleNLP turned its decoders from one version to the next, so the shape decides.
        ways = [way for way in (alias.array, alias.array.T) if way.shape == held.shape]
        if any(_is_same(held, alias.dtype, way) for way in ways):
            del tensors[name]
            tied.append(alias.file_name)
        else:
            tensors[name] = alias._replace(array=ways[0] if ways else alias.array)
            untied.append(name)
    return tied, tuple(untied)


def _is_same(held: CanonicalTensor, dtype: str, array: NDArray[Any]) -> bool:
    return held.dtype == dtype and have_same_bits(held.array, array)


def have_same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays agree in shape, dtype and every bit: NaN equals itself, and -0.0 is not 0.0."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if _place(one) == _place(other):
        return True
    bits = f"u{one.itemsize}"
    one, other = np.atleast_1d(one.view(bits)), np.atleast_1d(other.view(bits))
    step = max(1, _PIECE // max(1, math.prod(one.shape[1:])))
    return all(
        np.array_equal(one[start : start + step], other[start : start + step]) for start in range(0, len(one), step)
    )


def _place(array: NDArray[Any]) -> tuple[int, tuple[int, ...]]:
    return array.__array_interface__["data"][0], array.strides


def _check_positions(tensor: Tensor) -> None:
    array = tensor.array
    is_row = array.ndim in {1, 2} and array.shape[:-1] in {(), (1,)}
    if not is_row or array.size > _MAX_POSITIONS or not _is_integer(tensor):
        raise FormatError(f"positions of shape {list(array.shape)} and dtype {tensor.dtype}", tensor=tensor.name)
    if not np.array_equal(array.reshape(-1), np.arange(array.size)):
        raise FormatError("positions that are not 0, 1, 2 and so on", tensor=tensor.name)


def _check_types(tensor: Tensor) -> None:
    if not _is_integer(tensor) or tensor.array.any():
        raise FormatError("segments that are not all 0", tensor=tensor.name)


def _is_integer(tensor: Tensor) -> bool:
    return tensor.dtype[0] in "IU"


_BUFFERS = {POSITION_IDS: _check_positions, TOKEN_TYPE_IDS: _check_types}
