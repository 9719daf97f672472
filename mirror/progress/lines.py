"""One line of progress as text, in as many columns as there are: rules only.

What a person looks for gives way last: first the name is shortened, then the sizes go; how
far it is and whether it moves stay.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from mirror.progress.tally import Row, Tally

#: Columns of a file's name: at most, and what a long note leaves it.
_NAME, _SHORT_NAME = 40, 14
#: Columns below which sizes are left out.
_SIZES_FROM = 56
#: Columns of ``99.9M/10.0G`` and of `` 189kB/s  ETA 1:02:33``.
_SIZES, _PACE = 11, 21
#: Seconds that what is known of the pace goes back.
_MEMORY = 5.0
#: A longer wait says only that it is long.
_LONGEST = 100 * 3600


class Pace:
    """Bytes a second of late: what came long ago counts less and less."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._bytes = self._seconds = 0.0

    def at(self, now: float, done: int) -> float:
        """Return the pace after ``done`` bytes at the time ``now``; 0 before anything is known."""
        if self._last is None or done < self._last[1]:  # started over
            self._bytes = self._seconds = 0.0
        else:
            elapsed, came = now - self._last[0], done - self._last[1]
            fade = math.exp(-elapsed / _MEMORY)
            self._bytes, self._seconds = self._bytes * fade + came, self._seconds * fade + elapsed
        self._last = (now, done)
        return self._bytes / self._seconds if self._seconds else 0.0


def file_line(row: Row, pace: float, now: float, columns: int) -> str:
    """Return the line of one file; it is shorter than ``columns``."""
    return _line(row.name, row.done, row.size, pace, row.note(now), columns)


def total_line(tally: Tally, pace: float, note: str, columns: int) -> str:
    """Return the line of all files together, likewise; ``note`` is empty while any of them moves."""
    return _line(f"{tally.finished}/{tally.files} files", tally.done, tally.total, pace, note, columns)


def _line(name: str, done: int, total: int | None, pace: float, note: str, columns: int) -> str:
    columns -= 1  # a sign in the last one makes some terminals go to the next line
    percent = f"{min(100, 100 * done // total):3d}%" if total else "    "
    sizes = f"  {_size(done)}/{_size(total) if total else '?'}".rjust(_SIZES + 2) if columns >= _SIZES_FROM else ""
    room = columns - len(percent) - len(sizes) - 4
    least = min(len(name), _SHORT_NAME, max(0, room - _PACE))
    last = note or (f"{_size(pace)}B/s".rjust(8) + _eta(done, total, pace) if pace else "")
    last = _cut(last, max(_PACE, room - least)).ljust(_PACE)
    width = max(0, min(_NAME, room - len(last)))
    return f"{_shortened(name, width):<{width}}  {percent}{sizes}  {last}"[:columns]


def _shortened(name: str, width: int) -> str:
    """Return a name of at most ``width`` columns; a long one loses its middle: whose file it is says as much."""
    if len(name) <= width:
        return name
    front = max(0, width - 1) // 2
    return f"{name[:front]}…{name[len(name) - (width - 1 - front) :]}" if width else ""


def _size(count: float) -> str:
    return str(tqdm.format_sizeof(count, divisor=1024)) if count >= 1000 else f"{count:.0f}"


def _eta(done: int, total: int | None, pace: float) -> str:
    if not total or not pace or done >= total:
        return ""
    seconds = (total - done) / pace
    return f"  ETA {tqdm.format_interval(seconds)}" if seconds < _LONGEST else "  ETA days"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
