"""TensorFlow's checkpoint V2 (TensorBundle): an index that names tensors, and shards that hold them.

Optimizer slots and the step counter are read like every other entry, and left out of what
comes back. The graph beside the files (``.meta``) is never read.

Source: TensorFlow ``core/util/tensor_bundle/tensor_bundle.cc``, ``core/kernels/save_restore_v2_ops.cc``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import FormatError
from mirror.formats import sstable
from mirror.formats.checkpoint import Checkpoint, Tensor, as_bytes, view
from mirror.formats.tf_index import read_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from mirror.formats.tf_index import IndexEntry


def read(index: Buffer, shards: Sequence[Buffer]) -> Checkpoint:
    """Return what a checkpoint holds; see ``check_crcs`` for whether its weights are the ones that were saved.

    Args:
        index: The whole ``.index`` file.
        shards: The whole ``.data-SSSSS-of-NNNNN`` files, in their order.

    Raises:
        FormatError: It is not exactly a checkpoint, or the CRC-32C of a skipped entry is wrong: nobody
            who has only the result could look at it.
    """
    found = read_index(index)
    if len(shards) != found.shards:
        raise FormatError(f"{len(shards)} shards, where the index has {found.shards}")
    bodies = [as_bytes(shard) for shard in shards]
    for number, (body, size) in enumerate(zip(bodies, found.sizes, strict=True)):
        if len(body) != size:
            raise FormatError(f"shard {number} has {len(body)} bytes, where the index has {size}")
    tensors = [_tensor(entry, bodies[entry.shard]) for entry in found.entries]
    skipped = frozenset(found.skipped)
    _refuse_wrong(tensor for tensor in tensors if tensor.name in skipped)
    return Checkpoint("tensorflow", tuple(each for each in tensors if each.name not in skipped), {}, found.skipped)


def wrong_crcs(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the names of the tensors whose bytes do not have the CRC-32C that their file states."""
    return tuple(tensor.name for tensor, _ in _wrong(checkpoint.tensors))


def check_crcs(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint whose tensors are not the ones that were saved.

    Raises:
        FormatError: A tensor's bytes do not have the CRC-32C that its file states.
    """
    _refuse_wrong(checkpoint.tensors)


def _refuse_wrong(tensors: Iterable[Tensor]) -> None:
    for tensor, actual in _wrong(tensors):
        raise FormatError(f"CRC-32C {actual:08x}, where the index has {tensor.crc32c:08x}", tensor=tensor.name)


def _wrong(tensors: Iterable[Tensor]) -> Iterator[tuple[Tensor, int]]:
    """Return each tensor that is not what its file states, with the CRC-32C that it has."""
    for tensor in tensors:
        if tensor.crc32c is not None:
            actual = sstable.crc32c(tensor.array.reshape(-1).view("u1").data)
            if actual != tensor.crc32c:
                yield tensor, actual


def _tensor(entry: IndexEntry, body: memoryview) -> Tensor:
    stop = entry.offset + entry.size
    array = view(body, entry.dtype, entry.shape, entry.offset, stop, entry.name)
    return Tensor(entry.name, entry.dtype, array, entry.crc32c)
