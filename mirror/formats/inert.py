"""What a pickle describes, as values that do nothing.

What unpickling would import is a ``Global``, what it would call a ``Call``; nobody follows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Set


class Global(NamedTuple):
    """A name that unpickling would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Persistent(NamedTuple):
    """An id that unpickling would hand to its caller."""

    id: Any


class LongText(NamedTuple):
    """A long string, as the UTF-8 that it is in the file."""

    utf8: memoryview


class Call:
    """What unpickling would call, and what it would do with the result.

    Attributes:
        function: What would be called.
        args: With what.
        items: Items that would be set.
        state: What would be handed to ``__setstate__`` or set as attributes; None when nothing.
    """

    __slots__ = ("args", "function", "items", "state")

    def __init__(self, function: Global, args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.items: dict[str | int, Any] = {}
        self.state: Any = None


class Rules(NamedTuple):
    """What one kind of file may have in its pickles.

    Attributes:
        names: What may be imported.
        containers: Of these, what makes a dict: its items may be set.
        built: Of these, what may get a state.
        persistent: Whether there may be persistent ids.
        opcodes: How many there may be: as many as 20,000 tensors take, and less than a second's work.
    """

    names: Set[Global]
    containers: Set[Global]
    built: Set[Global]
    persistent: bool = False
    opcodes: int = 700_000
