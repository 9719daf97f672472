"""Protocol-2 pickle opcodes, written by hand: names are emitted, nothing is imported.

The memo follows CPython's rules, so the bytes equal those of ``pickle.Pickler`` for the
same objects, identity of repeated strings included.

Source: CPython ``Lib/pickletools.py`` (opcodes), ``Modules/_pickle.c`` (memo, batches).
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Items of a dict that go into one SETITEMS.
_BATCH = 1000


class Pickle:
    """A growing pickle; ``finish`` returns its bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = [b"\x80\x02"]
        self._memo: dict[object, int] = {}
        self._count = 0

    def finish(self) -> bytes:
        """End the pickle and return it."""
        return b"".join([*self._parts, b"."])

    def raw(self, opcodes: bytes) -> None:
        """Emit opcodes as they are."""
        self._parts.append(opcodes)

    def remember(self, key: object = None) -> None:
        """Put the top of the stack into the memo; ``key`` finds it again."""
        number, self._count = self._count, self._count + 1
        if key is not None:
            self._memo[key] = number
        self.raw(b"q%c" % number if number < 256 else b"r" + struct.pack("<I", number))

    def recall(self, key: object) -> bool:
        """Get a remembered object; return whether there is one."""
        number = self._memo.get(key)
        if number is None:
            return False
        self.raw(b"h%c" % number if number < 256 else b"j" + struct.pack("<I", number))
        return True

    def text(self, value: str) -> None:
        """Emit a string, or its memo where the same one came before."""
        if not self.recall(("text", value)):
            data = value.encode("utf-8", "surrogatepass")
            self.raw(b"X" + struct.pack("<I", len(data)) + data)
            self.remember(("text", value))

    def latin1(self, data: bytes) -> None:
        """Emit bytes as the UTF-8 of their latin-1 text, as protocol 2 must; never recalled."""
        text = data.decode("latin-1").encode()
        self.raw(b"X" + struct.pack("<I", len(text)))
        self.raw(text)
        self.remember()

    def number(self, value: int) -> None:
        """Emit an integer of at most 32 bits in its shortest form; larger ones as LONG1."""
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
        if not self.recall(("global", module, attribute)):
            self.raw(f"c{module}\n{attribute}\n".encode())
            self.remember(("global", module, attribute))

    def call(self, key: object = None) -> None:
        """Emit a call of the function and argument tuple on the stack."""
        self.raw(b"R")
        self.remember(key)

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
