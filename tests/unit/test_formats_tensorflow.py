"""TensorFlow's index and shards: real ones whole, and what hostile ones say instead."""

from __future__ import annotations

import json
import struct
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import FormatError
from mirror.formats import sstable, tf_checkpoint
from mirror.formats.checkpoint import LAYOUT, MAX_TENSORS
from mirror.formats.protobuf import Wire, fields, signed
from mirror.formats.tf_index import IndexEntry, read_index
from mirror.upstream.containers import tf_bundle
from mirror.upstream.containers.tensors import Named
from mirror.upstream.containers.tf_bundle import varint

DATA = Path(__file__).parents[1] / "data"
REAL = ("tf/keras-bert", "tf/chinese_L-12_H-768_A-12", "bert-mini")
KERAS = (DATA / "tf/keras-bert/bert_model.ckpt.index").read_bytes()
KERAS_DATA = (DATA / "tf/keras-bert/bert_model.ckpt.data-00000-of-00001").read_bytes()
CODES = {1: "F32", 9: "I64"}
HEADER = b"\x08\x01\x1a\x02\x08\x01"
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value % (1 << 64))


def blob(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def shape(*lengths: int) -> bytes:
    return blob(2, b"".join(blob(2, number(1, length)) for length in lengths))


def proto(
    *, dtype: int = 1, lengths: tuple[int, ...] = (2,), offset: int = 0, size: int = 8, more: bytes = b""
) -> bytes:
    return number(1, dtype) + shape(*lengths) + number(4, offset) + number(5, size) + b"\x35" + bytes(4) + more


def raw(key: bytes, value: bytes, *, shared: int = 0, said: int | None = None) -> bytes:
    """Return an entry as a block has it; ``said`` is the length of the value that it claims."""
    return varint(shared) + varint(len(key)) + varint(len(value) if said is None else said) + key + value


def block(*entries: bytes, restarts: tuple[int, ...] | None = None, count: int | None = None) -> bytes:
    """Return a block of which every entry is a restart point, unless it is said otherwise."""
    points = tuple(accumulate(map(len, entries[:-1]), initial=0)) if restarts is None else restarts
    return b"".join(entries) + struct.pack(f"<{len(points) + 1}I", *points, len(points) if count is None else count)


def put(content: bytes, kind: int = 0) -> bytes:
    typed = content + bytes([kind])
    return typed + struct.pack("<I", sstable.mask(sstable.crc32c(typed)))


def handle(start: int, content: bytes) -> bytes:
    return varint(start) + varint(len(content))


def footer(metaindex: bytes, index: bytes, pad: bytes = b"\0") -> bytes:
    return (metaindex + index).ljust(40, pad) + MAGIC


def table(
    *blocks: bytes, separators: tuple[bytes, ...] = (b"\xff",), kind: int = 0, slack: bytes = b"", meta: bytes = block()
) -> bytes:
    """Return a table of whole blocks, each with its separator; ``slack`` goes before the metaindex."""
    out, pointers = b"", []
    for content, separator in zip(blocks, separators, strict=True):
        pointers.append(raw(separator, handle(len(out), content)))
        out += put(content, kind)
    out += slack
    index = block(*pointers)
    ends = handle(len(out), meta), handle(len(out) + len(put(meta)), index)
    return out + put(meta) + put(index) + footer(*ends)


def index(*entries: tuple[bytes, bytes], header: bytes = HEADER) -> bytes:
    return table(block(raw(b"", header), *(raw(key, value) for key, value in entries)))


def test_a_written_checkpoint_comes_back_as_views_into_its_bytes() -> None:
    named = [
        Named("b/x", np.array([[1, -0.0, 3]], "<f4")),
        Named("a", np.array(7.5, "<f4")),
        Named("c", np.zeros((0, 4), "<f4")),
    ]
    first, second = tf_bundle.write(named)
    found = tf_checkpoint.read(first, [second])
    assert found.format == "tensorflow"
    assert [(one.name, one.dtype, one.shape) for one in found.tensors] == [
        ("a", "F32", ()),
        ("b/x", "F32", (1, 3)),
        ("c", "F32", (0, 4)),
    ]
    assert found.tensors[1].array.tobytes() == named[0].array.tobytes()
    assert np.shares_memory(found.tensors[1].array, np.frombuffer(second, "u1"))
    assert not found.tensors[1].array.flags.writeable
    assert tf_checkpoint.wrong_crcs(found) == ()
    unstated = found._replace(tensors=tuple(one._replace(crc32c=None) for one in found.tensors))
    assert tf_checkpoint.wrong_crcs(unstated) == ()


def test_what_optimizers_keep_is_skipped() -> None:
    names = ["a/kernel", "a/kernel/Adam", "a/kernel/Adam_1", "a/kernel/adam_m", "beta1_power", "beta2_power"]
    first, second = tf_bundle.write([Named(name, np.array([1], "<f4")) for name in names])
    found = tf_checkpoint.read(first, [second])
    assert [one.name for one in found.tensors] == ["a/kernel"]
    assert set(found.skipped) == set(names[1:])


def test_keys_with_shared_prefixes_in_many_blocks_come_back() -> None:
    named = [Named(f"{at % 7}/{'layer' * 30}/{at:05}", np.array([at], "<f4")) for at in range(16_000)]
    first, second = tf_bundle.write(named)
    assert len(first) > 2 * 262_144  # bytes of a block
    found = tf_checkpoint.read(first, [second])
    assert {one.name: one.array[0] for one in found.tensors} == {one.name: one.array[0] for one in named}
    tf_checkpoint.check_crcs(found)


@pytest.mark.parametrize("folder", REAL)
def test_a_real_index_says_exactly_what_another_reader_read(folder: str) -> None:
    expected: dict[str, Any] = json.loads((DATA / folder / "expected-tensors.json").read_text(encoding="utf-8"))
    found = read_index((DATA / folder / "bert_model.ckpt.index").read_bytes())
    assert found.sizes == (expected["data_bytes"],)
    assert found.shards == 1
    assert list(found.entries) == [
        IndexEntry(
            each["name"],
            CODES[each["dtype"]],
            tuple(each["shape"]),
            each["shard"],
            each["offset"],
            each["size"],
            int(each["crc32c"], 16),
        )
        for each in expected["tensors"]
    ]


def test_every_crc_of_a_real_checkpoint_is_right_and_its_optimizer_is_skipped() -> None:
    found = tf_checkpoint.read(KERAS, [KERAS_DATA])
    tf_checkpoint.check_crcs(found)
    assert (len(found.tensors), len(found.skipped)) == (46, 93)
    assert {name.rpartition("/")[2] for name in found.skipped} == {"adam_m", "adam_v", "global_step"}
    entries = {each.name: each for each in read_index(KERAS).entries}
    for tensor in found.tensors:
        start = entries[tensor.name].offset
        assert tensor.array.tobytes() == KERAS_DATA[start : start + entries[tensor.name].size]


def test_a_flipped_bit_names_its_tensor() -> None:
    entries = {each.name: each for each in read_index(KERAS).entries}
    bad = bytearray(KERAS_DATA)
    bad[entries["bert/pooler/dense/kernel"].offset + 3] ^= 1
    found = tf_checkpoint.read(KERAS, [bad])
    assert tf_checkpoint.wrong_crcs(found) == ("bert/pooler/dense/kernel",)
    with pytest.raises(FormatError, match="tensor bert/pooler/dense/kernel: CRC-32C"):
        tf_checkpoint.check_crcs(found)


def test_a_flipped_bit_of_a_skipped_entry_is_refused_at_once() -> None:
    bad = KERAS_DATA[:-1] + bytes([KERAS_DATA[-1] ^ 1])
    with pytest.raises(FormatError, match="tensor global_step: CRC-32C"):
        tf_checkpoint.read(KERAS, [bad])


@pytest.mark.parametrize("length", [0, 8, len(KERAS_DATA) - 1, len(KERAS_DATA) + 1])
def test_a_shard_has_exactly_the_bytes_that_the_index_says(length: int) -> None:
    with pytest.raises(FormatError, match=f"shard 0 has {length} bytes, where the index has 8420"):
        tf_checkpoint.read(KERAS, [(KERAS_DATA + b"\0")[:length]])


@pytest.mark.parametrize("count", [0, 2])
def test_a_shard_too_many_or_too_few_is_refused(count: int) -> None:
    with pytest.raises(FormatError, match=f"{count} shards, where the index has 1"):
        tf_checkpoint.read(KERAS, [KERAS_DATA] * count)


def test_tensors_in_two_shards_are_found_in_theirs() -> None:
    two = index((b"a", proto()), (b"b", proto(more=number(3, 1))), header=number(1, 2))
    found = tf_checkpoint.read(two, [np.array([1, 2], "<f4").tobytes(), np.array([3, 4], "<f4").tobytes()])
    assert [one.array.tolist() for one in found.tensors] == [[1, 2], [3, 4]]


@pytest.mark.parametrize("code", range(24))
def test_a_dtype_is_one_of_ours_or_refused(code: int) -> None:
    itemsize = {1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 9: 8, 10: 1, 14: 2, 17: 2, 19: 2, 22: 4, 23: 8}.get(code)
    made = index((b"a", proto(dtype=code, size=2 * (itemsize or 4))))
    if itemsize is None:
        with pytest.raises(FormatError, match="text" if code == 7 else f"unknown dtype {code}"):
            read_index(made)
    else:
        assert LAYOUT[read_index(made).entries[0].dtype].itemsize == itemsize


def test_a_compressed_block_is_unpacked() -> None:
    content = block(raw(b"", HEADER), raw(b"a", proto()))
    packed = varint(len(content)) + b"\xf0" + bytes([len(content) - 1]) + content
    assert read_index(table(packed, kind=1)) == read_index(table(content))


def test_a_field_of_every_wire_type_is_read() -> None:
    message = number(1, -1) + b"\x11" + struct.pack("<d", 1.5) + blob(3, b"text") + b"\x25" + struct.pack("<f", -2)
    found = list(fields(memoryview(message), at=0))
    assert [(each.number, each.wire) for each in found] == [
        (1, Wire.VARINT),
        (2, Wire.FIXED64),
        (3, Wire.BYTES),
        (4, Wire.FIXED32),
    ]
    assert signed(found[0].value) == -1
    assert struct.unpack("<d", found[1].content) == (1.5,)
    assert bytes(found[2].content) == b"text"
    assert found[3].value.to_bytes(4, "little") == struct.pack("<f", -2)


def test_the_mask_is_turned_back() -> None:
    assert sstable.crc32c(b"123456789") == 0xE3069283
    assert all(sstable.unmask(sstable.mask(crc)) == crc for crc in (0, 1, 0xE3069283, 0xFFFFFFFF))
    assert sstable.mask(0xE3069283) == tf_bundle.mask(0xE3069283)


GOOD = index((b"a", proto()))
AB = raw(b"", HEADER), raw(b"a", proto()), raw(b"b", proto(offset=8))
REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "no table"),
    "another magic": (GOOD[:-1] + b"\0", "no table"),
    "a page": (b"<!doctype html>" * 9, "no table"),
    "zeros": (bytes(200), "no table"),
    "a footer alone": (footer(handle(0, b""), handle(5, b"")), "do not lie right before the footer"),
    "bytes before the first block": (b"\0" + GOOD, "do not lie right before the footer"),
    "bytes before the metaindex": (table(block(*AB), slack=b"slack"), "5 bytes that belong to no block"),
    "a footer with words": (GOOD[:-48] + GOOD[-48:-8].rstrip(b"\0").ljust(40, b"x") + MAGIC, "filled up with zeros"),
    "a handle past the end": (
        GOOD[:-48] + footer(varint(1 << 60) + varint(8), varint(1 << 60) + varint(8)),
        "do not lie",
    ),
    "a block's CRC": (bytes([GOOD[0] ^ 1]) + GOOD[1:], "byte 0: the block does not have its CRC-32C"),
    "a block compressed otherwise": (table(block(*AB), kind=2), "compressed in way 2"),
    "a snappy bomb": (table(varint(1 << 40) + b"\0a", kind=1), "of 1099511627776 bytes, where 524288 are allowed"),
    "a metaindex of something": (table(block(*AB), meta=block(raw(b"filter", b""))), "metaindex that is not empty"),
    "no blocks": (table(separators=()), "an index without a header"),
    "an empty block": (table(block()), "a block that is empty"),
    "an empty block behind": (table(block(*AB), block(), separators=(b"c", b"d")), "a block that is empty"),
    "a separator before its keys": (table(block(*AB), separators=(b"a",)), "goes past its separator"),
    "a key before the separator": (
        table(block(*AB), block(raw(b"bb", proto(offset=16))), separators=(b"c", b"d")),
        "not after the separator",
    ),
    "no restart points": (table(block(*AB, restarts=())), "0 restart points"),
    "2^32 restart points": (table(block(*AB, count=0xFFFFFFFF)), "4294967295 restart points"),
    "a restart point within an entry": (table(block(*AB, restarts=(0, 3))), "restart points that are not entries"),
    "restart points in disorder": (table(block(*AB, restarts=(0, 31, 9))), "restart points that are not entries"),
    "more restart points than entries": (table(block(*AB, restarts=(0, 9, 31, 31))), "restart points that are not"),
    "no restart at the start": (table(block(*AB, restarts=(9,))), "restart points that are not entries"),
    "a restart point twice": (table(block(*AB, restarts=(0, 0))), "restart points that are not entries"),
    "unsorted keys": (table(block(AB[0], AB[2], AB[1])), "not after the one before"),
    "a key twice": (table(block(*AB, AB[2])), "not after the one before"),
    "the header twice": (table(block(AB[0], AB[0])), "not after the one before"),
    "a lying prefix": (table(block(AB[0], raw(b"a", proto(), shared=9))), "a key of 9 bytes from before"),
    "a key without an end": (index((b"a" * 5000, proto())), "a key of 0 bytes from before and 5000 more"),
    "a value past the end": (table(block(AB[0], raw(b"a", proto(), said=500))), "an entry of 501 bytes"),
    "a value of 2^60": (table(block(AB[0], raw(b"a", proto(), said=1 << 60))), "an entry of 1152921504606846977 bytes"),
    "an overlong length": (table(block(b"\x80\x00" + AB[0][1:])), "longer than it need be"),
    "a length without an end": (table(block(b"\xff" * 11)), "a varint without an end"),
    "a length of 70 bits": (table(block(b"\xff" * 9 + b"\x7f")), "longer than it need be"),
    "too many entries": (
        index(*((b"%06d" % at, b"\x08\x01\x20" + varint(4 * at) + b"\x28\x04") for at in range(1, MAX_TENSORS + 2))),
        "more than 20001 entries",
    ),
    "no header": (table(block(AB[1])), "an index without a header"),
    "no tensors": (index(), "no tensors"),
    "V1": (index(header=blob(1, b"")), "a V1 checkpoint"),
    "big-endian": (index(header=number(1, 1) + number(2, 1)), "big-endian"),
    "no shards": (index(header=b""), "0 shards"),
    "10^9 shards": (index(header=number(1, 10**9)), "1000000000 shards"),
    "-1 shards": (index(header=number(1, -1)), "18446744073709551615 shards"),
    "a newer reader": (index(header=number(1, 1) + blob(3, number(2, 2))), "a reader of version 2; ours is 1"),
    "readers that must not": (index(header=number(1, 1) + blob(3, blob(3, b"\x01"))), "must not read it"),
    "an unknown field of the header": (index(header=number(1, 1) + number(4, 1)), "field 4 of wire type 0"),
    "a slice": (index((b"\0v\0\1\1\1\x82", proto())), "a slice of the partitioned variable 'v'"),
    "a partitioned variable": (index((b"v", proto(more=blob(7, b"")))), "tensor v, byte 9: a partitioned variable"),
    "no UTF-8": (index((b"\xff", proto())), "no UTF-8"),
    "a control character": (index((b"a\n", proto())), "a name that no tensor has"),
    "a long name": (index((b"a" * 401, proto())), "a name that no tensor has"),
    "a shard that is not there": (index((b"a", proto(more=number(3, 1)))), "shard 1 of 1"),
    "a negative shard": (index((b"a", proto(more=number(3, -1)))), "shard -1 of 1"),
    "a negative offset": (index((b"a", proto(offset=-8))), "8 bytes from -8 on"),
    "an offset past the end": (index((b"a", proto(offset=1 << 40))), "1099511627776 bytes before it belong to no"),
    "size is not shape": (index((b"a", proto(lengths=(3,)))), "8 bytes from 0 on for shape [3] of F32"),
    "a size of nothing": (index((b"a", number(1, 1))), "0 bytes from 0 on for shape [] of F32"),
    "product overflow": (index((b"a", proto(lengths=(1 << 39,) * 8))), "8 bytes from 0 on for shape"),
    "a negative dim": (index((b"a", proto(lengths=(-2,)))), "shape [-2]"),
    "a dim of 2^62": (index((b"a", proto(lengths=(1 << 62,)))), "shape [4611686018427387904]"),
    "nine axes": (index((b"a", proto(lengths=(1,) * 9))), "more than 8 axes"),
    "a million axes": (index((b"a", proto(lengths=(1,) * 1_000_000))), "more than 8 axes"),
    "unknown rank": (index((b"a", number(1, 1) + blob(2, number(3, 1)))), "unknown rank"),
    "a named axis": (index((b"a", number(1, 1) + blob(2, blob(2, blob(2, b"x"))))), "field 2 of wire type 2"),
    "text": (index((b"a", proto(dtype=7))), "text, which is no weight"),
    "no dtype": (index((b"a", number(5, 8))), "unknown dtype 0"),
    "a field twice": (index((b"a", proto(more=number(5, 8)))), "field 5 is there twice"),
    "an unknown field": (index((b"a", proto(more=number(8, 1)))), "field 8 of wire type 0 is not in the schema"),
    "a field written otherwise": (index((b"a", blob(1, b""))), "field 1 of wire type 2 is not in the schema"),
    "a group": (index((b"a", b"\x0b")), "a field of number 1 and wire type 3"),
    "field 0": (index((b"a", b"\0\0")), "a field of number 0 and wire type 0"),
    "a field past the end": (index((b"a", b"\x12\x7f")), "127 bytes for field 2, where 0 are left"),
    "a CRC past the end": (index((b"a", b"\x35\0\0")), "4 bytes for field 6, where 2 are left"),
    "an overlong varint": (index((b"a", b"\x08\x81\x00")), "longer than it need be"),
    "overlap": (index((b"a", proto()), (b"b", proto(offset=4))), "tensor b: overlaps a"),
    "a gap": (index((b"a", proto()), (b"b", proto(offset=12))), "tensor b: 4 bytes before it belong to no tensor"),
    "an empty tensor inside another": (
        index((b"a", proto()), (b"b", proto(offset=4, lengths=(0,), size=0))),
        "overlaps",
    ),
}


