"""PyTorch's container before 1.6: five pickles, then every storage with its length.

Storage keys are addresses of the memory that was saved, so two saves of one model hardly ever
share a digest.

Source: PyTorch ``torch/serialization.py`` (``_legacy_save``, ``_legacy_load``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import FormatError
from mirror.formats import pickles
from mirror.formats.checkpoint import MAX_TENSORS, Checkpoint, as_bytes
from mirror.formats.inert import Rules
from mirror.formats.torch_state import RULES, placed, storages_of, tensors_over

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from mirror.formats.torch_state import Storage

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT = 8
#: The longest of the other pickles has two opcodes for each storage.
_PLAIN = Rules(names=frozenset(), containers=frozenset(), built=frozenset(), opcodes=3 * MAX_TENSORS)


def read(source: Buffer) -> Checkpoint:
    """Return what a ``pytorch_model.bin`` of PyTorch before 1.6 holds.

    Raises:
        FormatError: It is not exactly what ``torch.save`` wrote for a state dict.
    """
    data = as_bytes(source)
    magic, at = pickles.decode(data, _PLAIN)
    if type(magic) is not int or magic != _MAGIC:
        raise FormatError("the magic number of PyTorch's old format is not there", at=0)
    protocol, at = pickles.decode(data, _PLAIN, at)
    if type(protocol) is not int or protocol != _PROTOCOL:
        raise FormatError("another protocol than PyTorch's 1001", at=at)
    system, at = pickles.decode(data, _PLAIN, at)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise FormatError("saved on a machine whose numbers begin with their big end", at=at)
    state, at = pickles.decode(data, RULES, at)
    tensors = placed(state)
    keys, at = pickles.decode(data, _PLAIN, at)
    held = _storages(data, at, keys, storages_of(tensors))
    return Checkpoint("torch-legacy", tensors_over(tensors, held))


def _storages(data: memoryview, at: int, keys: object, wanted: dict[str, Storage]) -> dict[str, memoryview]:
    """Return the storages' bytes by key: each that is wanted, once, and nothing after the last."""
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise FormatError("no list of storages", at=at)
    if len(keys) != len(wanted) or set(keys) != wanted.keys():
        raise FormatError("the list of storages is not that of the tensors", at=at)
    held = {}
    whole = at + sum(_COUNT + wanted[key].size for key in keys)
    for key in keys:
        storage = wanted[key]
        count = int.from_bytes(data[at : at + _COUNT], "little", signed=True)
        begin = at + _COUNT
        if begin <= len(data) and count != storage.length:
            raise FormatError(f"storage {key} has {count} elements instead of {storage.length}", at=at)
        if begin + storage.size > len(data):
            raise FormatError(f"cut off at byte {len(data)} of {whole}")
        held[key] = data[begin : begin + storage.size]
        at = begin + storage.size
    if at != len(data):
        raise FormatError(f"{len(data) - at} bytes after the last storage", at=at)
    return held
