"""Pickles, decoded into inert values: nothing is imported, called or built.

What a pickle would call becomes a ``Call``, what it would import a ``Global`` whose name
must be on the caller's list. CPython's own unpickler is no help here, however it is
restricted: it hangs on a memoised tuple that is a dict's key, and asks for gigabytes at a
file of 30 bytes. Opcodes outside a short list are refused by name.

Source: CPython ``Lib/pickletools.py``.
"""

from __future__ import annotations

import pickletools
import struct
from typing import TYPE_CHECKING, Any

from mirror.errors import FormatError
from mirror.formats.inert import Call, Global, LongText, Persistent

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.formats.inert import Rules

_MAX_GLOBAL = 512
#: Text from here on is kept as the bytes it is, for whoever knows what it stands for.
_LONG_TEXT = 1 << 12
#: Bytes of shorter text in all: as Python's own it can take four times the room that it has in the file.
_MAX_TEXT = 32 << 20
#: Whole numbers from here on are no keys: the hash of larger ones can be chosen, and made the same for all.
_MAX_KEY = 1 << 31
_PROTOCOLS = range(2, 6)
_U16, _I32, _U32, _U64, _F64 = (struct.Struct(code) for code in ("<H", "<i", "<I", "<Q", ">d"))


def decode(data: memoryview, rules: Rules, start: int = 0) -> tuple[Any, int]:
    """Return what the pickle at ``start`` describes, and the offset of the byte after it.

    Numbers, text, ``None``, tuples, lists and dicts are Python's own; bytes are views; the
    rest is a ``Global``, ``Call``, ``Persistent`` or ``LongText``.

    Raises:
        FormatError: It has an opcode or a name that no such file needs, or is damaged.
    """
    machine = _Machine(data, rules, start)
    try:
        return machine.run(), machine.at
    except IndexError as error:
        raise FormatError("takes more from its stack than is there", at=machine.opcode_at) from error


class _Machine:
    """A pickle's stack, memo and place in the file.

    Attributes:
        at: Offset of the next byte.
        opcode_at: Offset of the opcode that is being carried out.
    """

    def __init__(self, data: memoryview, rules: Rules, start: int) -> None:
        self.at = self.opcode_at = start
        self._data = data
        self._rules = rules
        self._globals = {f"{each.module}\n{each.name}\n".encode(): each for each in rules.names}
        self._text_left = _MAX_TEXT
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # what lies below each mark
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        data, do = self._data, _OPCODES
        for _ in range(self._rules.opcodes):
            self.opcode_at = self.at
            if self.at >= len(data):
                raise FormatError("the pickle ends before its STOP", at=self.at)
            opcode = data[self.at]
            self.at += 1
            if opcode == _STOP:
                if len(self._stack) != 1 or self._below:
                    raise self._wrong(f"STOP with {len(self._stack)} values on the stack")
                return self._stack[0]
            action = do.get(opcode)
            if action is None:
                raise self._wrong(f"the pickle opcode {_name_of(opcode)}, which no weights need")
            action(self)
        raise self._wrong(f"more than {self._rules.opcodes} opcodes")

    def _wrong(self, message: str) -> FormatError:
        return FormatError(message, at=self.opcode_at)

    def _skip(self, count: int) -> int:
        """Go on by ``count`` bytes, and return where they begin."""
        begin = self.at
        if count > len(self._data) - begin:
            raise self._wrong(f"{count} bytes are said to follow, {len(self._data) - begin} do")
        self.at = begin + count
        return begin

    def take(self, count: int) -> memoryview:
        begin = self._skip(count)
        return self._data[begin : begin + count]

    def byte(self) -> int:
        return self._data[self._skip(1)]

    def number(self, form: struct.Struct) -> Any:
        return form.unpack_from(self._data, self._skip(form.size))[0]

    def _text(self, data: memoryview) -> str:
        self._text_left -= len(data)
        if self._text_left < 0:
            raise self._wrong(f"more than {_MAX_TEXT} bytes of text")
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise self._wrong("text that is no UTF-8") from error

    def _group(self) -> list[Any]:
        """Take everything above the last mark from the stack."""
        group, self._stack = self._stack, self._below.pop()
        return group

    def mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def push(self, value: Any) -> None:
        self._stack.append(value)

    # The opcodes, as the list below names them.

    def proto(self) -> None:
        version = self.byte()
        if version not in _PROTOCOLS:
            raise self._wrong(f"pickle protocol {version}")

    def frame(self) -> None:
        length = self.number(_U64)
        if length > len(self._data) - self.at:
            raise self._wrong(f"a frame of {length} bytes, where {len(self._data) - self.at} are left")

    def text(self, length: int) -> None:
        data = self.take(length)
        self.push(self._text(data) if length < _LONG_TEXT else LongText(data))

    def string(self, length: int) -> None:
        if not 0 <= length < _LONG_TEXT:
            raise self._wrong(f"a string of {length} bytes")
        self.push(self._text(self.take(length)))

    def long1(self) -> None:
        self.push(int.from_bytes(self.take(self.byte()), "little", signed=True))

    def tuple_of(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self.push(tuple(reversed(items)))

    def tuple_of_group(self) -> None:
        self.push(tuple(self._group()))

    def append(self) -> None:
        value, target = self._stack.pop(), self._stack[-1]
        if type(target) is not list:
            raise self._wrong("APPEND to what is no list")
        target.append(value)

    def appends(self) -> None:
        values, target = self._group(), self._stack[-1]
        if type(target) is not list:
            raise self._wrong("APPENDS to what is no list")
        target.extend(values)

    def set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def set_items(self) -> None:
        self._set(self._group())

    def _set(self, pairs: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Call) and target.function in self._rules.containers:
            items = target.items
        elif type(target) is dict:
            items = target
        else:
            raise self._wrong("items for what is no dict")
        if len(pairs) % 2:
            raise self._wrong("a key without a value")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # Any other key would have to be hashed, which can be made to last for ever.
            if type(key) is not str and (type(key) is not int or not -_MAX_KEY <= key < _MAX_KEY):
                raise self._wrong("a dict's key that is neither text nor a small whole number")
            if key in items:
                raise self._wrong(f"{ascii(key)[:60]} is there twice")
            items[key] = value

    def put(self, number: int) -> None:
        self._memo[number] = self._stack[-1]

    def memoize(self) -> None:
        self.put(len(self._memo))

    def get(self, number: int) -> None:
        if number not in self._memo:
            raise self._wrong(f"memo {number} was never set")
        self.push(self._memo[number])

    def global_name(self) -> None:
        window = bytes(self._data[self.at : self.at + _MAX_GLOBAL])
        stop = window.find(b"\n", window.find(b"\n") + 1) + 1
        if not stop or window.count(b"\n", 0, stop) != 2:
            raise self._wrong(f"a name that does not end within {len(window)} bytes")
        found = self._globals.get(window[:stop])
        if found is None:
            raise self._forbidden(window[: stop - 1].replace(b"\n", b".").decode("utf-8", "replace"))
        self.at += stop
        self.push(found)

    def stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise self._wrong("a global whose name is no text")
        found = Global(module, name)
        if found not in self._rules.names:
            raise self._forbidden(str(found))
        self.push(found)

    def _forbidden(self, name: str) -> FormatError:
        return self._wrong(f"would run {name[:200]!a}, which no weights need")

    def reduce(self) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Global) or type(args) is not tuple:
            raise self._wrong("a call of what is no function")
        self.push(Call(function, args))

    def build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if not isinstance(target, Call) or target.function not in self._rules.built or target.state is not None:
            raise self._wrong("a state for what has none")
        target.state = state

    def persistent_id(self) -> None:
        if not self._rules.persistent:
            raise self._wrong("a persistent id, which such a file has no use for")
        self.push(Persistent(self._stack.pop()))


