"""A tally to bars on a terminal, and to plain lines elsewhere."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from mirror.progress.tally import SILENCE, Row, Tally

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection

    from tqdm import tqdm

#: Files that get a line of their own, at once.
_BARS = 6
#: Smaller files come and go too fast for a line.
_BAR_FROM = 4 << 20
_DRAW_EVERY = 0.2
#: Columns that must be left over behind a line for a bar to be worth it.
_WIDE_ENOUGH = 16
#: Columns where nobody says how many there are.
_COLUMNS = 80
_LINE_EVERY = 10.0


class _Line(NamedTuple):
    """A text, and the numbers for a bar behind it."""

    text: str
    done: int
    size: int | None


def print_lines(tally: Tally, stop: threading.Event, stream: TextIO) -> None:
    """Say now and then, in a whole line, how far it is: for logs."""
    while not stop.wait(_LINE_EVERY):
        now = time.monotonic()
        with tally.lock:
            notes = [f"{row.name}: {row.note(now)}" for row in tally.rows.values() if row.note(now)]
            line = f"{tally.finished}/{tally.files} files, {tally.done / 2**20:.1f}/{tally.total / 2**20:.1f} MiB"
        print("; ".join([line, *notes[:3]]), file=stream, flush=True)


def draw_bars(tally: Tally, stop: threading.Event, stream: TextIO) -> None:
    """Keep a line for all and one for each large, or silent, file until ``stop`` is set."""
    from mirror.progress.lines import Pace, file_line, total_line

    bars: list[tqdm[Any]] = []
    paces: dict[str, Pace] = {}
    while not stop.wait(_DRAW_EVERY):
        now, columns = time.monotonic(), _columns(stream)
        with tally.lock:
            rows = shown(tally.rows.values(), now)
            paces = {row.name: paces.get(row.name) or Pace() for row in rows} | {"": paces.get("") or Pace()}
            # What was here before is not this connection's doing: the pace leaves it out.
            pace = paces[""].at(now, tally.done - tally.resumed)
            lines = [_Line(total_line(tally, pace, _silence(tally, now), columns), tally.done, tally.total)]
            lines += [
                _Line(file_line(row, paces[row.name].at(now, row.done), now, columns), row.done, row.size)
                for row in rows
            ]
        _draw(bars, lines, columns, stream)
    for bar in reversed(bars):
        bar.close()


def shown(rows: Collection[Row], now: float) -> list[Row]:
    """Return the files that get a line, in their order: who has something to say first of all, then large ones."""
    telling = [row for row in rows if row.note(now)]
    large = [row for row in rows if (row.size or _BAR_FROM) >= _BAR_FROM and not row.note(now)]
    names = {row.name for row in (*telling, *large)[:_BARS]}
    return [row for row in rows if row.name in names]


def _silence(tally: Tally, now: float) -> str:
    """Return what to say when no file at all moves."""
    silent = now - max((row.heard for row in tally.rows.values()), default=now)
    return f"no data for {silent:.0f} s" if silent >= SILENCE else ""


def _draw(bars: list[tqdm[Any]], lines: list[_Line], columns: int, stream: TextIO) -> None:
    """Show texts, one below the other, with a bar behind them where there is room; what is no more needed is empty."""
    from tqdm import tqdm

    while len(bars) < len(lines):
        bars.append(tqdm(file=stream, leave=False, position=len(bars), dynamic_ncols=True, bar_format="{desc}"))
    for number, bar in enumerate(bars):
        text, bar.n, bar.total = lines[number] if number < len(lines) else _Line("", 0, None)
        bar.bar_format = "{desc} |{bar}|" if text and columns - len(text) >= _WIDE_ENOUGH else "{desc}"
        bar.set_description_str(text, refresh=False)
        bar.refresh()


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except OSError:  # a terminal that has no size
        return _COLUMNS
