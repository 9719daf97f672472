"""Paddle's ``.pdparams``: a pickle of a dict of numpy arrays, of protocol 2, 3 or 4.

``paddle.load`` unpickles, and so runs what the file says. Here nothing runs. Protocol 2 has
no bytes: there the numbers are text, as whose latin-1 code points they stand. They are decoded
into memory of their own; all others are views.

Source: Paddle ``python/paddle/framework/io.py`` (``_legacy_save``, ``_unpack_saved_dict``),
numpy ``ndarray.__reduce__`` and ``dtype.__reduce__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mirror.errors import FormatError
from mirror.formats import pickles
from mirror.formats.checkpoint import LAYOUT, Checkpoint, Tensor, as_bytes, check_count, check_name, elements
from mirror.formats.inert import Call, Global, LongText, Rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from typing_extensions import Buffer

_NAMES = "StructuredToParameterName@@"
_SLICED = "UnpackBigParamInfor@@"
_CUT_FIELDS = frozenset({"OriginShape", "slices"})
_RECONSTRUCT = frozenset(Global(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core"))
_ARRAY, _DTYPE = Global("numpy", "ndarray"), Global("numpy", "dtype")
_ENCODE, _TUPLE = Global("_codecs", "encode"), Global("builtins", "tuple")
_TUPLES = frozenset({_TUPLE, Global("__builtin__", "tuple")})
_BYTES = Global("__builtin__", "bytes")  # protocol 2, for none at all
_ORDERED_DICT = Global("collections", "OrderedDict")
_RULES = Rules(
    names=_RECONSTRUCT | _TUPLES | {_ARRAY, _DTYPE, _ENCODE, _BYTES, _ORDERED_DICT},
    containers=frozenset({_ORDERED_DICT}),
    built=_RECONSTRUCT | {_DTYPE},
)
#: numpy's short codes. Paddle has no integers of that kind: ``u2`` are the bits of bfloat16, which numpy has not.
_CODES = {
    "f8": "F64",
    "f4": "F32",
    "f2": "F16",
    "i8": "I64",
    "i4": "I32",
    "i2": "I16",
    "i1": "I8",
    "u8": "U64",
    "u4": "U32",
    "u2": "BF16",
    "u1": "U8",
    "b1": "BOOL",
}
#: What a dtype's state is besides its byte order: no fields, no alignment of its own.
_PLAIN_DTYPE = (None, None, None, -1, -1, 0)
_SIMPLE = frozenset({int, str, type(None)})
#: Bytes of text that are decoded at a time.
_WINDOW = 1 << 20


def read(source: Buffer) -> Checkpoint:
    """Return what a ``.pdparams`` holds.

    Raises:
        FormatError: It is not exactly what Paddle writes for a state dict.
    """
    data = as_bytes(source)
    state, end = pickles.decode(data, _RULES)
    if end != len(data):
        raise FormatError(f"{len(data) - end} bytes after the pickle's end", at=end)
    items = dict(_items(state))
    names = _name_table(items.pop(_NAMES, {}))
    sliced = items.pop(_SLICED, {})
    check_count(len(items))
    if not items:
        raise FormatError("no tensors")
    decoded: dict[int, memoryview] = {}
    tensors = {str(name): _tensor(name, value, decoded) for name, value in items.items()}
    _join_all(tensors, sliced, len(data))
    if spare := names.keys() - tensors.keys():
        raise FormatError(f"the table of names has {ascii(min(spare))[:60]}, the file has not")
    return Checkpoint("paddle", tuple(tensors.values()))


def _items(state: object) -> dict[str | int, Any]:
    if type(state) is dict:
        return state
    if isinstance(state, Call) and state.function == _ORDERED_DICT and not state.args and state.state is None:
        return state.items
    raise FormatError("the file holds no dict of tensors")


def _name_table(found: object) -> Mapping[str, str]:
    items = _items(found)
    if not all(type(key) is str and type(value) is str for key, value in items.items()):
        raise FormatError("a table of names that holds something else")
    return items  # type: ignore[return-value] # just looked at


def _tensor(name: str | int, value: object, decoded: dict[int, memoryview]) -> Tensor:
    """Return one tensor.

    Args:
        name: What the file calls it.
        value: What the file has under that name.
        decoded: The bytes of every text that was decoded so far, by its identity; texts live as long as this.
    """
    if type(name) is not str:
        raise FormatError(f"{name!r} where a tensor's name should be")
    check_name(name)
    if isinstance(value, Call) and value.function in _TUPLES:
        value = _of_live_tensor(value, name)
    if not isinstance(value, Call) or value.function not in _RECONSTRUCT:
        raise FormatError("no array; a training checkpoint rather than a model?", tensor=name)
    _check_reconstruct(value, name, decoded)
    dtype, shape, fortran, numbers = _state(value.state, name)
    layout = LAYOUT[dtype]
    raw = _raw(numbers, name, decoded)
    if len(raw) != elements(shape, name) * layout.itemsize:
        raise FormatError(f"{len(raw)} bytes for shape {list(shape)} of {dtype}", tensor=name)
    flat = np.frombuffer(raw, layout) if len(raw) else np.empty(0, layout)
    return Tensor(name, dtype, flat.reshape(shape, order="F" if fortran else "C"))


def _of_live_tensor(value: Call, name: str) -> object:
    """Return the array of a tensor that was saved alive: ``tuple((its own name, array))``."""
    pair = value.args[0] if len(value.args) == 1 else None
    if type(pair) is not tuple or len(pair) != 2 or type(pair[0]) is not str:
        raise FormatError("a tuple that is no name and array", tensor=name)
    return pair[1]


def _check_reconstruct(value: Call, name: str, decoded: dict[int, memoryview]) -> None:
    """Refuse any other call than ``_reconstruct(ndarray, (0,), b"b")``."""
    args = value.args
    if len(args) != 3 or not isinstance(args[0], Global) or args[0] != _ARRAY or value.items:
        raise FormatError("an array that is made in a way numpy does not", tensor=name)
    if type(args[1]) is not tuple or args[1] != (0,) or bytes(_raw(args[2], name, decoded)[:2]) != b"b":
        raise FormatError("an array that is made in a way numpy does not", tensor=name)


def _state(state: object, name: str) -> tuple[str, tuple[int, ...], bool, object]:
    """Return dtype, shape, whether in Fortran's order, and the numbers of an array."""
    if type(state) is not tuple or len(state) != 5 or type(state[0]) is not int or state[0] != 1:
        raise FormatError("an array without the state that numpy gives it", tensor=name)
    _, shape, dtype, fortran, numbers = state
    if type(shape) is not tuple or not all(type(each) is int for each in shape) or type(fortran) is not bool:
        raise FormatError("a shape or an order that is none", tensor=name)
    return _dtype(dtype, name), shape, fortran, numbers


