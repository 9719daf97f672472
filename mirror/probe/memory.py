"""What earlier probes found, from the events of the ledger; the last word on each share.

An event names the share by its id. No code, no cookie and no proof of a code is in it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mirror.errors import UsageError
from mirror.model import Event
from mirror.probe.outcome import Outcome, Probed
from mirror.sources.shares.entries import Listed
from mirror.sources.shares.link import Link

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from mirror.catalog import Artifact
    from mirror.ledger import Reader

KIND = "probed"


def as_event(one: Probed) -> Event:
    """Return the event of a probe that asked."""
    detail = {
        "artifact": one.artifact,
        "host": one.host,
        "share": one.share,
        "outcome": one.outcome.value,
        "why": one.why,
        "route": one.route,
        # As text: readers of JSON elsewhere hold numbers as floating point, and these do not fit.
        "files": None
        if one.files is None
        else [{"path": file.path, "size": file.size, "fs_id": str(file.fs_id)} for file in one.files],
    }
    return Event(KIND, one.artifact, detail, at="" if one.at is None else one.at.astimezone(UTC).isoformat())


def _as_probed(event: Event) -> Probed:
    said, files = event.detail, event.detail["files"]
    listed = None if files is None else tuple(Listed(one["path"], one["size"], int(one["fs_id"])) for one in files)
    return Probed(
        said["artifact"],
        said["host"],
        said["share"],
        Outcome(said["outcome"]),
        said["why"],
        datetime.fromisoformat(event.at),
        said["route"],
        listed,
        cached=True,
    )


class Memory:
    """The last answers, by host and share.

    Args:
        found: What was found, oldest first.

    Attributes:
        asked: When the last request of all ended, whatever came of it; None when there was none.
    """

    def __init__(self, found: Iterable[Probed] = ()) -> None:
        self.asked: datetime | None = None
        self._settled: dict[tuple[str, str], Probed] = {}
        self._captchas: dict[str, Probed] = {}
        for one in found:
            self.add(one)

    @classmethod
    def of(cls, reader: Reader | None) -> Memory:
        """Return what a ledger remembers; nothing where there is none.

        Raises:
            LedgerError: It cannot be read.
        """
        return cls(_as_probed(entry.event) for entry in reader.events(kind=KIND)) if reader is not None else cls()

    def add(self, one: Probed) -> None:
        """Take in one more answer."""
        self.asked = one.at
        if one.outcome.settled:
            self._settled[one.host, one.share] = one
        elif one.outcome is Outcome.CAPTCHA:
            self._captchas[one.host] = one

    def last(self, link: Link) -> Probed | None:
        """Return the last settled answer of a share, however old."""
        return self._settled.get((link.host, link.surl))

    def of_artifact(self, artifact: Artifact) -> Probed | None:
        """Return the same of an artifact's share; None where it has none that a probe would ask."""
        try:
            return self.last(Link.of(artifact.url)) if artifact.url is not None else None
        except UsageError:
            return None  # a person can open what no probe would ask

    def fresh(self, link: Link, now: datetime, age: timedelta) -> Probed | None:
        """Return the last settled answer of a share if it is younger than ``age``."""
        return _younger(self.last(link), now, age)

    def captcha(self, link: Link, now: datetime, age: timedelta) -> Probed | None:
        """Return the last captcha of a share's host if it is younger than ``age``."""
        return _younger(self._captchas.get(link.host), now, age)


def _younger(one: Probed | None, now: datetime, age: timedelta) -> Probed | None:
    # An answer from the future is a clock that was put back, and as good as none.
    return one if one is not None and one.at is not None and now - age < one.at <= now else None
