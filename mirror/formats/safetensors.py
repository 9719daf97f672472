"""safetensors: the length of a header, the header, the numbers.

Stricter than the reference, which lets pass: names that are there twice, and further
fields of a tensor.

Source: huggingface/safetensors README, "Format".
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mirror.bounds import Bounds
from mirror.errors import FormatError
from mirror.formats.checkpoint import LAYOUT, MAX_TENSORS, Checkpoint, Tensor, as_bytes, check_count, check_name, view
from mirror.formats.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

_LENGTH = 8
_MAX_HEADER = 16 << 20
_FIELDS = frozenset({"dtype", "shape", "data_offsets"})
_METADATA = "__metadata__"
#: A tensor is one object with two lists; it has eight axes at the most, so thirteen commas. Metadata is text.
_BOUNDS = Bounds(_MAX_HEADER, objects=2 * MAX_TENSORS, lists=3 * MAX_TENSORS, values=20 * MAX_TENSORS)


def read(source: Buffer) -> Checkpoint:
    """Return what a safetensors file holds.

    Raises:
        FormatError: It is not exactly a safetensors file.
    """
    data = as_bytes(source)
    length = int.from_bytes(data[:_LENGTH], "little")
    if len(data) < _LENGTH or length > min(_MAX_HEADER, len(data) - _LENGTH):
        raise FormatError(f"a header of {length} bytes in a file of {len(data)}", at=0)
    header = _header(bytes(data[_LENGTH : _LENGTH + length]))
    metadata = _metadata(header.pop(_METADATA, {}))
    check_count(len(header))
    if not header:
        raise FormatError("no tensors")
    body = data[_LENGTH + length :]
    spans = {name: _span(name, entry) for name, entry in header.items()}
    _check_cover(spans, len(body))
    tensors = (
        Tensor(name, header[name]["dtype"], view(body, header[name]["dtype"], header[name]["shape"], *span, name))
        for name, span in spans.items()
    )
    return Checkpoint("safetensors", tuple(tensors), metadata)


def _header(text: bytes) -> dict[str, Any]:
    if not text.startswith(b"{"):
        raise FormatError("the header is no JSON object", at=_LENGTH)
    return parse_object(text, _BOUNDS, begins=_LENGTH, floats=False)


def _metadata(found: object) -> Mapping[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise FormatError("metadata that is not text", at=_LENGTH)
    try:
        "".join((*found, *found.values())).encode()
    except UnicodeEncodeError as error:  # half a surrogate is text to JSON, and to nobody else
        raise FormatError("metadata that is not text", at=_LENGTH) from error
    return found


def _span(name: str, entry: object) -> tuple[int, int]:
    """Return where a tensor lies in the data, after a look at its whole entry."""
    check_name(name)
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise FormatError("not exactly dtype, shape and data_offsets", tensor=name)
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in LAYOUT:
        raise FormatError(f"unknown dtype {ascii(entry['dtype'])[:40]}", tensor=name)
    if not _integers(entry["shape"]):
        raise FormatError("a shape that is no list of whole numbers", tensor=name)
    offsets = entry["data_offsets"]
    if not _integers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FormatError("offsets that are no begin and end", tensor=name)
    return offsets[0], offsets[1]


def _integers(found: object) -> bool:
    # ``True`` is an int to Python, and no number to JSON.
    return isinstance(found, list) and all(type(each) is int for each in found)


def _check_cover(spans: Mapping[str, tuple[int, int]], length: int) -> None:
    """Refuse bytes of the data that belong to no tensor, or to two."""
    lying = sorted((start, stop, name) for name, (start, stop) in spans.items())
    for (_, end, before), (start, _, name) in pairwise([(0, 0, ""), *lying]):
        if start < end:
            raise FormatError(f"overlaps {before}", tensor=name)
        if start > end:
            raise FormatError(f"{start - end} bytes before it belong to no tensor", tensor=name)
    if (end := lying[-1][1]) != length:
        raise FormatError(f"the tensors have {end} bytes, the file {length}", tensor=lying[-1][2])
