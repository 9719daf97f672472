"""What transfers tell, added up: safe from many threads, cheap enough for every buffer."""

from __future__ import annotations

import math
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mirror.sync.outcome import Planned
from mirror.transfer.events import Advanced, Done, Failed, Progress, Restarted, Started, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds without a byte before it is said.
SILENCE = 3.0


@dataclass(slots=True)
class Row:
    """What is known of one file under way.

    Attributes:
        name: Artifact and path.
        size: Its bytes, where known.
        done: Bytes that are here.
        heard: When the last of them came.
        why: What happened to it last.
        until: When that is no news any more.
        waits: Whether nothing is asked until then.
    """

    name: str
    size: int | None
    done: int
    heard: float
    why: str = ""
    until: float = 0.0
    waits: bool = False

    def note(self, now: float) -> str:
        """Return what a person should know: a pause and its reason, a new beginning, or silence."""
        if now < self.until:
            return f"waits {math.ceil(self.until - now)} s: {self.why}" if self.waits else self.why
        silent = now - self.heard
        return f"no data for {silent:.0f} s" if silent >= SILENCE else ""


class Tally:
    """Adds up what the transfers tell; safe from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.files = self.finished = self.failed = 0
        self.total = self.done = self.resumed = 0
        self.rows: dict[str, Row] = {}
        self.lock = threading.Lock()
        self._clock = clock

    def __call__(self, event: Progress | Planned) -> None:
        """Take in one event."""
        with self.lock:
            if isinstance(event, Planned):
                self.files, self.total = event.files, event.bytes
            elif isinstance(event, Started):
                self.rows[str(event.file)] = Row(str(event.file), event.size, event.held, self._clock())
                self.done += event.held
                self.resumed += event.held
                if event.file.size is None:
                    self.total += event.size or 0
            else:
                if isinstance(event, Waiting) and str(event.file) not in self.rows:  # before its first byte
                    self.rows[str(event.file)] = Row(str(event.file), event.file.size, 0, self._clock())
                self._later(event)

    def _later(self, event: Advanced | Waiting | Restarted | Done | Failed) -> None:
        row = self.rows.get(str(event.file))
        if row is not None and isinstance(event, Advanced):
            row.done += event.bytes
            row.heard, row.until = self._clock(), 0.0
            self.done += event.bytes
        elif row is not None and isinstance(event, Restarted):
            self.done -= row.done
            row.done, row.why, row.until, row.waits = 0, event.why, self._clock() + SILENCE, False
        elif row is not None and isinstance(event, Waiting):
            # The address is the file's own: what was wrong with it says more.
            why = re.sub(r"^\w+://\S+: ", "", event.why)
            row.why, row.until, row.waits = why, self._clock() + event.seconds, True
        elif isinstance(event, Done | Failed):
            self.rows.pop(str(event.file), None)
            self.finished += 1
            self.failed += isinstance(event, Failed)
