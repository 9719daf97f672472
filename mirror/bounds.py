"""How much JSON from elsewhere may hold, counted before anything is made of it.

Brackets and commas are counted wherever they stand, in text as well: a list of empty lists is
thirty to sixty times as large in memory as in its file.
"""

from __future__ import annotations

from typing import NamedTuple

_SIGNS = ((b"{", "objects"), (b"[", "lists"), (b",", "values"))


class Bounds(NamedTuple):
    """What a text may have at the most.

    Attributes:
        size: Bytes, decoded.
        objects: Opening braces.
        lists: Opening brackets.
        values: Commas.
    """

    size: int
    objects: int
    lists: int
    values: int

    def excess(self, data: bytes | bytearray) -> tuple[int, str] | None:
        """Return how many there are of the first kind that there is too much of; None when there is none."""
        counts = ((data.count(sign), kind) for sign, kind in _SIGNS)
        return next(((count, kind) for count, kind in counts if count > getattr(self, kind)), None)
