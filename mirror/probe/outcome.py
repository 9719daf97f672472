"""What a probe says of one share."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.sources.shares.entries import Listed


class Outcome(StrEnum):
    """What came of asking; compares equal to its word."""

    ALIVE = "alive"
    DEAD = "dead"
    WRONG_CODE = "wrong code"
    CAPTCHA = "captcha"
    NETWORK = "network"
    NOT_ASKED = "not asked"

    @property
    def settled(self) -> bool:
        """Whether asking again soon would bring the same."""
        return self in {Outcome.ALIVE, Outcome.DEAD, Outcome.WRONG_CODE}


class Clock(NamedTuple):
    """Time, as a probe sees it.

    Attributes:
        now: The time, aware.
        monotonic: Seconds that never go back.
        sleep: Waits so many seconds.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Probed(NamedTuple):
    """One share, as a probe found it.

    Attributes:
        artifact: Name of the artifact whose share it is.
        host: Host and port that were asked, or would be.
        share: Its id, without the ``1``.
        outcome: What came of it.
        why: The same in words; empty of a living share.
        at: When it was asked, aware; None where it was not.
        route: ``web`` or ``wxlist``: which way the answer came; None where there was none.
        files: Every file of it with its size; None where the listing is not known whole.
        cached: Whether the answer is the ledger's, of less than a day ago.
    """

    artifact: str
    host: str
    share: str
    outcome: Outcome
    why: str = ""
    at: datetime | None = None
    route: str | None = None
    files: tuple[Listed, ...] | None = None
    cached: bool = False

    @property
    def sizes(self) -> dict[str, int] | None:
        """Bytes of each file by its path in the share; None where the listing is not known whole."""
        return None if self.files is None else {file.path: file.size for file in self.files}
