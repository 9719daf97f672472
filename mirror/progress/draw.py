"""A tally to bars on a terminal, and to plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TextIO

from mirror.progress.tally import SILENCE, Row, Tally

if TYPE_CHECKING:
    import threading

    from tqdm import tqdm

#: Files that get a bar of their own, at once.
_BARS = 6
#: Smaller files come and go too fast for a bar.
_BAR_FROM = 4 << 20
_DRAW_EVERY = 0.2
#: Columns of a file's name; its end says most.
_NAME = 40
_LINE_EVERY = 10.0


def print_lines(tally: Tally, stop: threading.Event, stream: TextIO) -> None:
    """Say now and then, in a whole line, how far it is: for logs."""
    while not stop.wait(_LINE_EVERY):
        now = time.monotonic()
        with tally.lock:
            notes = [f"{row.name}: {row.note(now)}" for row in tally.rows.values() if row.note(now)]
            line = f"{tally.finished}/{tally.files} files, {tally.done / 2**20:.1f}/{tally.total / 2**20:.1f} MiB"
        print("; ".join([line, *notes[:3]]), file=stream, flush=True)


def draw_bars(tally: Tally, stop: threading.Event, stream: TextIO) -> None:
    """Keep a bar for all and one for each large file until ``stop`` is set."""
    from tqdm import tqdm

    overall: tqdm[Any] = tqdm(
        total=0,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        file=stream,
        desc="all",
        leave=False,
        position=0,
        dynamic_ncols=True,
    )
    bars: dict[str, tqdm[Any]] = {}
    while not stop.wait(_DRAW_EVERY):
        with tally.lock:
            rows = [row for row in tally.rows.values() if (row.size or _BAR_FROM) >= _BAR_FROM][:_BARS]
            # What was here before is not this connection's doing: the rate leaves it out.
            overall.total, overall.n, overall.initial = tally.total or None, tally.done, tally.resumed
            overall.set_description_str(f"{tally.finished}/{tally.files} files", refresh=False)
            quietest = max((row.heard for row in tally.rows.values()), default=time.monotonic())
            silent = time.monotonic() - quietest
            overall.set_postfix_str(f"no data for {silent:.0f} s" if silent >= SILENCE else "", refresh=False)
            _match_bars(bars, rows, stream)
        overall.refresh()
    for bar in (*bars.values(), overall):
        bar.close()


def _match_bars(bars: dict[str, tqdm[Any]], rows: list[Row], stream: TextIO) -> None:
    """Close bars of files that are gone, open those of new ones, bring all up to date."""
    from tqdm import tqdm

    names = {row.name for row in rows}
    for name in [name for name in bars if name not in names]:
        bars.pop(name).close()
    for row in rows:
        bar = bars.get(row.name)
        if bar is None:
            bar = bars[row.name] = tqdm(
                total=row.size,
                initial=row.done,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                file=stream,
                desc=row.name if len(row.name) <= _NAME else f"…{row.name[1 - _NAME :]}",
                leave=False,
                dynamic_ncols=True,
            )
        bar.total, bar.n = row.size, row.done
        bar.set_postfix_str(row.note(time.monotonic()), refresh=False)
        bar.refresh()
