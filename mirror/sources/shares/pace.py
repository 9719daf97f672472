"""One request after the other, never two at once, and never two within a second."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds from the end of one request to the beginning of the next. More than 60 links a minute bring captchas.
GAP = 1.0


class Pace:
    """The turns of one run.

    Args:
        monotonic: A clock that never goes back, in seconds.
        sleep: Waits so many seconds.
        rest: Seconds until the first turn: what is left of the gap after an earlier run.
    """

    def __init__(self, monotonic: Callable[[], float], sleep: Callable[[float], None], rest: float = 0.0) -> None:
        self.monotonic = monotonic
        self._sleep = sleep
        self._free_at = monotonic() + rest

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until it is polite to ask, for the length of one request."""
        if (left := self._free_at - self.monotonic()) > 0:
            self._sleep(left)
        try:
            yield
        finally:
            self._free_at = self.monotonic() + GAP
