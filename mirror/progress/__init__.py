"""Progress on stderr: bars on a terminal, plain lines elsewhere.

Transfers tell of every buffer, from many threads; that only adds up numbers. One
thread of our own draws, a few times a second. Nothing is loaded or started before the
first event: a pull with nothing to do shows nothing.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mirror.progress.tally import Tally
    from mirror.sync.outcome import Planned
    from mirror.transfer.events import Progress

    Watch = Callable[[Progress | Planned], None]


@contextmanager
def watching(*, quiet: bool, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> Iterator[Watch]:
    """Show progress on ``stream`` (stderr) while the block runs; nothing when ``quiet``.

    A terminal that calls itself dumb in ``TERM`` gets plain lines: it could not go back to a bar.
    """
    if quiet:
        yield _ignore
        return
    stream = stream or sys.stderr
    show = _Show(stream, bars=stream.isatty() and environ.get("TERM") != "dumb")
    try:
        yield show
    finally:
        show.close()


def _ignore(event: Progress | Planned) -> None:
    """Take no notice of ``event``."""


class _Show:
    """Begins to show at the first event."""

    def __init__(self, stream: TextIO, *, bars: bool) -> None:
        self._stream = stream
        self._bars = bars
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._tally: Tally | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, event: Progress | Planned) -> None:
        tally = self._tally or self._begin()
        tally(event)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> Tally:
        from mirror.progress import draw
        from mirror.progress.tally import Tally

        with self._lock:
            if self._tally is None:
                self._tally = Tally()
                show = draw.draw_bars if self._bars else draw.print_lines
                arguments = (self._tally, self._stop, self._stream)
                self._thread = threading.Thread(target=show, args=arguments, name="progress", daemon=True)
                self._thread.start()
            return self._tally
