"""From bytes to tensors: what a file is follows from its content, and the reader from that."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mirror.errors import FormatError
from mirror.formats.checkpoint import check_total
from mirror.formats.sniff import kind
from mirror.load.naming import SHARD

if TYPE_CHECKING:
    from mirror.formats.checkpoint import Checkpoint
    from mirror.load.material import Weights

#: Each kind's module: only what is there is imported.
_READERS = {
    "safetensors": "safetensors",
    "torch-zip": "torch_zip",
    "torch-legacy": "torch_legacy",
    "paddle": "paddle",
    "flax": "flax",
    "hdf5": "hdf5",
}


def read(weights: Weights) -> Checkpoint:
    """Return the tensors of a weight file, or of an index and its data, whose CRC-32C are compared.

    Raises:
        FormatError: It is no weight file that is read here, or not exactly what its format says.
    """
    data = weights.parts[0]
    if len(weights.parts) > 1:
        from mirror.formats import tf_checkpoint

        checkpoint = tf_checkpoint.read(data, weights.parts[1:])
        tf_checkpoint.check_crcs(checkpoint)
        return check_total(checkpoint, sum(map(len, weights.parts)))
    if SHARD.search(weights.name):
        raise FormatError("data of a checkpoint whose index is not beside them")
    found_kind = kind(data)
    if found_kind == "tensorflow":
        raise FormatError("the index of a checkpoint whose data are not beside it")
    if found_kind not in _READERS:
        raise FormatError(f"a {found_kind} file, where weights should be")
    module = import_module(f"mirror.formats.{_READERS[found_kind]}")
    found: Checkpoint = module.read(data)
    return check_total(found, len(data))
