"""The two ways to ask a share what it holds: as its own page does, and as a mini program does.

The first is taken; the second where the first fails for a reason that says nothing of the share
and is no captcha. What one of them settles, or stops, is never asked again by the other.

Source: client code of several projects; Baidu documents neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import SourceError, WrongCodeError
from mirror.sources.shares.answers import Meaning, number, said
from mirror.sources.shares.entries import entries
from mirror.sources.shares.page import PageState, parse_page
from mirror.sources.shares.visit import Visit
from mirror.sources.shares.walk import Part, TooLargeError, walk
from mirror.wire.pan import ShareSecret

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

    from mirror.sources.shares.entries import Listed
    from mirror.sources.shares.link import Link
    from mirror.sources.shares.pace import Pace
    from mirror.sources.shares.page import SharePage

_WEB = {"web": "1", "channel": "chunlei", "app_id": "250528", "bdstoken": "", "clienttype": "0"}
_MINI = {"channel": "weixin", "version": "2.2.2", "clienttype": "25", "web": "1"}
#: Pages are cut at a hundred whatever is asked for; by time, since some pages by name are refused.
_ORDER = {"num": "100", "order": "time", "desc": "1", "showempty": "0"}


class Shown(NamedTuple):
    """What a living share shows.

    Attributes:
        route: ``web`` or ``wxlist``: who was asked.
        files: Every file of it; None where there are too many to ask for.
    """

    route: str
    files: tuple[Listed, ...] | None


def ask_share(client: httpx2.Client, link: Link, code: str | None, pace: Pace) -> Shown:
    """Ask what a share holds.

    Args:
        client: Sends requests.
        link: The share.
        code: Its extraction code, where it has one.
        pace: Says when.

    Raises:
        DeadShareError: It is gone.
        WrongCodeError: It wants another code.
        CaptchaError: The host wants to see a person; nothing more should be asked of it.
        SourceError: Nobody answers, or what comes cannot be understood.
    """
    page = _ByPage(Visit(client, link, pace), code)
    try:
        return _shown("web", page.listed)
    except SourceError as error:
        first = _named(error, link)
        if not page.visit.answered:
            raise first from error  # nobody is there, by whichever way
    mini = _ByMiniProgram(Visit(client, link, pace, {"ndut_fmt": ""}), code)
    try:
        return _shown("wxlist", mini.listed)
    except SourceError as error:
        second = str(error).removeprefix(f"{link.page}: ")
        raise SourceError(f"{first}; asked another way: {second}", hint=first.hint) from error


def _shown(route: str, listed: Callable[[], tuple[Listed, ...]]) -> Shown:
    try:
        return Shown(route, listed())
    except TooLargeError:
        return Shown(route, None)


def _named(error: SourceError, link: Link) -> SourceError:
    """Return ``error`` with the share it is about."""
    text = str(error)
    if not text.startswith(link.base):
        error.args = (f"{link.page}: {text}",)
    return error


class _ByPage:
    """As the share's own page asks: page, code, listing.

    Args:
        visit: Sends requests.
        code: The extraction code.
    """

    def __init__(self, visit: Visit, code: str | None) -> None:
        self.visit = visit
        self._code = code
        self._ids: tuple[int, int] | None = None
        self._root: set[int] = set()

    def listed(self) -> tuple[Listed, ...]:
        page = self._page()
        if page.state is PageState.LOCKED:
            self._unlock()
        self._ids = page.ids
        found = walk(self._ask)
        if not {entry.fs_id for entry in page.shown} <= self._root:
            raise SourceError("the listing lacks what the page shows")
        return found

    def _page(self) -> SharePage:
        got = self.visit.page()
        page = parse_page(got.body, got.path)
        if got.status != 200 and page.said.meaning in {Meaning.FINE, Meaning.TROUBLE}:
            raise self.visit.refusal(got)
        if page.state is PageState.CLOSED:
            raise page.said.error(self.visit.link.page)
        return page

    def _unlock(self) -> None:
        """Show the code, and keep the proof that it was accepted."""
        link = self.visit.link
        if self._code is None:
            raise WrongCodeError(f"{link.page}: it wants an extraction code, and the catalog has none")
        form = {"pwd": self._code, "vcode": "", "vcode_str": ""}
        init = f"/share/init?surl={link.surl}"
        reply = self.visit.call("/share/verify", {"surl": link.surl, **_WEB}, form, referer=init)
        verdict = said(reply)
        if verdict.meaning is not Meaning.FINE:
            raise verdict.error(link.page)
        if "randsk" in reply:
            try:
                self.visit.prove(ShareSecret.from_randsk(str(reply["randsk"])))
            except ValueError as error:
                raise SourceError(str(error)) from error

    def _ask(self, folder: str | None, page: int) -> Part:
        link = self.visit.link
        if folder is None:
            query = {"shorturl": link.surl, "root": "1"}
        else:
            sharer, share = self._numbers()
            query = {"uk": str(sharer), "shareid": str(share), "dir": folder}
        reply = self.visit.call(
            "/share/list", {**query, "page": str(page), **_ORDER, **_WEB}, referer=f"/s/1{link.surl}"
        )
        verdict = said(reply, opened=True)
        if verdict.meaning is not Meaning.FINE:
            raise verdict.error(link.page)
        found = entries(reply.get("list"))
        if folder is None:
            self._root.update(entry.fs_id for entry in found)
            uk, shareid = number(reply.get("uk")), number(reply.get("share_id"))
            if uk is not None and shareid is not None:
                self._ids = (uk, shareid)
        return Part(found)

    def _numbers(self) -> tuple[int, int]:
        """Return the sharer's and the share's number, by which folders are asked for."""
        if self._ids is None:
            self._ids = self._page().ids
        if self._ids is None:
            raise SourceError("the share has no numbers to list its folders by")
        return self._ids


class _ByMiniProgram:
    """As a mini program asks: code and listing in one.

    Args:
        visit: Sends requests.
        code: The extraction code.
    """

    def __init__(self, visit: Visit, code: str | None) -> None:
        self._visit = visit
        self._code = code

    def listed(self) -> tuple[Listed, ...]:
        return walk(self._ask)

    def _ask(self, folder: str | None, page: int) -> Part:
        link = self._visit.link
        form = {
            "shorturl": f"1{link.surl}",  # the one interface that wants the page's mark
            "pwd": self._code or "",
            "dir": folder or "",
            "root": "1" if folder is None else "0",
            "page": str(page),
            "num": "1000",
            "order": "time",
        }
        reply = self._visit.call("/share/wxlist", _MINI, form)
        verdict = said(reply, opened=page > 1 or folder is not None)
        if verdict.meaning is not Meaning.FINE:
            raise verdict.error(link.page)
        data = reply.get("data")
        if not isinstance(data, dict):
            raise SourceError("the listing holds no data")
        more = data.get("has_more")
        return Part(entries(data.get("list")), more if isinstance(more, bool) else None)
