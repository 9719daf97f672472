"""PyTorch's zip container: one pickle that names storages, and an entry for each of them.

Source: PyTorch ``torch/serialization.py`` (``_save``), ``caffe2/serialize/inline_container.cc``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import FormatError
from mirror.formats import pickles, stored_zip
from mirror.formats.checkpoint import Checkpoint, as_bytes
from mirror.formats.torch_state import RULES, placed, storages_of, tensors_over

if TYPE_CHECKING:
    from collections.abc import Set

    from typing_extensions import Buffer

#: Entries beside the pickle and the storages; all of them are a few bytes.
_SMALL = frozenset({"version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"})
_MOST_OF_SMALL = 64


def read(source: Buffer) -> Checkpoint:
    """Return what a ``pytorch_model.bin`` of PyTorch 1.6 or later holds.

    Raises:
        FormatError: It is not exactly what ``torch.save`` writes for a state dict.
    """
    data = as_bytes(source)
    found = stored_zip.entries(data)
    stored_zip.check_crcs(data, found)
    inside = _below_one_folder(found)
    pickle = inside.pop("data.pkl", None)
    if pickle is None:
        raise FormatError("a zip without data.pkl: no PyTorch file")
    spans = {name: data[entry.start : entry.stop] for name, entry in inside.items()}
    small = {name: spans.pop(name) for name in _SMALL & spans.keys()}
    _check_small(small)
    state, end = pickles.decode(data[: pickle.stop], RULES, pickle.start)
    if end != pickle.stop:
        raise FormatError(f"data.pkl goes on for {pickle.stop - end} bytes after its end", at=end)
    tensors = placed(state)
    held = _storages(spans, storages_of(tensors).keys())
    version = str(bytes(small["version"]), "ascii").strip() if "version" in small else ""
    return Checkpoint("torch-zip", tensors_over(tensors, held), {"version": version} if version else {})


def _below_one_folder(found: tuple[stored_zip.Entry, ...]) -> dict[str, stored_zip.Entry]:
    inside: dict[str, stored_zip.Entry] = {}
    folders = set()
    for entry in found:
        folder, _, rest = entry.name.partition("/")
        folders.add(folder)
        if not rest or len(folders) > 1:
            raise FormatError(f"{entry.name} is not in the one folder of a PyTorch file", at=entry.start)
        inside[rest] = entry
    return inside


def _check_small(small: dict[str, memoryview]) -> None:
    for name, content in small.items():
        if len(content) > _MOST_OF_SMALL or not bytes(content).isascii():
            raise FormatError(f"{name} of {len(content)} bytes, or no text")
    order = bytes(small.get("byteorder", b"little"))
    if order != b"little":
        raise FormatError(f"byte order {order.decode()!a}")
    if not bytes(small.get("version", b"3")).strip().isdigit():
        raise FormatError("a version that is no number")


def _storages(spans: dict[str, memoryview], wanted: Set[str]) -> dict[str, memoryview]:
    """Return the storages' bytes by key: each that is wanted, and nothing else."""
    names = {f"data/{key}": key for key in wanted}
    if missing := names.keys() - spans.keys():
        raise FormatError(f"{min(missing)} is missing")
    if spare := spans.keys() - names.keys():
        raise FormatError(f"{min(spare)} is none of the storages that the pickle names")
    return {key: spans[name] for name, key in names.items()}