def test_the_index_that_the_hostile_ones_vary_is_read() -> None:
    assert [each.name for each in read_index(table(block(*AB))).entries] == ["a", "b"]
    assert read_index(signed_again(bytearray(GOOD))) == read_index(GOOD)
    split = table(block(AB[0], AB[1]), block(AB[2]), separators=(b"a", b"b"))
    assert read_index(split) == read_index(table(block(*AB)))


CONTENT = block(*AB)


@pytest.mark.parametrize(
    ("pointers", "said"),
    [
        ((handle(0, CONTENT), handle(0, CONTENT)), "a block at byte 0, where one ends at byte"),
        ((handle(1, CONTENT[1:]),), "a block at byte 1, where one ends at byte 0"),
        ((handle(0, CONTENT) + b"\0",), "bytes after a block's offset and size"),
        ((varint(0) + varint(1 << 40),), "a block of 1099511627776 bytes goes past the last one"),
        ((varint((1 << 64) - 1) + varint(8),), "a block at byte 18446744073709551615"),
        ((b"\0",), "a varint without an end"),
    ],
)
def test_an_index_points_at_every_block_once(pointers: tuple[bytes, ...], said: str) -> None:
    listed = block(*(raw(b"%c" % (ord("b") + at), pointer) for at, pointer in enumerate(pointers)))
    ends = handle(len(put(CONTENT)), block()), handle(len(put(CONTENT) + put(block())), listed)
    with pytest.raises(FormatError, match=said):
        read_index(put(CONTENT) + put(block()) + put(listed) + footer(*ends))