def _name_of(opcode: int) -> str:
    return next((one.name for one in pickletools.opcodes if ord(one.code) == opcode), f"0x{opcode:02x}")


_STOP = ord(".")
_OPCODES: dict[int, Callable[[_Machine], None]] = {
    0x80: _Machine.proto,
    0x95: _Machine.frame,
    ord("("): _Machine.mark,
    ord(")"): lambda machine: machine.push(()),
    0x85: lambda machine: machine.tuple_of(1),
    0x86: lambda machine: machine.tuple_of(2),
    0x87: lambda machine: machine.tuple_of(3),
    ord("t"): _Machine.tuple_of_group,
    ord("]"): lambda machine: machine.push([]),
    ord("a"): _Machine.append,
    ord("e"): _Machine.appends,
    ord("}"): lambda machine: machine.push({}),
    ord("s"): _Machine.set_item,
    ord("u"): _Machine.set_items,
    ord("N"): lambda machine: machine.push(None),
    0x88: lambda machine: machine.push(True),
    0x89: lambda machine: machine.push(False),
    ord("K"): lambda machine: machine.push(machine.byte()),
    ord("M"): lambda machine: machine.push(machine.number(_U16)),
    ord("J"): lambda machine: machine.push(machine.number(_I32)),
    0x8A: _Machine.long1,
    ord("G"): lambda machine: machine.push(machine.number(_F64)),
    0x8C: lambda machine: machine.text(machine.byte()),
    ord("X"): lambda machine: machine.text(machine.number(_U32)),
    0x8D: lambda machine: machine.text(machine.number(_U64)),
    ord("U"): lambda machine: machine.string(machine.byte()),
    ord("T"): lambda machine: machine.string(machine.number(_I32)),
    ord("C"): lambda machine: machine.push(machine.take(machine.byte())),
    ord("B"): lambda machine: machine.push(machine.take(machine.number(_U32))),
    0x8E: lambda machine: machine.push(machine.take(machine.number(_U64))),
    ord("q"): lambda machine: machine.put(machine.byte()),
    ord("r"): lambda machine: machine.put(machine.number(_U32)),
    0x94: _Machine.memoize,
    ord("h"): lambda machine: machine.get(machine.byte()),
    ord("j"): lambda machine: machine.get(machine.number(_U32)),
    ord("c"): _Machine.global_name,
    0x93: _Machine.stack_global,
    ord("R"): _Machine.reduce,
    ord("b"): _Machine.build,
    ord("Q"): _Machine.persistent_id,
}