def _dtype(found: object, name: str) -> str:
    """Return the dtype of ``dtype(code, False, True)`` with its state ``(3, order, …)``."""
    if not isinstance(found, Call) or found.function != _DTYPE or len(found.args) != 3:
        raise FormatError("a dtype that is none", tensor=name)
    code, state = found.args[0], found.state
    # What is no text is not even shown: a small file can hold a value whose text has no end.
    if type(code) is not str or found.args[1:] != (False, True):  # 0 and 1 in files of older numpy, which is the same
        raise FormatError("a dtype that is none", tensor=name)
    if code not in _CODES:
        raise FormatError(f"dtype {ascii(code)[:20]}, which no weights have", tensor=name)
    # Compared only where it can hold nothing but numbers and text: the order first, then the rest.
    if type(state) is not tuple or len(state) != 8 or any(type(each) not in _SIMPLE for each in state):
        raise FormatError("a dtype with a state of its own", tensor=name)
    if state[0] != 3 or state[1] not in {"<", "=", "|"} or state[2:] != _PLAIN_DTYPE:
        raise FormatError(f"a structured dtype, or one of order {ascii(state[1])[:20]}", tensor=name)
    return _CODES[code]


def _raw(numbers: object, name: str, decoded: dict[int, memoryview]) -> memoryview:
    """Return an array's bytes: a view where the file has bytes, decoded where it has text."""
    if isinstance(numbers, memoryview):
        return numbers
    if not isinstance(numbers, Call):
        raise FormatError("numbers that are neither bytes nor text", tensor=name)
    if numbers.function == _BYTES and not numbers.args:
        return memoryview(b"")
    if numbers.function != _ENCODE or len(numbers.args) != 2:
        raise FormatError("numbers that are neither bytes nor text", tensor=name)
    text, codec = numbers.args
    if type(codec) is not str or codec not in {"latin1", "latin-1"}:
        raise FormatError("text in another encoding than latin1", tensor=name)
    if type(text) is str:
        return _latin1(memoryview(text.encode()), name)
    if not isinstance(text, LongText):
        raise FormatError("numbers that are neither bytes nor text", tensor=name)
    # Once, however many arrays have the same: a long text, told over and over, takes but a few bytes in the file.
    if id(text) not in decoded:
        decoded[id(text)] = _latin1(text.utf8, name)
    return decoded[id(text)]


