"""Tensors of any format, proved against nothing but the index of a TensorFlow checkpoint.

An index states name, shape and CRC-32C of every tensor. Ours are laid as TensorFlow
lays them, and their CRCs compared. A CRC finds accidents, not forgers: what agrees is
*checked*, never *pinned*.

Source: TensorFlow ``core/protobuf/tensor_bundle.proto`` (BundleEntryProto: crc32c over the
bytes of the tensor as they lie in its shard, C order).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mirror.compare.dialects import dialect
from mirror.compare.digest import CORE, group_of
from mirror.compare.names import canonical
from mirror.errors import FormatError
from mirror.formats.checkpoint import LAYOUT, Checkpoint, Tensor
from mirror.formats.sstable import crc32c

if TYPE_CHECKING:
    from mirror.compare.names import Canonical, CanonicalTensor
    from mirror.formats.tf_index import Index, IndexEntry

_FORMAT = "tensorflow"
#: What some frameworks save beside the weights: no numbers of the model, and none that ``canonical`` keeps.
_BUFFERS = ("position_ids", "token_type_ids")


class Faith(StrEnum):
    """How faithful a conversion is, as far as an index can tell."""

    CHECKED = "checked"
    INCOMPLETE = "incomplete"  # nothing is refuted; tensors of the core are missing, or nothing is proved
    REFUTED = "refuted"


class Refuted(NamedTuple):
    """A tensor that is not the index's, and in what."""

    name: str
    why: str


class IndexProof(NamedTuple):
    """What an index says of the tensors of another file. All names are canonical, in the index's order.

    Attributes:
        proved: Tensors whose shape and CRC-32C are the index's.
        refuted: Tensors that the index has with other numbers, another shape or another dtype.
        missing: Tensors of the index that the file does not hold.
        uncovered: Tensors of the file that the index says nothing about.
    """

    proved: tuple[str, ...]
    refuted: tuple[Refuted, ...]
    missing: tuple[str, ...]
    uncovered: tuple[str, ...]

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is missing of the core, which no conversion may leave out as it may the pooler and the heads."""
        return tuple(name for name in self.missing if group_of(name) == CORE)

    @property
    def verdict(self) -> Faith:
        """What all of it comes to."""
        if self.refuted:
            return Faith.REFUTED
        return Faith.CHECKED if self.proved and not self.lacking else Faith.INCOMPLETE

    @property
    def holds(self) -> bool:
        """Whether the whole core is proved, and nothing refuted; other parts may be missing, or uncovered."""
        return self.verdict is Faith.CHECKED


def outline(index: Index) -> Canonical:
    """Return the tensors of an index under canonical names, in Hugging Face's orientation; their elements are all 0.

    Raises:
        FormatError: Two of them have one canonical name, or a shape is one that no array can have.
    """
    # One zero stands for all elements of all tensors, so their size costs nothing.
    zeros = {dtype: np.zeros((), layout) for dtype, layout in LAYOUT.items()}
    tensors: list[Tensor] = []
    for one in _weights(index):
        try:
            tensors.append(Tensor(one.name, one.dtype, np.broadcast_to(zeros[one.dtype], one.shape)))
        except ValueError as error:
            raise FormatError(f"shape {list(one.shape)}", tensor=one.name) from error
    return canonical(Checkpoint(_FORMAT, tuple(tensors)))


def prove(found: Canonical, index: Index) -> IndexProof:
    """Return which tensors of a file are those of an index.

    Raises:
        FormatError: The index names its tensors so that two would be one.
    """
    wanted = outline(index)
    entries = {entry.name: entry for entry in _weights(index)}
    proved: list[str] = []
    refuted: list[Refuted] = []
    missing: list[str] = []
    for name, one in wanted.tensors.items():
        ours = found.tensors.get(name)
        if ours is None:
            missing.append(name)
        elif why := _refuted(ours, one, entries[one.file_name]):
            refuted.append(Refuted(name, why))
        else:
            proved.append(name)
    uncovered = tuple(name for name in found.tensors if name not in wanted.tensors)
    return IndexProof(tuple(proved), tuple(refuted), tuple(missing), uncovered)


def _weights(index: Index) -> list[IndexEntry]:
    skipped = frozenset(index.skipped)
    return [one for one in index.entries if one.name not in skipped and not one.name.endswith(_BUFFERS)]


def _refuted(ours: CanonicalTensor, wanted: CanonicalTensor, entry: IndexEntry) -> str:
    """Say in what our tensor is not the index's; empty when it is."""
    if ours.dtype != wanted.dtype:
        return f"{ours.dtype}, where the index has {wanted.dtype}"
    if ours.shape != wanted.shape:
        return f"shape {_dims(ours.shape)}, where the index leads to {_dims(wanted.shape)}"
    is_turned = len(entry.shape) == 2 and dialect(_FORMAT).is_turned(entry.name, wanted.name)
    # What does not lie as TensorFlow has it is copied, one tensor at a time.
    laid = np.ascontiguousarray(ours.array.T if is_turned else ours.array)
    actual = crc32c(laid.reshape(-1).view("u1").data)
    return "" if actual == entry.crc32c else f"CRC-32C {actual:08x}, where the index has {entry.crc32c:08x}"


def _dims(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "of a scalar"
