"""PyTorch's two containers: every tensor as a view of the file, and nothing in it that is not one."""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.errors import FormatError
from mirror.formats import stored_zip, torch_legacy, torch_zip
from mirror.formats.checkpoint import LAYOUT
from mirror.upstream import naming
from mirror.upstream.containers.tensors import arrays
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests import hostile
from tests.hostile import (
    MAGIC,
    NUMBERS,
    PROTOCOL,
    STORAGES,
    SYSTEM,
    Case,
    call,
    group,
    name,
    number,
    numbers,
    storage,
    table,
    tensor,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mirror.formats.checkpoint import Checkpoint

MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}
FAMILIES = ("bert_uncased_L-2_H-128_A-2", "tinybert-4l-312d", "distilbert-base-uncased", "albert-base-v1")


def of(items: Mapping[str, bytes]) -> bytes:
    return hostile.pickle(table(items))


def both(state: bytes, storages: Mapping[str, bytes] = STORAGES) -> tuple[Checkpoint, Checkpoint]:
    """Read one state dict in either container."""
    return torch_zip.read(hostile.torch_zip(state, storages)), torch_legacy.read(hostile.torch_legacy(state, storages))


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("converted", [False, True])
def test_every_tensor_of_a_model_is_read(model: str, converted: bool) -> None:
    made = ModelFiles.of(MODELS[model], seed=0, scale=32)
    named = arrays(naming.hugging_face(made.architecture, made.specs), seed=0, model=made.id)
    found = torch_zip.read(made.torch(converted=converted))
    assert (found.format, found.metadata) == ("torch-zip", {"version": "3"})
    assert [one.name for one in found.tensors] == [one.name for one in named]
    by_name = {one.name: one.array for one in found.tensors}
    for one in named:
        assert np.array_equal(by_name[one.name], one.array)
        if one.of is not None:
            assert np.shares_memory(by_name[one.name], by_name[one.of])


def test_tensors_are_read_only_views_of_the_file() -> None:
    for data, read in ((hostile.torch_zip, torch_zip.read), (hostile.torch_legacy, torch_legacy.read)):
        file = data(of({"a": tensor()}))
        (one,) = read(file).tensors
        assert np.shares_memory(one.array, np.frombuffer(file, "u1"))
        assert not one.array.flags.writeable
        assert (one.name, one.dtype, one.array.tolist()) == ("a", "F32", [[0, 1, 2], [3, 4, 5]])


def test_strides_and_offsets_are_respected() -> None:
    state = of(
        {
            "transposed": tensor(shape=(3, 2), strides=(1, 3)),
            "row": tensor(storage("1"), (3,), (1,), 3),
            "column": tensor(storage("2"), (2,), (3,), 1),
        }
    )
    for found in both(state, {"0": NUMBERS, "1": NUMBERS, "2": NUMBERS}):
        transposed, row, column = (one.array.tolist() for one in found.tensors)
        assert transposed == [[0, 3], [1, 4], [2, 5]]
        assert row == [3, 4, 5]
        assert column == [1, 4]


