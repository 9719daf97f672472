"""Paddle's pickles: every protocol, cut tensors and live ones, and nothing that is no array."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.errors import FormatError
from mirror.formats import paddle
from mirror.formats.checkpoint import LAYOUT
from mirror.upstream import naming
from mirror.upstream.containers import paddle_pickle
from mirror.upstream.containers.tensors import Named, arrays
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests import hostile
from tests.hostile import BOMB, NUMBERS, Case, array, call, dtype, group, latin1, name, number, numbers, table, text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}
FAMILIES = ("bert_uncased_L-2_H-128_A-2", "tinybert-4l-312d", "distilbert-base-uncased", "albert-base-v1")
NAMES = "StructuredToParameterName@@"
SLICED = "UnpackBigParamInfor@@"
PROTOCOLS = [2, 3, 4]


def seeded(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).standard_normal(shape, np.float32)


class Live:
    """Stands for a tensor that is saved alive, as ``paddle.save`` reduces it."""

    def __init__(self, label: str, held: NDArray[Any]) -> None:
        self._pair = label, held

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._pair,)


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_every_tensor_of_a_model_is_read(model: str, core: str) -> None:
    made = ModelFiles.of(MODELS[model], seed=0, scale=32)
    named = arrays(naming.paddle(made.architecture, made.specs), seed=0, model=made.id)
    found = paddle.read(paddle_pickle.write(named, numpy_core=core))
    assert found.format == "paddle"
    assert [one.name for one in found.tensors] == [one.name for one in named]
    for one, other in zip(found.tensors, named, strict=True):
        assert np.array_equal(one.array, other.array)
        assert not one.array.flags.writeable


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("code", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1"])
def test_every_dtype_is_read_from_every_protocol(protocol: int, code: str) -> None:
    held = (np.arange(300) % 2).astype(code) if code == "b1" else (seeded(20, 15) * 100).astype(code)
    (found,) = paddle.read(pickle.dumps({"a": held}, protocol)).tensors
    assert found.array.dtype == LAYOUT[found.dtype] == held.dtype
    assert found.array.tobytes() == held.tobytes()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_empty_arrays_and_every_byte_are_read(protocol: int) -> None:
    state: dict[str, NDArray[Any]] = {
        "scalar": np.array(7, np.int64),
        "empty": np.empty((3, 0, 2), np.float32),
        "bytes": np.arange(256, dtype=np.uint8),
        "many": np.tile(np.arange(256, dtype=np.uint8), 100),
    }
    found = paddle.read(pickle.dumps(state, protocol)).tensors
    for one, (label, held) in zip(found, state.items(), strict=True):
        assert (one.name, one.shape) == (label, held.shape)
        assert np.array_equal(one.array, held)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_order_of_fortran_is_respected(protocol: int) -> None:
    held = np.asfortranarray(seeded(3, 4, 5))
    (found,) = paddle.read(pickle.dumps({"a": held}, protocol)).tensors
    assert np.array_equal(found.array, held)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_live_tensors_and_ordered_dicts_are_read(protocol: int) -> None:
    held = seeded(3, 4)
    state = OrderedDict(a=Live("linear_0.w_0", held), b=held)
    found = paddle.read(pickle.dumps(state, protocol)).tensors
    assert [one.name for one in found] == ["a", "b"]
    assert all(np.array_equal(one.array, held) for one in found)


@pytest.mark.parametrize("protocol", [3, 4])
def test_bytes_are_read_without_a_copy(protocol: int) -> None:
    data = pickle.dumps({"a": seeded(30, 40)}, protocol)
    (found,) = paddle.read(data).tensors
    assert np.shares_memory(found.array, np.frombuffer(data, "u1"))


def test_text_is_decoded_across_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    held = np.random.default_rng(3).integers(0, 256, 5000, np.uint8)
    data = paddle_pickle.write([Named("a", held), Named("b", held | 0x80), Named("c", held & 0x7F)])
    for window in (1, 2, 3, 64, 4999, 5000, 5001):
        monkeypatch.setattr(paddle, "_WINDOW", window)
        found = paddle.read(data).tensors
        assert [one.array.tobytes() for one in found] == [each.tobytes() for each in (held, held | 0x80, held & 0x7F)]


def test_the_dtype_of_older_numpy_is_read() -> None:
    old = call(name("numpy", "dtype"), text("f4"), number(0), number(1))
    state = group(number(3), text("<"), b"N", b"N", b"N", number(-1), number(-1), number(0))
    (found,) = paddle.read(of({"a": array(kind=old + state + b"b")})).tensors
    assert found.array.tolist() == [[0, 1, 2], [3, 4, 5]]


def cut(state: dict[str, NDArray[Any]], most: int) -> dict[str, Any]:
    """Cut arrays of more than ``most`` elements as ``paddle.save`` does."""
    made: dict[str, Any] = {label: held for label, held in state.items() if held.size <= most}
    made[NAMES] = {label: f"parameter_{at}" for at, label in enumerate(state)}
    made[SLICED] = {}
    for label, held in state.items():
        if held.size > most:
            parts = {f"{label}@@.{at}": held.flatten()[at * most :][:most] for at in range(-(-held.size // most))}
            made |= parts
            made[SLICED][label] = {"OriginShape": held.shape, "slices": list(parts)}
    return made


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cut_tensors_are_put_together(protocol: int) -> None:
    state = {"a": seeded(7, 11), "b": seeded(5), "c": seeded(3, 4, 5)}
    found = paddle.read(pickle.dumps(cut(state, 8), protocol)).tensors
    assert {one.name for one in found} == set(state)
    for one in found:
        assert np.array_equal(one.array, state[one.name])
        assert not one.array.flags.writeable


def of(items: Mapping[str, bytes]) -> bytes:
    return hostile.pickle(table(items))


PART = b"B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"q\x00"
DTYPE = name("numpy", "dtype")
STATE = group(number(3), text("<"), b"N", b"N", b"N", number(-1), number(-1), number(0)) + b"b"
EMPTY = group(name("numpy", "ndarray"), numbers((0,)), latin1(b"b"))
RECONSTRUCT = name("numpy.core.multiarray", "_reconstruct")


def built(*state: bytes) -> bytes:
    return RECONSTRUCT + EMPTY + b"R" + group(*state) + b"b"


def sliced(entry: bytes, parts: Mapping[str, bytes] | None = None) -> bytes:
    held = {f"a@@.{at}": array(shape=(6,)) for at in range(2)} if parts is None else dict(parts)
    return of(held | {SLICED: table({"a": entry})})


def cutting(shape: bytes = numbers((12,)), slices: bytes = b"](" + text("a@@.0") + text("a@@.1") + b"e") -> bytes:
    return table({"OriginShape": shape, "slices": slices})


EVIL: dict[str, tuple[bytes, str]] = {
    "eval, as for a DenseTensor": (
        of({"a": call(name("builtins", "eval"), text("data"), table({"data": array()}))}),
        "would run 'builtins.eval'",
    ),
    "numpy.load": (of({"a": call(name("numpy", "load"), text("x.npy"))}), "would run 'numpy.load'"),
    "_frombuffer of protocol 5": (pickle.dumps({"a": seeded(3)}, 5), "would run 'numpy._core.numeric._frombuffer'"),
    "a scalar": (pickle.dumps({"a": np.float32(1)}, 4), "would run 'numpy._core.multiarray.scalar'"),
    "an array of objects": (pickle.dumps({"a": np.array([{}, []], object)}, 4), "dtype 'O8', which no weights have"),
    "an array of records": (pickle.dumps({"a": np.zeros(2, "i4,f4")}, 4), "dtype 'V8', which no weights have"),
    "an array of text": (pickle.dumps({"a": np.array(["a"])}, 4), "dtype 'U1', which no weights have"),
    "an array of dates": (pickle.dumps({"a": np.zeros(2, "M8[s]")}, 4), "dtype 'M8', which no weights have"),
    "complex numbers": (pickle.dumps({"a": np.zeros(2, "c8")}, 4), "dtype 'c8', which no weights have"),
    "a big-endian array": (pickle.dumps({"a": np.zeros(2, ">f4")}, 4), "one of order '>'"),
    "a dtype with fields": (of({"a": array(kind=dtype("f4", "<", b"N", text("x"), b"N"))}), "a structured dtype"),
    "a dtype with a dict": (
        of({"a": array(kind=dtype("f4", "<", b"N", b"N", b"}"))}),
        "a dtype with a state of its own",
    ),
    "a dtype with a bomb": (
        of({"a": array(kind=dtype("f4", "<", b"N", b"N", BOMB))}),
        "a dtype with a state of its own",
    ),
    "a dtype with an order of 4000 letters": (of({"a": array(kind=dtype("f4", "\x1b" * 4000))}), "one of order"),
    "a dtype without a state": (of({"a": array(kind=call(DTYPE, text("f4"), b"\x89", b"\x88"))}), "a state of its own"),
    "a dtype that copies": (
        of({"a": array(kind=call(DTYPE, text("f4"), b"\x88", b"\x88") + STATE)}),
        "a dtype that is none",
    ),
    "a dtype of one field": (of({"a": array(kind=call(DTYPE, text("f4")) + STATE)}), "a dtype that is none"),
    "a dtype that is text": (of({"a": array(kind=text("f4"))}), "a dtype that is none"),
    "a dtype that is unknown": (of({"a": array(kind=dtype("f16"))}), "dtype 'f16', which no weights have"),
    "text in UTF-8": (
        of({"a": array(call(name("_codecs", "encode"), text("x" * 24), text("utf-8")))}),
        "text in another encoding than latin1",
    ),
    "text in base64": (
        of({"a": array(call(name("_codecs", "encode"), text("x" * 24), text("base64")))}),
        "text in another encoding than latin1",
    ),
    "text beyond latin-1": (
        of({"a": array(call(name("_codecs", "encode"), text("模" * 8), text("latin1")))}),
        "text that stands for no bytes",
    ),
    "long text beyond latin-1": (
        of({"a": array(call(name("_codecs", "encode"), text("模" * 8000), text("latin1")))}),
        "text that stands for no bytes",
    ),
    "long text that is no UTF-8": (
        of(
            {
                "a": array(
                    call(name("_codecs", "encode"), b"X" + struct.pack("<I", 5000) + b"\xc3" * 5000, text("latin1"))
                )
            }
        ),
        "text that stands for no bytes",
    ),
    "text that is bytes": (
        of({"a": array(call(name("_codecs", "encode"), b"C\x01x", text("latin1")))}),
        "neither bytes nor text",
    ),
    "encode of one argument": (
        of({"a": array(call(name("_codecs", "encode"), text("x" * 24)))}),
        "neither bytes nor text",
    ),
    "bytes of something": (of({"a": array(call(name("__builtin__", "bytes"), number(24)))}), "neither bytes nor text"),
    "numbers that are a list": (of({"a": array(b"]")}), "neither bytes nor text"),
    "numbers that are an array": (of({"a": array(array())}), "neither bytes nor text"),
    "a longer shape": (of({"a": array(shape=(2, 4))}), "24 bytes for shape [2, 4] of F32"),
    "a shorter shape": (of({"a": array(shape=(2, 2))}), "24 bytes for shape [2, 2] of F32"),
    "a wider dtype": (of({"a": array(kind=dtype("f8"))}), "24 bytes for shape [2, 3] of F64"),
    "a negative shape": (of({"a": array(shape=(-2, -3))}), "shape [-2, -3]"),
    "a shape of 2^62": (of({"a": array(shape=(1 << 62,))}), "shape [4611686018427387904]"),
    "nine axes": (of({"a": array(shape=(6, *[1] * 8))}), "9 axes"),
    "no elements, but axes of 2^39": (
        of({"a": array(latin1(b""), shape=(0, 1 << 39, 1 << 39))}),
        "shape [0, 549755813888",
    ),
    "an order that is 1": (
        of({"a": built(number(1), numbers((6,)), dtype(), number(1), latin1(NUMBERS))}),
        "a shape or an order that is none",
    ),
    "a shape that is a list": (
        of({"a": built(number(1), b"](K\x06e", dtype(), b"\x89", latin1(NUMBERS))}),
        "a shape or an order that is none",
    ),
    "a shape of True": (
        of({"a": built(number(1), group(b"\x88"), dtype(), b"\x89", latin1(NUMBERS))}),
        "a shape or an order that is none",
    ),
    "a state of version 2": (
        of({"a": built(number(2), numbers((6,)), dtype(), b"\x89", latin1(NUMBERS))}),
        "without the state that numpy gives it",
    ),
    "a state of four": (of({"a": built(numbers((6,)), dtype(), b"\x89", latin1(NUMBERS))}), "without the state"),
    "an array without a state": (of({"a": RECONSTRUCT + EMPTY + b"R"}), "without the state"),
    "an array of another class": (
        of({"a": RECONSTRUCT + group(DTYPE, numbers((0,)), latin1(b"b")) + b"R"}),
        "made in a way numpy does not",
    ),
    "an array that begins with more": (
        of({"a": RECONSTRUCT + group(name("numpy", "ndarray"), numbers((1,)), latin1(b"b")) + b"R"}),
        "made in a way numpy does not",
    ),
    "an array of another letter": (
        of({"a": RECONSTRUCT + group(name("numpy", "ndarray"), numbers((0,)), latin1(b"c")) + b"R"}),
        "made in a way numpy does not",
    ),
    "a live tensor without a name": (
        of({"a": call(name("builtins", "tuple"), group(array(), array()))}),
        "no name and array",
    ),
    "a live tensor of three": (
        of({"a": call(name("builtins", "tuple"), group(text("a"), array(), b"N"))}),
        "no name and array",
    ),
    "a live tensor that is a list": (of({"a": call(name("builtins", "tuple"), b"]")}), "no name and array"),
    "no tensors": (of({}), "no tensors"),
    "no dict": (hostile.pickle(array()), "no dict of tensors"),
    "an ordered dict of something": (
        hostile.pickle(call(name("collections", "OrderedDict"), b"]")),
        "no dict of tensors",
    ),
    "a number": (of({"a": number(1)}), "no array; a training checkpoint rather than a model?"),
    "an optimizer's state": (
        of({"a": array(), "LR_Scheduler": table({"last_epoch": number(3)})}),
        "a training checkpoint",
    ),
    "a name that is a number": (hostile.pickle(b"}K\x07" + array() + b"s"), "7 where a tensor's name should be"),
    "a name that cannot be shown": (of({"\x1b[2J": array()}), "a name that no tensor has"),
    "a name twice": (hostile.pickle(b"}(" + (text("a") + array()) * 2 + b"u"), "'a' is there twice"),
    "a table of names that holds lists": (of({"a": array(), NAMES: table({"a": b"]"})}), "holds something else"),
    "a table of names that holds numbers": (
        of({"a": array(), NAMES: b"}K\x01" + text("a") + b"s"}),
        "holds something else",
    ),
    "a table of names that is a list": (of({"a": array(), NAMES: b"]"}), "no dict of tensors"),
    "a table of other names": (of({"a": array(), NAMES: table({"b": text("b")})}), "the table of names has 'b'"),
    "bytes after the end": (of({"a": array()}) + b"\x00", "1 bytes after the pickle's end"),
    "a second pickle": (of({"a": array()}) * 2, "bytes after the pickle's end"),
    "a missing slice": (sliced(cutting(), {"a@@.0": array(shape=(6,))}), "tensor a: a part is missing"),
    "no slices": (sliced(cutting(slices=b"]")), "tensor a: a part is missing"),
    "slices that are numbers": (sliced(cutting(slices=numbers((1,)))), "tensor a: a damaged table of its parts"),
    "a slice twice": (sliced(cutting(slices=b"](" + text("a@@.0") * 2 + b"e")), "tensor a: a part is missing"),
    "a slice of two axes": (sliced(cutting(), {"a@@.0": array(), "a@@.1": array()}), "tensor a: a part is missing"),
    "an empty slice": (
        sliced(cutting(numbers((6,))), {"a@@.0": array(shape=(6,)), "a@@.1": array(latin1(b""), (0,))}),
        "a part is missing, empty",
    ),
    "slices of two kinds": (
        sliced(cutting(), {"a@@.0": array(shape=(6,)), "a@@.1": array(shape=(6,), kind=dtype("i4"))}),
        "of another kind",
    ),
    "slices that are too few": (sliced(cutting(numbers((13,)))), "the parts do not make up shape [13]"),
    "slices of a negative shape": (sliced(cutting(numbers((-3, -4)))), "shape [-3, -4]"),
    "slices of no shape": (sliced(cutting(text("12"))), "a damaged table of its parts"),
    "slices without a shape": (sliced(table({"slices": b"]"})), "damaged at 'a'"),
    "slices with more": (
        sliced(table({"OriginShape": numbers((12,)), "slices": b"]", "more": b"N"})),
        "damaged at 'a'",
    ),
    "slices of what is there": (sliced(cutting(), {"a": array()}), "damaged at 'a'"),
    "slices of a number": (of({"a": array(), SLICED: b"}K\x01" + cutting() + b"s"}), "damaged at 1"),
    "slices in a list": (of({"a": array(), SLICED: b"]"}), "no dict of tensors"),
    "slices that are a list": (sliced(b"]"), "no dict of tensors"),
    # 2,000 parts that are the same megabyte.
    "slices of the same bytes": (
        sliced(
            cutting(numbers((2_000 << 20,)), b"](" + b"".join(text(f"p{at}") for at in range(2_000)) + b"e"),
            {f"p{at}": array(b"h\x00" if at else PART, (1 << 20,), dtype("u1")) for at in range(2_000)},
        ),
        "tensor a: parts that share their bytes",
    ),
}


def test_any_value_in_the_place_of_any_other_is_refused_or_read(tmp_path: Path) -> None:
    live = call(name("builtins", "tuple"), group(text("a"), array()))
    cut_one = table({"b": cutting(numbers((6,)), group(text("p")))})
    whole = of({"a": live, "p": array(shape=(6,)), NAMES: table({"b": text("b")}), SLICED: cut_one})
    assert {one.name for one in paddle.read(whole).tensors} == {"a", "b"}
    cases = {
        case: Case("mirror.formats.paddle:read", data)
        for case, data in hostile.replaced(whole, {"an array": array(), "a dtype": dtype()}).items()
    }
    assert len(cases) > 1000
    for case, found in hostile.read_all(cases, tmp_path).items():
        assert found.error in {"", "FormatError"}, (case, found)
        assert found.events == [], (case, found)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_file_that_is_cut_off_anywhere_is_refused(protocol: int) -> None:
    data = pickle.dumps({"a": seeded(3, 4), NAMES: {"a": "linear_0.w_0"}}, protocol)
    paddle.read(data)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            paddle.read(data[:length])


def test_text_that_many_arrays_have_is_decoded_once() -> None:
    shared = text("ÿ" * 500_000) + b"q\x00"
    texts = (call(name("_codecs", "encode"), b"h\x00" if at else shared, text("latin1")) for at in range(100))
    state = {f"t{at}": array(each, (5000, 100), dtype("u1")) for at, each in enumerate(texts)}
    found = paddle.read(of(state)).tensors
    assert len(found) == 100
    assert all(np.shares_memory(one.array, found[0].array) for one in found)
