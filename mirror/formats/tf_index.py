"""The index of a TensorFlow checkpoint V2: what each tensor is, and where, in which shard, it lies.

It can be read without its shards. The tensors fill each shard from its first byte to its
last: ``SaveV2`` writes them one after another, with nothing between.

Source: TensorFlow ``core/util/tensor_bundle/tensor_bundle.cc``, ``core/protobuf/tensor_bundle.proto``,
``core/framework/types.proto``, ``tensor_shape.proto``, ``versions.proto``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import FormatError
from mirror.formats import sstable
from mirror.formats.checkpoint import LAYOUT, MAX_DIMS, MAX_TENSORS, check_name, elements
from mirror.formats.protobuf import Wire, fields, known_fields, signed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

_MAX_SHARDS = 1000
#: The version of the format that we know: a file may ask for no newer reader.
_VERSION = 1
_DTYPES = {
    1: "F32",
    2: "F64",
    3: "I32",
    4: "U8",
    5: "I16",
    6: "I8",
    9: "I64",
    10: "BOOL",
    14: "BF16",
    17: "U16",
    19: "F16",
    22: "U32",
    23: "U64",
}
_STRING = 7
#: What optimizers keep beside each weight, and of the whole: google-research/bert's, and ``tf.train.AdamOptimizer``.
_SLOTS = frozenset({"adam_m", "adam_v", "Adam", "Adam_1"})
_COUNTERS = frozenset({"global_step", "beta1_power", "beta2_power"})
#: BundleHeaderProto: num_shards, endianness, version. VersionDef: producer, min_consumer, bad_consumers.
_HEADER = {1: Wire.VARINT, 2: Wire.VARINT, 3: Wire.BYTES}
_VERSIONS = {1: Wire.VARINT, 2: Wire.VARINT, 3: Wire.BYTES}
#: BundleEntryProto: dtype, shape, shard_id, offset, size, crc32c, slices.
_ENTRY = {1: Wire.VARINT, 2: Wire.BYTES, **dict.fromkeys((3, 4, 5), Wire.VARINT), 6: Wire.FIXED32, 7: Wire.BYTES}
_SLICES = 7
#: TensorShapeProto: dim, unknown_rank. Its Dim: size; a name, which TensorFlow never writes here, is no part of it.
_SHAPE = {2: Wire.BYTES, 3: Wire.VARINT}
_DIM = {1: Wire.VARINT}


class IndexEntry(NamedTuple):
    """What an index says of one tensor.

    Attributes:
        name: What the file calls it.
        dtype: A key of ``checkpoint.LAYOUT``.
        shape: Lengths of its axes.
        shard: Number of the shard that holds it.
        offset: Where it begins there, in bytes.
        size: Its bytes.
        crc32c: CRC-32C of those bytes, unmasked.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int


class Index(NamedTuple):
    """What an index says of its checkpoint.

    Attributes:
        sizes: Bytes of each shard.
        entries: Every tensor, sorted by name.
        skipped: Names of the entries that are no weights: optimizer slots, the step counter.
    """

    sizes: tuple[int, ...]
    entries: tuple[IndexEntry, ...]
    skipped: tuple[str, ...]

    @property
    def shards(self) -> int:
        """How many data files there are."""
        return len(self.sizes)


def read_index(source: Buffer) -> Index:
    """Return what an index says, whether or not its shards are here.

    Raises:
        FormatError: It is not exactly an index, or one of partitioned variables, text or big-endian numbers.
    """
    found = sstable.entries(source, most=MAX_TENSORS + 1)
    header = next(found, None)
    if header is None or header.key:
        raise FormatError("an index without a header")
    shards = _header(header)
    entries = tuple(_entry(each, shards) for each in found)
    if not entries:
        raise FormatError("no tensors")
    return Index(_sizes(entries, shards), entries, tuple(each.name for each in entries if _is_no_weight(each.name)))


