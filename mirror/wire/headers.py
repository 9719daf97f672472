"""Header fields of one message, whatever held them before.

Names are compared without case, a field that comes several times keeps every value
in the order it came (RFC 9110 §5.2), and nothing here raises on what a host sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias


class Fields:
    """The header fields of one message.

    Args:
        headers: A mapping, or pairs of name and value; repeated names are kept.
    """

    __slots__ = ("_pairs", "_values")

    def __init__(self, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        self._pairs = [(name.lower(), value) for name, value in pairs]
        self._values: dict[str, list[str]] = {}
        for name, value in self._pairs:
            if name in self._values:
                self._values[name].append(value)
            else:
                self._values[name] = [value]

    def all(self, name: str) -> list[str]:
        """Return every value of the field ``name`` (lower case), in order; none when it is absent."""
        return self._values.get(name, [])

    def only(self, name: str) -> str | None:
        """Return the one value of ``name``; None when it is absent or says two things."""
        values = self._values.get(name)
        if values is None or (len(values) > 1 and len(set(values)) > 1):
            return None
        return values[0].strip()

    def names(self) -> Iterable[str]:
        """Return the names, in lower case."""
        return self._values.keys()

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)


#: What the rules of this room accept as headers.
HeaderSource: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | Fields


def fields(headers: HeaderSource) -> Fields:
    """Return ``headers`` as ``Fields``; the same object when they are that already."""
    return headers if isinstance(headers, Fields) else Fields(headers)