def _latin1(utf8: memoryview, name: str) -> memoryview:
    """Return the bytes whose latin-1 text ``utf8`` is."""
    # Every byte from 0x80 on became two; the first of the two says so.
    view, starts = np.frombuffer(utf8, np.uint8), range(0, len(utf8), _WINDOW)
    decoded = bytearray(len(utf8) - sum(int(np.count_nonzero(view[at : at + _WINDOW] >= 0xC0)) for at in starts))
    done = at = 0
    while at < len(utf8):
        stop = min(at + _WINDOW, len(utf8))
        if stop < len(utf8) and utf8[stop] & 0xC0 == 0x80:
            stop += 1  # a window never cuts a code point
        try:
            piece = str(utf8[at:stop], "utf-8").encode("latin-1")
        except UnicodeError as error:
            raise FormatError("text that stands for no bytes", tensor=name) from error
        decoded[done : done + len(piece)] = piece
        done, at = done + len(piece), stop
    return memoryview(decoded)[:done].toreadonly()


def _join_all(tensors: dict[str, Tensor], sliced: object, room: int) -> None:
    """Put together the tensors that protocols 2 and 3 had to cut, into ``name@@.0`` and so on.

    Args:
        tensors: By name; of those that were cut, the parts give way to the whole.
        sliced: What the file says of them.
        room: Bytes that all of them may have: those of the file, as no two parts are the same bytes.
    """
    for name, entry in _items(sliced).items():
        fields = _items(entry)
        if type(name) is not str or name in tensors or fields.keys() != _CUT_FIELDS:
            raise FormatError(f"a table of cut tensors that is damaged at {ascii(name)[:60]}")
        check_name(name)
        shape, parts = fields["OriginShape"], fields["slices"]
        if not _all(int, shape) or not _all(str, parts):
            raise FormatError("a damaged table of its parts", tensor=name)
        tensors[name] = _join(name, [tensors.pop(part, None) for part in parts], tuple(shape), room)
        room -= tensors[name].array.nbytes


def _join(name: str, parts: list[Tensor | None], shape: tuple[int, ...], room: int) -> Tensor:
    pieces = [part for part in parts if part is not None and len(part.shape) == 1 and part.array.size]
    if not pieces or len(pieces) != len(parts) or len({piece.dtype for piece in pieces}) > 1:
        raise FormatError("a part is missing, empty or of another kind", tensor=name)
    if sum(piece.array.size for piece in pieces) != elements(shape, name):
        raise FormatError(f"the parts do not make up shape {list(shape)}", tensor=name)
    if sum(piece.array.nbytes for piece in pieces) > room:
        raise FormatError("parts that share their bytes", tensor=name)
    whole: NDArray[Any] = np.concatenate([piece.array for piece in pieces]).reshape(shape)
    whole.flags.writeable = False
    return Tensor(name, pieces[0].dtype, whole)


def _all(kind: type, found: Any) -> bool:
    return type(found) in {list, tuple} and all(type(each) is kind for each in found)