def _header(header: sstable.Entry) -> int:
    """Return how many shards there are, after a look at whether we know such a file."""
    first = next(fields(header.value, at=header.at), None)
    if first is not None and first.number == 1 and first.wire is Wire.BYTES:
        raise FormatError("a V1 checkpoint, which holds its tensors in the table itself, is not read", at=header.at)
    found = {field.number: field for field in known_fields(header.value, _HEADER, at=header.at)}
    if 2 in found and found[2].value:
        raise FormatError("big-endian numbers are not read", at=header.at)
    shards = found[1].value if 1 in found else 0
    if not 0 < shards <= _MAX_SHARDS:
        raise FormatError(f"{shards} shards", at=header.at)
    for field in known_fields(found[3].content if 3 in found else memoryview(b""), _VERSIONS, at=header.at):
        if field.number == 2 and field.value > _VERSION:
            raise FormatError(f"it wants a reader of version {field.value}; ours is {_VERSION}", at=header.at)
        if field.number == 3:
            raise FormatError("it names readers that must not read it", at=header.at)
    return shards


def _entry(entry: sstable.Entry, shards: int) -> IndexEntry:
    """Return what an entry of the table says of its tensor."""
    name = _name(entry)
    found = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}  # zeros are not written
    shape: tuple[int, ...] = ()
    for field in known_fields(entry.value, _ENTRY, at=entry.at):
        if field.number == _SLICES:
            raise FormatError("a partitioned variable is not read", at=entry.at, tensor=name)
        if field.wire is Wire.BYTES:
            shape = _shape(field.content, name, entry.at)
        else:
            found[field.number] = signed(field.value)
    dtype = _dtype(found[1], name, entry.at)
    shard, offset, size = found[3], found[4], found[5]
    if not 0 <= shard < shards:
        raise FormatError(f"shard {shard} of {shards}", at=entry.at, tensor=name)
    if offset < 0 or size != elements(shape, name) * LAYOUT[dtype].itemsize:
        text = f"{size} bytes from {offset} on for shape {list(shape)} of {dtype}"
        raise FormatError(text, at=entry.at, tensor=name)
    return IndexEntry(name, dtype, shape, shard, offset, size, sstable.unmask(found[6]))


def _name(entry: sstable.Entry) -> str:
    if entry.key.startswith(b"\0"):
        whole = entry.key[1:].partition(b"\0")[0][:60]
        raise FormatError(f"a slice of the partitioned variable {ascii(whole)[1:]} is not read", at=entry.at)
    try:
        name = entry.key.decode()
    except UnicodeDecodeError as error:
        raise FormatError("a name that is no UTF-8", at=entry.at) from error
    check_name(name)
    return name


def _dtype(code: int, name: str, at: int) -> str:
    if code == _STRING:
        raise FormatError("text, which is no weight, is not read", at=at, tensor=name)
    if code not in _DTYPES:
        raise FormatError(f"unknown dtype {code}", at=at, tensor=name)
    return _DTYPES[code]


def _shape(content: memoryview, name: str, at: int) -> tuple[int, ...]:
    lengths: list[int] = []
    for field in known_fields(content, _SHAPE, repeated=(2,), at=at):
        if field.number == 3 or len(lengths) == MAX_DIMS:
            raise FormatError(f"a shape of unknown rank, or of more than {MAX_DIMS} axes", at=at, tensor=name)
        lengths.append(sum(signed(each.value) for each in known_fields(field.content, _DIM, at=at)))
    return tuple(lengths)


def _sizes(entries: Iterable[IndexEntry], shards: int) -> tuple[int, ...]:
    """Return the bytes of each shard, and refuse bytes of no tensor, or of two."""
    lying: list[list[tuple[int, int, str]]] = [[] for _ in range(shards)]
    for entry in entries:
        lying[entry.shard].append((entry.offset, entry.offset + entry.size, entry.name))
    return tuple(_end(sorted(spans)) for spans in lying)


def _end(spans: Iterable[tuple[int, int, str]]) -> int:
    end, before = 0, ""
    for start, stop, name in spans:
        if start < end:
            raise FormatError(f"overlaps {before}", tensor=name)
        if start > end:
            raise FormatError(f"{start - end} bytes before it belong to no tensor", tensor=name)
        end, before = stop, name
    return end


def _is_no_weight(name: str) -> bool:
    return name in _COUNTERS or name.rpartition("/")[2] in _SLOTS or "AdamWeightDecayOptimizer" in name