def test_an_index_cut_anywhere_is_refused() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(FormatError):
            read_index(GOOD[:length])


def signed_again(data: bytearray) -> bytes:
    """Return a table whose blocks have their CRCs, as far as they can be found."""
    try:
        for span in sstable._footer(memoryview(data)):
            data[span.stop + 1 : span.stop + 5] = put(bytes(data[span.start : span.stop]), data[span.stop])[-4:]
        stop = sstable._footer(memoryview(data))[0].start - 5
        data[stop + 1 : stop + 5] = put(bytes(data[:stop]), data[stop])[-4:]
    except FormatError:
        pass
    return bytes(data)


@given(st.data())
def test_any_change_gives_a_checkpoint_that_holds_together_or_our_error(data: st.DataObject) -> None:
    changed, body = bytearray(KERAS), bytearray(KERAS_DATA)
    # Most of the work is done on the first entries: half of the changes are there.
    places = st.integers(0, len(KERAS) - 1) | st.integers(0, 120) | st.integers(len(KERAS) - 60, len(KERAS) - 1)
    for at in data.draw(st.lists(places, max_size=3)):
        changed[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    whole = signed_again(changed) if data.draw(st.booleans()) else bytes(changed)
    whole = whole[: data.draw(st.just(len(whole)) | st.integers(0, len(whole)))]
    try:
        found = tf_checkpoint.read(whole, [body])
    except FormatError:
        return
    skipped = sum(each.size for each in read_index(whole).entries if each.name in found.skipped)
    assert sum(one.array.nbytes for one in found.tensors) + skipped == len(body)
    for tensor in found.tensors:
        assert tensor.array.dtype == LAYOUT[tensor.dtype]
        right = tensor.crc32c == sstable.crc32c(tensor.array.tobytes())
        assert right is (tensor.name not in tf_checkpoint.wrong_crcs(found))
