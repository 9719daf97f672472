"""Baidu Pan, one host with several interfaces: share pages first, and whatever else is added to it.

No interface offers the bytes behind a share: those are handed over by a person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mirror.upstream.pan_pages import page
from mirror.upstream.pan_shares import Shares

if TYPE_CHECKING:
    from mirror.upstream.host import Place
    from mirror.upstream.http import Answer, Request


class Part(Protocol):
    """One interface of the host: it answers what is its own, and leaves the rest to others."""

    def reply(self, request: Request, place: Place) -> Answer | None:
        """Answer one request; None when it is another part's."""

    def names(self, request: Request) -> list[str]:
        """Return further names under which a fault script may know what is asked for."""


@dataclass(slots=True)
class Pan:
    """The host.

    Attributes:
        shares: Its share pages.
        parts: Its other interfaces, asked in order.
    """

    shares: Shares = field(default_factory=Shares)
    parts: list[Part] = field(default_factory=list)

    def reply(self, request: Request, place: Place) -> Answer:
        """Answer one request."""
        for part in (self.shares, *self.parts):
            if (answer := part.reply(request, place)) is not None:
                return answer
        return page("error-404", "页面不存在", status=404)

    def names(self, request: Request) -> list[str]:
        """Return what a fault script may call a request: its path, and what the parts call it."""
        return [request.path, *(name for part in (self.shares, *self.parts) for name in part.names(request))]
