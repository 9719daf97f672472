"""Whatever happens to a file of weights, its reader gives arrays that can be read, or refuses it."""

from __future__ import annotations

import pickle
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.errors import FormatError
from mirror.formats import paddle, safetensors, torch_legacy, torch_zip
from mirror.upstream.containers import safetensors as safetensors_writer
from mirror.upstream.containers.tensors import Named
from tests import hostile
from tests.hostile import BOMB, array, call, dtype, latin1, name, number, numbers, storage, table, tensor, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mirror.formats.checkpoint import Checkpoint

    Change = tuple[str, float, float, bytes]

HELD: dict[str, NDArray[Any]] = {
    "dense.weight": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "dense.bias": np.arange(4, dtype=np.float32),
    "position_ids": np.arange(5)[None],
}
STATE = table(
    {
        "dense.weight": tensor(storage("0", 12), (4, 3), (1, 4)),
        "dense.bias": call(
            name("torch._utils", "_rebuild_parameter"), tensor(storage("1", 4), (4,), (1,)), b"\x89", b"N"
        ),
        "tied.bias": tensor(storage("1", 4), (4,), (1,)),
        "position_ids": tensor(storage("2", 5, "LongStorage"), (1, 5), (5, 1)),
    }
)
STORAGES = {str(at): held.tobytes() for at, held in enumerate(HELD.values())}
ONE_KIND = table({"a": tensor(storage("0", 12), (4, 3), (1, 4)), "b": tensor(storage("1", 4), (4,), (1,))})
CUT = {
    "StructuredToParameterName@@": {"a": "x"},
    "UnpackBigParamInfor@@": {"a": {"OriginShape": (2, 2), "slices": ["b"]}},
}
PADDLE: dict[str, object] = {**HELD, "b": HELD["dense.bias"], **CUT}

#: Numbers that are likely to be wrong where a length, an offset or an opcode stands.
NUMBERS = [struct.pack(form, value) for form in ("<B", "<H", "<I", "<Q") for value in (0, 1, 64, 255)]
NUMBERS += [b"\xff" * 2, b"\xff" * 4, b"\xff" * 8, b"\x00" * 7 + b"\x80", b"\x00" * 3 + b"\x80", b"\xff" * 7 + b"\x7f"]
PIECES = st.sampled_from(NUMBERS) | st.binary(min_size=1, max_size=9)
KINDS = st.sampled_from(["overwrite", "insert", "cut", "repeat", "move"])
CHANGES = st.lists(st.tuples(KINDS, st.floats(0, 1), st.floats(0, 1), PIECES), min_size=1, max_size=4)
QUICK = settings(max_examples=250, deadline=2000)


def changed(data: bytes, changes: Sequence[Change]) -> bytes:
    for kind, first, second, piece in changes:
        at, other = int(first * len(data)), int(second * len(data))
        length = 1 + other % 16
        if kind == "overwrite":
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "insert":
            data = data[:at] + piece + data[at:]
        elif kind == "cut":
            data = data[:at] + data[at + length :]
        elif kind == "repeat":
            data = data[:at] + data[at : at + length] + data[at:]
        else:
            data = data[:at] + data[other : other + length] + data[at + length :]
    return data


def check(read: Callable[[bytes], Checkpoint], data: bytes) -> None:
    """Fail unless the data is refused, or gives arrays no larger than the data."""
    try:
        found = read(data)
    except FormatError as error:
        assert str(error).isprintable()
        return
    for one in found.tensors:
        assert len(one.array.tobytes()) <= len(data)
        assert not one.array.flags.writeable or not one.array.size


@QUICK
@given(CHANGES)
def test_any_change_to_a_torch_zip(changes: Sequence[Change]) -> None:
    check(torch_zip.read, changed(hostile.torch_zip(hostile.pickle(STATE), STORAGES), changes))


@QUICK
@given(CHANGES, st.sampled_from(["data.pkl", "byteorder", "data/1", "version"]))
def test_any_change_to_an_entry_of_a_torch_zip(changes: Sequence[Change], which: str) -> None:
    entries = dict(hostile.torch_entries(hostile.pickle(STATE), STORAGES))
    entries[f"m/{which}"] = changed(entries[f"m/{which}"], changes)
    check(torch_zip.read, hostile.zipped(entries.items()))


@QUICK
@given(CHANGES)
def test_any_change_to_a_torch_legacy_file(changes: Sequence[Change]) -> None:
    storages = {key: STORAGES[key] for key in "01"}
    check(torch_legacy.read, changed(hostile.torch_legacy(hostile.pickle(ONE_KIND), storages), changes))


@QUICK
@given(CHANGES, st.sampled_from([2, 3, 4]))
def test_any_change_to_a_paddle_file(changes: Sequence[Change], protocol: int) -> None:
    check(paddle.read, changed(pickle.dumps(PADDLE, protocol), changes))


@QUICK
@given(CHANGES)
def test_any_change_to_a_safetensors_file(changes: Sequence[Change]) -> None:
    named = [Named(label, held) for label, held in HELD.items()]
    check(safetensors.read, changed(safetensors_writer.write(named), changes))


def test_without_a_change_all_of_them_are_read() -> None:
    assert len(torch_zip.read(hostile.torch_zip(hostile.pickle(STATE), STORAGES)).tensors) == 4
    storages = {key: STORAGES[key] for key in "01"}
    assert len(torch_legacy.read(hostile.torch_legacy(hostile.pickle(ONE_KIND), storages)).tensors) == 2
    for protocol in (2, 3, 4):
        assert len(paddle.read(pickle.dumps(PADDLE, protocol)).tensors) == 4
    assert len(safetensors.read(safetensors_writer.write([Named(*one) for one in HELD.items()])).tensors) == 3


#: What a pickle is made of, in any order.
WORDS = [
    *(b"(", b")", b"t", b"\x85", b"\x86", b"\x87", b"]", b"a", b"e", b"}", b"s", b"u", b"N", b"\x88", b"\x89", b"."),
    *(b"R", b"b", b"Q", b"\x94", b"q\x00", b"h\x00", b"q\x01", b"h\x01", b"\x93", b"C\x01b", b"U\x01a", b"K\x02"),
    *(
        text("a"),
        text("x" * 5000),
        text("storage"),
        text("f4"),
        text("latin1"),
        number(1 << 70),
        number(-1),
        numbers((2, 3)),
    ),
    *(name("collections", "OrderedDict"), name("torch", "FloatStorage"), name("torch._utils", "_rebuild_tensor_v2")),
    *(name("torch._utils", "_rebuild_parameter"), name("numpy", "ndarray"), name("numpy", "dtype")),
    *(name("_codecs", "encode"), name("builtins", "tuple"), name("numpy.core.multiarray", "_reconstruct")),
    *(storage(), tensor(), array(), dtype(), latin1(b"b"), BOMB, text("OriginShape"), text("slices")),
    *(text("StructuredToParameterName@@"), text("UnpackBigParamInfor@@"), b"}(" + text("a"), call(b"h\x00")),
]


@QUICK
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join), st.booleans())
def test_any_opcodes_in_any_order(words: bytes, inside: bool) -> None:
    words = b"}(" + text("a") + words + b"u" if inside else words
    check(paddle.read, hostile.pickle(words))
    check(torch_zip.read, hostile.torch_zip(hostile.pickle(words)))
