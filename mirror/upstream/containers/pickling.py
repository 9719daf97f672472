"""Pickle opcodes of protocols 2 and 4, written by hand: names are emitted, nothing is imported.

Memo and frames follow CPython's rules, so the bytes equal those of ``pickle.Pickler`` for the
same objects, identity of repeated strings included.

Source: CPython ``Lib/pickletools.py`` (opcodes), ``Modules/_pickle.c`` (memo, batches, frames).
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Items of a dict that go into one SETITEMS.
_BATCH = 1000
#: Bytes after which a frame ends at the next object; bytes objects of that size stand outside of frames.
_FRAME = 64 << 10
#: A shorter frame has no header.
_SHORTEST_FRAME = 4
_FRAMED, _BINARY = 4, 3


class Pickle:
    """A growing pickle; ``finish`` returns its bytes."""

    def __init__(self, protocol: int = 2) -> None:
        self._protocol = protocol
        self._parts: list[bytes] = [b"\x80%c" % protocol]
        self._frame: list[bytes] = []
        self._frame_size = 0
        self._memo: dict[object, int] = {}
        self._count = 0

    def finish(self) -> bytes:
        """End the pickle and return it."""
        self.raw(b".")
        self._end_frame()
        return b"".join(self._parts)

    def raw(self, opcodes: bytes) -> None:
        """Emit opcodes as they are."""
        self._frame.append(opcodes)
        self._frame_size += len(opcodes)

    def _begin(self) -> None:
        """Say that an object begins here: between two of them, a frame may end."""
        if self._frame_size >= _FRAME:
            self._end_frame()

    def _end_frame(self) -> None:
        if self._protocol >= _FRAMED and self._frame_size >= _SHORTEST_FRAME:
            self._parts.append(b"\x95" + struct.pack("<Q", self._frame_size))
        self._parts += self._frame
        self._frame, self._frame_size = [], 0

    def remember(self, key: object = None) -> None:
        """Put the top of the stack into the memo; ``key`` finds it again."""
        number, self._count = self._count, self._count + 1
        if key is not None:
            self._memo[key] = number
        if self._protocol >= _FRAMED:
            self.raw(b"\x94")
        else:
            self.raw(b"q%c" % number if number < 256 else b"r" + struct.pack("<I", number))

    def recall(self, key: object) -> bool:
        """Get a remembered object; return whether there is one."""
        number = self._memo.get(key)
        if number is None:
            return False
        self._begin()
        self.raw(b"h%c" % number if number < 256 else b"j" + struct.pack("<I", number))
        return True

    def text(self, value: str, *, fresh: bool = False) -> None:
        """Emit a string, or its memo where the same one came before; a ``fresh`` one is always another object."""
        if fresh or not self.recall(("text", value)):
            self._begin()
            data = value.encode("utf-8", "surrogatepass")
            short = self._protocol >= _FRAMED and len(data) < 256
            self.raw((b"\x8c%c" % len(data) if short else b"X" + struct.pack("<I", len(data))) + data)
            self.remember(("text", value))

    def binary(self, value: bytes, *, key: object = None) -> None:
        """Emit bytes, or their memo where ``key`` finds them.

        Protocol 2 has no opcode for them: there they are ``_codecs.encode(text, 'latin1')``.
        """
        if key is not None and self.recall(key):
            return
        if self._protocol < _BINARY:
            self.name("_codecs", "encode")
            self.group([lambda: self._latin1(value), lambda: self.text("latin1")])
            self.call(key)
            return
        self._begin()
        header = b"C%c" % len(value) if len(value) < 256 else b"B" + struct.pack("<I", len(value))
        if len(value) < _FRAME:
            self.raw(header + value)
        else:
            self._end_frame()
            self._parts += [header, value]
        self.remember(key)

    def _latin1(self, data: bytes) -> None:
        """Emit bytes as the UTF-8 of their latin-1 text; never recalled."""
        text = data.decode("latin-1").encode()
        self.raw(b"X" + struct.pack("<I", len(text)))
        self.raw(text)
        self.remember()

    def atom(self, opcode: bytes) -> None:
        """Emit what is one opcode and is not remembered: None, True or False."""
        self._begin()
        self.raw(opcode)

    def number(self, value: int) -> None:
        """Emit an integer of at most 32 bits in its shortest form; larger ones as LONG1."""
        self._begin()
        if 0 <= value < 256:
            self.raw(b"K%c" % value)
        elif 0 <= value < 65536:
            self.raw(b"M" + struct.pack("<H", value))
        elif -(1 << 31) <= value < 1 << 31:
            self.raw(b"J" + struct.pack("<i", value))
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.raw(b"\x8a%c" % len(data) + data)

    def numbers(self, values: tuple[int, ...]) -> None:
        """Emit a tuple of integers."""
        self.group([partial(self.number, value) for value in values])

    def group(self, items: list[Callable[[], None]], *, key: object = None) -> None:
        """Emit a tuple; each item is a call that emits it."""
        self._begin()
        if not items:
            self.raw(b")")
            return
        if len(items) > 3:
            self.raw(b"(")
        for item in items:
            item()
        self.raw({1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(items), b"t"))
        self.remember(key)

    def name(self, module: str, attribute: str) -> None:
        """Emit a global by its name."""
        if self.recall(("global", module, attribute)):
            return
        if self._protocol >= _FRAMED:
            self.text(module)
            self.text(attribute)
            self.raw(b"\x93")
        else:
            self.raw(f"c{module}\n{attribute}\n".encode())
        self.remember(("global", module, attribute))

    def call(self, key: object = None) -> None:
        """Emit a call of the function and argument tuple on the stack."""
        self.raw(b"R")
        self.remember(key)

    def texts(self, values: list[str]) -> None:
        """Emit a list of strings, no more than one batch of them."""
        self._begin()
        self.raw(b"]")
        self.remember()
        if len(values) > 1:
            self.raw(b"(")
        for value in values:
            self.text(value)
        self.raw({0: b"", 1: b"a"}.get(len(values), b"e"))

    def mapping(self, pairs: Iterable[tuple[str, Callable[[], None]]]) -> None:
        """Emit a dict; each value is a call that emits it."""
        self._begin()
        self.raw(b"}")
        self.remember()
        self.items(pairs)

    def items(self, pairs: Iterable[tuple[str, Callable[[], None]]]) -> None:
        """Emit the items of the dict on the stack, in CPython's batches."""
        waiting = list(pairs)
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            if len(batch) > 1:
                self.raw(b"(")
            for name, emit in batch:
                self.text(name)
                emit()
            self.raw(b"u" if len(batch) > 1 else b"s")