KINDS = {
    "Double": "F64",
    "Float": "F32",
    "Half": "F16",
    "BFloat16": "BF16",
    "Long": "I64",
    "Int": "I32",
    "Short": "I16",
    "Char": "I8",
    "Byte": "U8",
    "Bool": "BOOL",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_dtype_is_read(kind: str) -> None:
    layout = LAYOUT[KINDS[kind]]
    data = np.array([1, 0, 1], layout).tobytes()
    state = of({"a": tensor(storage("0", 3, f"{kind}Storage"), (3,), (1,))})
    files = hostile.torch_zip(state, {"0": data}), hostile.torch_legacy(state, {"0": data}, itemsize=layout.itemsize)
    for found in (torch_zip.read(files[0]), torch_legacy.read(files[1])):
        (one,) = found.tensors
        assert (one.dtype, one.array.dtype) == (KINDS[kind], layout)
        assert one.array.tobytes() == data


def test_scalars_and_empty_tensors_are_read() -> None:
    state = of(
        {
            "scalar": tensor(storage("0", 6), (), (), 5),
            "empty": tensor(storage("1", 0), (0, 4), (4, 1)),
            "emptier": tensor(storage("2", 0), (3, 0, 2), (2, 2, 1)),
        }
    )
    for found in both(state, {"0": NUMBERS, "1": b"", "2": b""}):
        assert [one.shape for one in found.tensors] == [(), (0, 4), (3, 0, 2)]
        assert found.tensors[0].array.item() == 5


def test_the_stride_of_an_axis_of_one_element_does_not_matter() -> None:
    for found in both(of({"a": tensor(shape=(1, 6, 1), strides=(1 << 40, 1, 0))})):
        assert found.tensors[0].array.tolist() == [[[each] for each in range(6)]]


def test_parameters_are_tensors() -> None:
    hooks = call(name("collections", "OrderedDict"))
    wrapped = call(name("torch._utils", "_rebuild_parameter"), tensor(), b"\x88", hooks)
    for found in both(of({"a": wrapped})):
        assert found.tensors[0].shape == (2, 3)


def test_an_ordered_dict_may_have_metadata() -> None:
    ordered = call(name("collections", "OrderedDict"))
    state = (
        ordered
        + b"("
        + text("a")
        + tensor()
        + b"u"
        + table({"_metadata": call(name("collections", "OrderedDict"))})
        + b"b"
    )
    for found in both(hostile.pickle(state)):
        assert [one.name for one in found.tensors] == ["a"]


def test_a_storage_of_old_has_an_empty_sixth_field() -> None:
    held = group(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(6), b"N") + b"Q"
    for found in both(of({"a": tensor(held)})):
        assert found.tensors[0].shape == (2, 3)


def test_tied_tensors_share_a_storage() -> None:
    for found in both(of({"a": tensor(), "b": tensor()})):
        assert np.shares_memory(found.tensors[0].array, found.tensors[1].array)


def test_parts_of_one_storage_are_read() -> None:
    state = of({"a": tensor(shape=(3,), strides=(1,)), "b": tensor(shape=(3,), strides=(1,), offset=3)})
    for found in both(state):
        assert [one.array.tolist() for one in found.tensors] == [[0, 1, 2], [3, 4, 5]]


def test_what_newer_versions_put_beside_it_is_taken() -> None:
    more = [(".format_version", b"1"), (".storage_alignment", b"64"), (".data/serialization_id", b"1" * 40)]
    entries = [*hostile.torch_entries(of({"a": tensor()})), *((f"m/{path}", data) for path, data in more)]
    assert torch_zip.read(hostile.zipped(entries)).metadata == {"version": "3"}


def test_neither_byteorder_nor_version_has_to_be_there() -> None:
    entries = [
        entry for entry in hostile.torch_entries(of({"a": tensor()})) if entry[0] not in {"m/version", "m/byteorder"}
    ]
    assert torch_zip.read(hostile.zipped(entries)).metadata == {}


# Refused: what a state dict may not have in it, in either container.

LAST = tensor(shape=(3,), strides=(1,), offset=3)
STATES: dict[str, tuple[bytes, str]] = {
    "no tensors": (of({}), "no tensors"),
    "no dict": (hostile.pickle(tensor()), "no dict of tensors"),
    "a list": (hostile.pickle(b"](" + tensor() + b"e"), "no dict of tensors"),
    "a number": (of({"a": number(1)}), "tensor a: no tensor"),
    "a storage": (of({"a": storage()}), "tensor a: no tensor"),
    "a training checkpoint": (
        of({"model": table({"a": tensor()}), "epoch": number(3)}),
        "tensor model: no tensor; a training checkpoint rather than a model?",
    ),
    "a name that is a number": (hostile.pickle(b"}K\x07" + tensor() + b"s"), "7 where a tensor's name should be"),
    "an empty name": (of({"": tensor()}), "a name that no tensor has"),
    "a name of 401 bytes": (of({"n" * 401: tensor()}), "a name that no tensor has"),
    "a name with a line end": (of({"a\n": tensor()}), "a name that no tensor has"),
    "a name twice": (
        hostile.pickle(b"}(" + (text("a") + tensor()) * 2 + b"u"),
        "'a' is there twice",
    ),
    "20,001 tensors": (
        hostile.pickle(
            b"}(" + text("t") + tensor() + b"q\x00" + b"".join(text(f"t{at}") + b"h\x00" for at in range(20_000)) + b"u"
        ),
        "more than 20000 tensors",
    ),
    "dims of 2^62": (of({"a": tensor(shape=(1 << 62,), strides=(1,))}), "shape [4611686018427387904]"),
    "a product of 2^312": (of({"a": tensor(shape=[1 << 39] * 8, strides=[1] * 8)}), "reaches beyond the 6 elements"),
    "nine axes": (of({"a": tensor(shape=[1] * 9, strides=[1] * 9)}), "9 axes"),
    "a million axes": (of({"a": tensor(shape=[1] * 100_000, strides=[1] * 100_000)}), "100000 axes"),
    "a negative dim": (of({"a": tensor(shape=(-2, 3))}), "shape [-2, 3]"),
    "a negative stride": (of({"a": tensor(strides=(-3, 1))}), "a negative offset or stride"),
    "a negative offset": (of({"a": tensor(offset=-1)}), "a negative offset or stride"),
    "an offset past the storage": (of({"a": tensor(shape=(), strides=(), offset=6)}), "reaches beyond the 6 elements"),
    "an end past the storage": (of({"a": tensor(offset=1)}), "reaches beyond the 6 elements"),
    "an offset of 2^2000": (of({"a": tensor(offset=1 << 2000)}), "reaches beyond"),
    "strides past the storage": (of({"a": tensor(strides=(4, 1))}), "reaches beyond"),
    "a bomb of stride 0": (of({"a": tensor(shape=(1 << 32,), strides=(0,))}), "give elements the same bytes"),
    "one stride of 0": (of({"a": tensor(shape=(2, 6), strides=(0, 1))}), "give elements the same bytes"),
    "overlapping strides": (of({"a": tensor(shape=(2, 3), strides=(2, 1))}), "give elements the same bytes"),
    "overlapping strides, in order": (of({"a": tensor(shape=(2, 3), strides=(1, 1))}), "the same bytes"),
    "a stride of 2^100, for one element": (of({"a": tensor(shape=(1,), strides=(1 << 100,))}), "with strides"),
    "no elements, but axes of 2^39": (of({"a": tensor(shape=(0, 1 << 39, 1 << 39), strides=(1, 1, 1))}), "shape [0, "),
    "fewer strides than axes": (of({"a": tensor(strides=(1,))}), "no whole numbers"),
    "a storage of 2^60": (of({"a": tensor(storage("0", 1 << 60))}), "key, place or length"),
    "a storage of -1": (of({"a": tensor(storage("0", -1))}), "key, place or length"),
    "a storage of unknown type": (of({"a": tensor(storage("0", 6, "QInt8Storage"))}), "would run 'torch.QInt8Storage'"),
    "an untyped storage": (of({"a": tensor(storage("0", 6, "UntypedStorage"))}), "would run 'torch.UntypedStorage'"),
    "a storage that is a function": (
        of(
            {
                "a": tensor(
                    group(
                        text("storage"), name("torch._utils", "_rebuild_parameter"), text("0"), text("cpu"), number(6)
                    )
                    + b"Q"
                )
            }
        ),
        "a storage of unknown type",
    ),
    "a view of a storage": (
        of({"a": tensor(storage("0", 6, "FloatStorage", numbers((1, 2, 3))))}),
        "a storage of 6 fields",
    ),
    "a storage of four fields": (
        of({"a": tensor(group(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu")) + b"Q")}),
        "a storage of 4 fields",
    ),
    "a module instead of a storage": (
        of({"a": tensor(group(text("module"), text("m"), text("m.py"), text("import os")) + b"Q")}),
        "its storage is none",
    ),
    "an id that is text": (of({"a": tensor(text("storage") + b"Q")}), "its storage is none"),
    "a storage with a key that cannot be shown": (of({"a": tensor(storage("\x1b[2J"))}), "a name that no tensor has"),
    "two dtypes on one storage": (
        of({"a": tensor(), "b": tensor(storage("0", 6, "IntStorage"))}),
        "tensor b: storage '0' has two types or lengths",
    ),
    "two lengths of one storage": (
        of({"a": tensor(), "b": tensor(storage("0", 5), (5,), (1,))}),
        "two types or lengths",
    ),
    "an unknown storage": (of({"a": tensor(storage("7"))}), ""),
    "more elements than the record": (of({"a": tensor(storage("0", 7))}), "instead of"),
    "fewer elements than the record": (of({"a": tensor(storage("0", 5), (5,), (1,))}), "instead of"),
    "tensors that overlap": (of({"a": tensor(), "b": LAST}), "tensor b: overlaps a in storage 0"),
    "tensors that are tied but turned": (of({"a": tensor(), "b": tensor(shape=(3, 2), strides=(1, 3))}), "overlaps"),
    "a parameter of one field": (of({"a": call(name("torch._utils", "_rebuild_parameter"), tensor())}), "1 fields"),
    "a tensor of five fields": (
        of(
            {
                "a": call(
                    name("torch._utils", "_rebuild_tensor_v2"), storage(), number(0), numbers((6,)), numbers((1,)), b"N"
                )
            }
        ),
        "a tensor of 5 fields",
    ),
}


GOOD = of({"a": tensor()})
FILE = hostile.torch_zip(GOOD)
LEGACY = hostile.torch_legacy(GOOD)

# Refused: what a zip may not be. Offsets of fields: APPNOTE 4.3.7, 4.3.12, 4.3.16.

FIRST = FILE.index(b"PK\x01\x02")  # of the directory
END = len(FILE) - 22


def with_entry(path: str, data: bytes = b"") -> bytes:
    return hostile.zipped([*hostile.torch_entries(GOOD), (path, data)])


def with_small(**small: bytes) -> bytes:
    entries = dict(hostile.torch_entries(GOOD)) | {f"m/{path}": data for path, data in small.items()}
    return hostile.zipped(entries.items())


def patched(*patches: tuple[int, bytes], data: bytes = FILE) -> bytes:
    changed = bytearray(data)
    for at, new in patches:
        begin = at % len(data)
        changed[begin : begin + len(new)] = new
    assert len(changed) == len(data)
    return bytes(changed)


def polyglot() -> bytes:
    stream = io.BytesIO(b"#!/bin/sh\n")
    with zipfile.ZipFile(stream, "a") as archive:
        for path, data in hostile.torch_entries(GOOD):
            archive.writestr(zipfile.ZipInfo(path), data)
    return stream.getvalue()


def hidden() -> bytes:
    """Return a zip with an entry that its directory does not name."""
    data = with_entry("m/hidden", b"import os")
    record = data.rindex(b"PK\x01\x02")
    count, size = struct.unpack_from("<HI", data, len(data) - 12)
    left = data[:record] + data[-22:]
    short = size - (len(data) - 22 - record)
    return patched((len(left) - 14, struct.pack("<2HI", count - 1, count - 1, short)), data=left)


ZIPS: dict[str, tuple[bytes, str]] = {
    "a wrong CRC": (patched((FILE.index(NUMBERS), b"\x01")), "m/data/0 has CRC-32"),
    "data.pkl twice": (with_entry("m/data.pkl", GOOD), "m/data.pkl is there twice"),
    "a storage twice": (with_entry("m/data/0", NUMBERS), "m/data/0 is there twice"),
    "another name where it stands": (
        patched((FILE.index(b"m/version"), b"m/Version")),
        "is called otherwise where it stands",
    ),
    "a way up": (with_entry("../evil"), "would not stay where it is put"),
    "a way up inside": (with_entry("m/../../evil"), "would not stay where it is put"),
    "a backslash": (with_entry("m\\..\\evil"), "would not stay where it is put"),
    "an absolute name": (with_entry("/etc/passwd"), "would not stay where it is put"),
    "a folder": (with_entry("m/folder/"), "would not stay where it is put"),
    "a name of 1001 bytes": (with_entry("m/" + "n" * 999), "would not stay where it is put"),
    "a name with an escape": (with_entry("m/\x1b[2J"), "would not stay where it is put"),
    "a name that is no UTF-8": (FILE.replace(b"m/version", b"m/versio\xff"), "whose name is no UTF-8"),
    "a second folder": (with_entry("n/data/1"), "n/data/1 is not in the one folder"),
    "no folder": (with_entry("evil"), "evil is not in the one folder"),
    "a deflate bomb": (
        hostile.zipped(hostile.torch_entries(GOOD, {"0": bytes(8 << 20)}), packed=True),
        "is packed by method 8, not stored",
    ),
    "packed, says the directory": (patched((FIRST + 10, b"\x08")), "m/data.pkl is packed by method 8"),
    "packed, says the entry": (patched((8, b"\x08")), "m/data.pkl has another header"),
    "encrypted": (patched((6, b"\x01"), (FIRST + 8, b"\x01")), "m/data.pkl is encrypted"),
    "encrypted, says the entry": (patched((6, b"\x01")), "m/data.pkl has another header"),
    "patched data": (patched((6, b"\x20"), (FIRST + 8, b"\x20")), "m/data.pkl is encrypted, or of a kind"),
    "code": (with_entry("m/code/__torch__.py", b"import os"), "code/__torch__.py is none of the storages"),
    "constants": (with_entry("m/constants.pkl", GOOD), "constants.pkl is none of the storages"),
    "a spare storage": (with_entry("m/data/1", NUMBERS), "data/1 is none of the storages"),
    "a missing storage": (hostile.torch_zip(GOOD, {}), "data/0 is missing"),
    "no data.pkl": (hostile.zipped([("m/version", b"3\n")]), "a zip without data.pkl"),
    "data.pkl that goes on": (hostile.torch_zip(GOOD + b"more"), "data.pkl goes on for 4 bytes after its end"),
    "overlapping entries": (
        patched((FILE.index(b"PK\x01\x02", FIRST + 1) + 42, bytes(4))),
        "m/byteorder begins at 0, not at",
    ),
    "an entry past the end": (patched((FIRST + 42, b"\xff\xff\xff\x7f")), "m/data.pkl has"),
    "an entry inside the directory": (
        patched((FILE.rindex(b"PK\x01\x02") + 42, struct.pack("<I", END - 40))),
        "m/version begins at",
    ),
    "an entry with a longer name than there is": (patched((FIRST + 28, b"\xff\xff")), "a damaged entry"),
    "an entry on another disk": (patched((FIRST + 34, b"\x01")), "a damaged entry"),
    "other lengths where it stands": (patched((18, b"\x01")), "other lengths where it stands"),
    "another CRC where it stands": (patched((14, b"\x00\x00")), "other lengths where it stands"),
    "a directory that is too short": (patched((END + 8, b"\x03\x00\x03\x00")), "more in it than its entries"),
    "a directory that is too long": (
        patched((END + 8, b"\x05\x00\x05\x00")),
        "a zip of 5 entries in a directory of 222 bytes",
    ),
    "a directory with fewer entries": (
        patched((-14, b"\x06\x00\x06\x00"), data=with_entry("m/" + "n" * 300)),
        "the zip's directory is cut off",
    ),
    "two counts of entries": (patched((END + 8, b"\x03")), "is not where it is said to be"),
    "a directory elsewhere": (patched((END + 16, b"\x00\x00")), "is not where it is said to be"),
    "another disk": (patched((END + 4, b"\x01")), "is not where it is said to be"),
    "an entry that is not in the directory": (hidden(), "before the zip's directory belong to no entry"),
    "bytes before it": (b"MZ" + FILE, "is not where it is said to be"),
    "bytes before it, counted": (polyglot(), "m/data.pkl begins at 10, not at 0"),
    "bytes after it": (FILE + b"\x00", "has bytes after its end"),
    "a comment": (patched((END + 20, b"\x04\x00")) + b"evil", "has bytes after its end"),
    "nothing but an end": (b"PK\x05\x06" + bytes(18), "a zip without data.pkl"),
    "60,000 entries": (patched((END + 8, b"\x60\xea\x60\xea")), "a zip of 60000 entries"),
    "big-endian": (with_small(byteorder=b"big"), "byte order 'big'"),
    "a byte order of 65 bytes": (with_small(byteorder=b"little" + bytes(59)), "byteorder of 65 bytes"),
    "a version that is no number": (with_small(version=b"\x1b[2J"), "a version that is no number"),
    "a version of other letters": (with_small(version="٣".encode()), "version of 2 bytes, or no text"),
}

# Zips with 64-bit fields, made by hand: APPNOTE 4.3.14, 4.3.15, 4.5.3.


def test_a_small_zip_with_a_64_bit_end_is_read() -> None:
    assert torch_zip.read(wide_end()).tensors[0].shape == (2, 3)


def wide_end(*patches: tuple[int, bytes], place: int = 0, **fields: int) -> bytes:
    """Return the file with a 64-bit record of its end, as PyTorch writes one however small the file."""
    count, size, start = struct.unpack_from("<H2I", FILE, END + 10)
    values = {"disk": 0, "first": 0, "here": count, "count": count, "size": size, "start": start} | fields
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, *values.values())
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, END + place, 1)
    return patched(*patches, data=FILE[:END] + record + locator + FILE[END:])


FULL16, FULL32 = b"\xff" * 2, b"\xff" * 4


@pytest.mark.parametrize("patch", [(-14, FULL16), (-12, FULL16), (-10, FULL32), (-6, FULL32)])
def test_what_has_no_room_in_the_end_is_in_the_64_bit_end(patch: tuple[int, bytes]) -> None:
    assert torch_zip.read(wide_end(patch)).tensors[0].shape == (2, 3)


WIDE_ENDS = {
    "two counts": (wide_end((-12, b"\x03\x00")), "contradict each other"),
    "two places": (wide_end((-6, bytes(4))), "contradict each other"),
    "a wide count that is another": (wide_end(here=5, count=5), "contradict each other"),
    "a directory of 2^64 - 1 bytes": (wide_end((-10, FULL32), size=(1 << 64) - 1), "is not where it is said to be"),
    "2^63 entries": (
        wide_end((-14, FULL16), (-12, FULL16), here=1 << 63, count=1 << 63),
        "a zip of 9223372036854775808",
    ),
    "another disk": (wide_end((-18, FULL16), disk=1), "is not where it is said to be"),
    "a record elsewhere": (wide_end(place=1), "the zip64 record is not where it is said to be"),
    "a record before the file": (wide_end()[-98:], "the zip64 record is not where it is said to be"),
    "nothing before the locator": (wide_end()[-42:], "the zip64 record is not where it is said to be"),
    "no record": (wide_end((END, b"PK\x00\x00")), "a damaged zip64 record"),
    "a longer record": (wide_end((END + 4, b"\x2d")), "a damaged zip64 record"),
}


@pytest.mark.parametrize("case", WIDE_ENDS)
def test_a_64_bit_end_that_lies_is_refused(case: str) -> None:
    data, said = WIDE_ENDS[case]
    with pytest.raises(FormatError) as caught:
        torch_zip.read(data)
    assert said in str(caught.value)


BIG = (1 << 32) + 64


def big_zip(path: Path, extra: bytes = struct.pack("<2H2Q", 1, 16, BIG, BIG)) -> memoryview:
    """Return a zip of an entry of more than 4 GiB and one after it: a file with a hole, of a few kB on the disk."""
    directory = b""
    starts: list[int] = []
    with path.open("wb") as file:
        for held, flags in ((BIG, 8), (6, 0)):
            begin, wide = file.tell(), held > 0xFFFFFFFF
            local = (0, 0) if wide else (held, held)
            file.write(
                struct.pack("<4s5H3I2H", b"PK\x03\x04", 45, flags, 0, 0, 0, 0, *local, 3, 0) + b"m/%d" % len(starts)
            )
            starts.append(file.tell())
            file.seek(held, io.SEEK_CUR)
            if wide:
                file.write(struct.pack("<4sI2Q", b"PK\x07\x08", 0, held, held))
            more = extra if wide else struct.pack("<2HQ", 1, 8, begin)
            sizes = (0xFFFFFFFF,) * 2 if wide else local
            offset = 0 if wide else 0xFFFFFFFF
            directory += struct.pack(
                "<4s6H3I5H2I", b"PK\x01\x02", 45, 45, flags, 0, 0, 0, 0, *sizes, 3, len(more), 0, 0, 0, 0, offset
            )
            directory += b"m/%d" % (len(starts) - 1) + more
        at = file.tell()
        file.write(directory)
        file.write(struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, len(directory), at))
        file.write(struct.pack("<4sIQI", b"PK\x06\x07", 0, at + len(directory), 1))
        file.write(struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, len(directory), 0xFFFFFFFF, 0))
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def test_entries_of_more_than_4_gib_and_after_them_are_found(tmp_path: Path) -> None:
    data = big_zip(tmp_path / "big.zip")
    with zipfile.ZipFile(tmp_path / "big.zip") as archive:
        assert archive.namelist() == ["m/0", "m/1"]
    first, second = stored_zip.entries(data)
    assert (first.name, first.start, first.stop) == ("m/0", 33, 33 + BIG)
    assert (second.name, second.start, second.stop) == ("m/1", 33 + BIG + 24 + 33, 33 + BIG + 24 + 33 + 6)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (b"", "without the 64-bit lengths"),
        (struct.pack("<2HQ", 1, 8, BIG), "m/0 has -1 bytes for"),
        (struct.pack("<2H2Q", 1, 16, BIG, BIG + 1), "m/0 has 4294967361 bytes for 4294967360"),
        (struct.pack("<2H2Q", 1, 16, BIG + 1, BIG + 1), "m/0 is not followed by its lengths"),
        (struct.pack("<2H2Q", 1, 16, 1 << 63, 1 << 63), "m/0 has 9223372036854775808 bytes"),
        (struct.pack("<2H2Q", 1, 17, BIG, BIG), "without the 64-bit lengths"),
        (struct.pack("<2H2Q", 2, 16, BIG, BIG), "without the 64-bit lengths"),
        (struct.pack("<2H", 1, 0xFFFF), "without the 64-bit lengths"),
    ],
)
def test_64_bit_lengths_that_lie_are_refused(tmp_path: Path, extra: bytes, said: str) -> None:
    with pytest.raises(FormatError) as caught:
        stored_zip.entries(big_zip(tmp_path / "big.zip", extra=extra))
    assert said in str(caught.value)


