"""Events of transfers to bars on a terminal, and to plain lines elsewhere.

Transfers tell of every buffer, from many threads; here that only adds up numbers.
One thread of our own draws, a few times a second.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from mirror.sync.outcome import Planned
from mirror.transfer.events import Advanced, Done, Failed, Progress, Restarted, Started, Waiting

if TYPE_CHECKING:
    from tqdm import tqdm

Watch = Callable[[Progress | Planned], None]

#: Files that get a bar of their own, at once.
_BARS = 6
#: Smaller files come and go too fast for a bar.
_BAR_FROM = 4 << 20
#: Seconds without a byte before it is said.
_SILENCE = 3.0
_DRAW_EVERY = 0.2
_LINE_EVERY = 10.0


@dataclass(slots=True)
class _Row:
    """What is known of one file under way."""

    name: str
    size: int | None
    done: int
    heard: float
    wait: str = ""

    def note(self, now: float) -> str:
        """Return what a person should know: a pause that was asked for, or silence."""
        if self.wait:
            return self.wait
        silent = now - self.heard
        return f"no data for {silent:.0f} s" if silent >= _SILENCE else ""


class Tally:
    """Adds up what the transfers tell; safe from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.files = self.finished = self.failed = 0
        self.total = self.done = 0
        self.rows: dict[str, _Row] = {}
        self.lock = threading.Lock()
        self._clock = clock

    def __call__(self, event: Progress | Planned) -> None:
        """Take in one event."""
        with self.lock:
            if isinstance(event, Planned):
                self.files, self.total = event.files, event.bytes
            elif isinstance(event, Started):
                self.rows[str(event.file)] = _Row(str(event.file), event.size, event.held, self._clock())
                self.done += event.held
                if event.file.size is None:
                    self.total += event.size or 0
            else:
                self._later(event)

    def _later(self, event: Advanced | Waiting | Restarted | Done | Failed) -> None:
        row = self.rows.get(str(event.file))
        if row is not None and isinstance(event, Advanced):
            row.done += event.bytes
            row.heard, row.wait = self._clock(), ""
            self.done += event.bytes
        elif row is not None and isinstance(event, Restarted):
            self.done -= row.done
            row.done, row.wait = 0, event.why
        elif row is not None and isinstance(event, Waiting):
            row.wait = f"waits {event.seconds:.0f} s: {event.why}"
        elif isinstance(event, Done | Failed):
            self.rows.pop(str(event.file), None)
            self.finished += 1
            self.failed += isinstance(event, Failed)


@contextmanager
def watching(*, quiet: bool, stream: TextIO | None = None) -> Iterator[Watch]:
    """Show progress on ``stream`` (stderr) while the block runs; nothing when ``quiet``."""
    if quiet:
        yield _ignore
        return
    stream = stream or sys.stderr
    tally, stop = Tally(), threading.Event()
    draw = _draw_bars if stream.isatty() else _print_lines
    thread = threading.Thread(target=draw, args=(tally, stop, stream), name="progress", daemon=True)
    thread.start()
    try:
        yield tally
    finally:
        stop.set()
        thread.join()


def _ignore(event: Progress | Planned) -> None:
    """Take no notice of ``event``."""


def _print_lines(tally: Tally, stop: threading.Event, stream: TextIO) -> None:
    """Say now and then, in a whole line, how far it is: for logs."""
    while not stop.wait(_LINE_EVERY):
        now = time.monotonic()
        with tally.lock:
            notes = [f"{row.name}: {row.note(now)}" for row in tally.rows.values() if row.note(now)]
            line = f"{tally.finished}/{tally.files} files, {tally.done / 2**20:.1f}/{tally.total / 2**20:.1f} MiB"
        print("; ".join([line, *notes[:3]]), file=stream, flush=True)


def _draw_bars(tally: Tally, stop: threading.Event, stream: TextIO) -> None:
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
            overall.total, overall.n = tally.total or None, tally.done
            overall.set_description_str(f"{tally.finished}/{tally.files} files", refresh=False)
            quietest = max((row.heard for row in tally.rows.values()), default=time.monotonic())
            silent = time.monotonic() - quietest
            overall.set_postfix_str(f"no data for {silent:.0f} s" if silent >= _SILENCE else "", refresh=False)
            _match_bars(bars, rows, stream)
        overall.refresh()
    for bar in (*bars.values(), overall):
        bar.close()


def _match_bars(bars: dict[str, tqdm[Any]], rows: list[_Row], stream: TextIO) -> None:
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
                desc=row.name[-40:],
                leave=False,
                dynamic_ncols=True,
            )
        bar.total, bar.n = row.size, row.done
        bar.set_postfix_str(row.note(time.monotonic()), refresh=False)
        bar.refresh()
