"""Links for the files of one run: a hundred for one call, kept in memory, asked again when they grow old."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import BaiduError, RemovedError
from mirror.sources.baidu_open.files import BATCH
from mirror.sources.baidu_open.words import Remedy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirror.drive.session import Session
    from mirror.sources.baidu_open.files import Entry

#: Seconds after which a link is not begun with any more; Baidu says that it lives for eight hours.
_OLD = 3600.0


class Link(NamedTuple):
    """A link, and what Baidu said of the file with it.

    Attributes:
        entry: The file.
        address: Secret; empty where Baidu gives none.
        at: When it was made.
    """

    entry: Entry
    address: str
    at: float


class Links:
    """Gives links.

    Args:
        session: Asks for them.
        wanted: Every file that will need one, in that order.
    """

    def __init__(self, session: Session, wanted: Sequence[Entry]) -> None:
        self._session = session
        self._wanted = list(wanted)
        self._known: dict[int, Link | None] = {}

    def of(self, entry: Entry) -> Link:
        """Return a link that may be begun with.

        Raises:
            RemovedError: Baidu gives none.
            BaiduError: The file is gone; or all that ``Session.links`` raises.
        """
        known = self._known.get(entry.fs_id)
        if known is None or self._session.now() - known.at >= _OLD:
            self._ask(entry)
            known = self._known[entry.fs_id]
        if known is None:
            raise BaiduError(f"{entry.path}: it is gone from the disk", code=-9, remedy=Remedy.STOP)
        if not known.address:
            raise RemovedError(f"{entry.path}: Baidu gives no link to it", remedy=Remedy.REMOVED)
        return known

    def drop(self, entry: Entry) -> None:
        """Forget a link that is of no use, and those that came with it."""
        known = self._known.get(entry.fs_id)
        at = known.at if known is not None else self._session.now()
        self._known = {number: link for number, link in self._known.items() if link is not None and link.at > at}

    def done(self, entry: Entry) -> None:
        """Note that a file needs no link any more."""
        self._wanted = [one for one in self._wanted if one.fs_id != entry.fs_id]

    def _ask(self, entry: Entry) -> None:
        """Ask for the link of a file, and of those that follow."""
        others = [one for one in self._wanted if one.fs_id != entry.fs_id and one.fs_id not in self._known]
        batch = [entry, *others][:BATCH]
        found, at = self._session.links(batch), self._session.now()
        for one in batch:
            given = found.get(one.fs_id)
            self._known[one.fs_id] = Link(given[0], given[1], at) if given is not None else None