def streamed(*, wide: bool = False, lie: int = 0) -> bytes:
    """Return a zip whose entries are followed by their lengths; one of them is empty."""
    form = "<4sI2Q" if wide else "<4s3I"
    body = directory = b""
    for path, data in (("m/a", b"data"), ("m/b", b""), ("m/c", b"more")):
        crc, offset, raw = zlib.crc32(data), len(body), path.encode()
        body += struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 8, 0, 0, 0, 0, 0, 0, len(raw), 0) + raw + data
        body += struct.pack(form, b"PK\x07\x08", crc, len(data), len(data) + lie)
        sizes = len(data), len(data)
        directory += struct.pack(
            "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 8, 0, 0, 0, crc, *sizes, 3, 0, 0, 0, 0, 0, offset
        )
        directory += raw
    return body + directory + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 3, 3, len(directory), len(body), 0)


@pytest.mark.parametrize("wide", [False, True])
def test_lengths_may_follow_an_entry(wide: bool) -> None:
    data = memoryview(streamed(wide=wide))
    found = stored_zip.entries(data)
    stored_zip.check_crcs(data, found)
    assert [(one.name, bytes(data[one.start : one.stop])) for one in found] == [
        ("m/a", b"data"),
        ("m/b", b""),
        ("m/c", b"more"),
    ]


def test_lengths_that_follow_an_entry_and_lie_are_refused() -> None:
    with pytest.raises(FormatError, match="m/a is not followed by its lengths"):
        stored_zip.entries(memoryview(streamed(lie=1)))


# Refused: what an old file may not be.

NO_KEYS = MAGIC + PROTOCOL + SYSTEM + GOOD
HELD = struct.pack("<q", 6) + NUMBERS


def keys(*items: bytes) -> bytes:
    return hostile.pickle(b"](" + b"".join(items) + b"e")


PAYLOAD = hostile.pickle(call(name("posix", "system"), text(hostile.COMMAND)))
LEGACIES: dict[str, tuple[bytes, str]] = {
    "another magic number": (hostile.pickle(number(0x1950A86A20F9469CFC6D)) + LEGACY[len(MAGIC) :], "magic number"),
    "a magic word": (hostile.pickle(text("magic")) + LEGACY[len(MAGIC) :], "magic number"),
    "another protocol": (MAGIC + hostile.pickle(number(1000)) + SYSTEM + GOOD, "another protocol than PyTorch's 1001"),
    "a protocol that is True": (MAGIC + hostile.pickle(b"\x88") + SYSTEM + GOOD, "another protocol"),
    "big-endian": (
        MAGIC + PROTOCOL + hostile.pickle(table({"little_endian": b"\x89"})) + GOOD + keys(text("0")) + HELD,
        "begin with their big end",
    ),
    "an order that is 1": (MAGIC + PROTOCOL + hostile.pickle(table({"little_endian": b"K\x01"})), "their big end"),
    "no dict of the system": (MAGIC + PROTOCOL + hostile.pickle(b"]"), "their big end"),
    "no list of storages": (NO_KEYS + hostile.pickle(text("0")) + HELD, "no list of storages"),
    "storages that are numbers": (NO_KEYS + keys(number(0)) + HELD, "no list of storages"),
    "storages that are lists": (NO_KEYS + keys(b"]") + HELD, "no list of storages"),
    "a missing storage": (NO_KEYS + keys(), "is not that of the tensors"),
    "another storage": (NO_KEYS + keys(text("1")) + HELD, "is not that of the tensors"),
    "a storage twice": (NO_KEYS + keys(text("0"), text("0")) + HELD * 2, "is not that of the tensors"),
    "a spare storage": (NO_KEYS + keys(text("0"), text("1")) + HELD * 2, "is not that of the tensors"),
    "a count of 2^60": (
        NO_KEYS + keys(text("0")) + struct.pack("<q", 1 << 60) + NUMBERS,
        "1152921504606846976 elements instead of 6",
    ),
    "a count of -1": (NO_KEYS + keys(text("0")) + struct.pack("<q", -1) + NUMBERS, "-1 elements instead of 6"),
    "a count of 5": (NO_KEYS + keys(text("0")) + struct.pack("<q", 5) + NUMBERS[:20], "5 elements instead of 6"),
    "bytes after the end": (LEGACY + b"\x00", "1 bytes after the last storage"),
    "a second file": (LEGACY * 2, "bytes after the last storage"),
    "a payload first": (PAYLOAD + LEGACY, "would run 'posix.system'"),
    "a payload second": (MAGIC + PAYLOAD + LEGACY, "would run 'posix.system'"),
    "a payload third": (MAGIC + PROTOCOL + PAYLOAD + LEGACY, "would run 'posix.system'"),
    "a payload fourth": (MAGIC + PROTOCOL + SYSTEM + PAYLOAD + LEGACY, "would run 'posix.system'"),
    "a payload fifth": (NO_KEYS + PAYLOAD + HELD, "would run 'posix.system'"),
    "tensors before the state": (GOOD + LEGACY, "would run 'torch._utils._rebuild_tensor_v2'"),
    "100,000 opcodes first": (b"\x80\x02" * 100_000 + LEGACY, "more than 60000 opcodes"),
}

# Refused, or read: any value in the place of any other.

FULL = of(
    {
        "a": call(
            name("torch._utils", "_rebuild_parameter"), tensor(storage("0", 6, "FloatStorage", b"N")), b"\x88", b"N"
        )
    }
)
IMPOSTORS = {
    "an empty file": b"",
    "zeros": bytes(4096),
    "a page": b"<!DOCTYPE html><html><body>Please log in</body></html>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 440473133\n",
    "a 7z archive": b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "a tar": b"model".ljust(257, b"\0") + b"ustar\x0000" + bytes(1024),
    "a gzip": b"\x1f\x8b\x08" + bytes(100),
    "a zip's first bytes": b"PK\x03\x04" + bytes(40),
    "ones": b"\xff" * 4096,
}


def evil() -> dict[str, tuple[Case, str]]:
    reader = {kind: f"mirror.formats.torch_{kind}:read" for kind in ("zip", "legacy")}
    found = {f"zip: {case}": (Case(reader["zip"], data), said) for case, (data, said) in ZIPS.items()}
    found |= {f"legacy: {case}": (Case(reader["legacy"], data), said) for case, (data, said) in LEGACIES.items()}
    for kind, wrap in (("zip", hostile.torch_zip), ("legacy", hostile.torch_legacy)):
        found |= {
            f"{kind}, state: {case}": (Case(reader[kind], wrap(data)), said) for case, (data, said) in STATES.items()
        }
        found |= {f"{kind}, impostor: {case}": (Case(reader[kind], data), "") for case, data in IMPOSTORS.items()}
    return found


EVIL = evil()


def test_any_value_in_the_place_of_any_other_is_refused_or_read(tmp_path: Path) -> None:
    cases = {
        case: Case("mirror.formats.torch_zip:read", hostile.torch_zip(data))
        for case, data in hostile.replaced(FULL, {"a tensor": tensor(), "an id": text("0") + b"Q"}).items()
    }
    assert len(cases) > 400
    for case, found in hostile.read_all(cases, tmp_path).items():
        assert found.error in {"", "FormatError"}, (case, found)
        assert found.events == [], (case, found)


@pytest.mark.parametrize(("read", "data"), [(torch_zip.read, FILE), (torch_legacy.read, LEGACY)])
def test_a_file_that_is_cut_off_anywhere_is_refused(read: Callable[[bytes], Checkpoint], data: bytes) -> None:
    read(data)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            read(data[:length])
