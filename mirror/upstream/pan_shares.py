"""Baidu Pan's share pages and what they ask behind the scenes: code in, secret out, names and sizes.

The state rules are the real ones, the odd ones too: a failure comes with status 200, three
interfaces want the id without its ``1`` and one with it, and the secret is good for one share.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from mirror.upstream.http import Answer, as_json, plain
from mirror.upstream.pan_pages import STATES, data_page, page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mirror.upstream.host import Place
    from mirror.upstream.http import Request
    from mirror.upstream.pan_tree import Node, PanShare

_VISITOR = ("Set-Cookie", "BAIDUID=0123456789ABCDEF0123456789ABCDEF:FG=1; domain=.baidu.com; path=/")
_LOGIN = "https://passport.baidu.com/v2/?login"
_WRONG_CODE, _ODD_CODE, _NO_SHARE, _ODD_REQUEST = -9, -12, 105, 2
#: What ``wxlist`` calls each state of a share that is none.
_ERRTYPE = {"gone": "0", "missing": "mis_105", "blocked": "3", "captcha": "mis_62", "bounced": "mis_62"}
#: And what the others call it.
_ERRNO = {"gone": -21, "missing": _NO_SHARE, "blocked": -1, "captcha": -62, "bounced": -62}


@dataclass(slots=True)
class Shares:
    """Shares by id: the part of ``/s/1…`` after the ``1``, which only marks the page's kind."""

    by_id: dict[str, PanShare] = field(default_factory=dict)

    def add(self, share: PanShare) -> None:
        """Take a share in."""
        self.by_id[share.surl] = share

    def reply(self, request: Request, place: Place) -> Answer | None:
        """Answer one request; None when it is not about a share."""
        match request.method, request.segments:
            case "GET" | "HEAD", ["s", name] if name.startswith("1"):
                return self._page(name[1:], request, place)
            case "GET" | "HEAD", ["share", "init"]:
                return self._init(request.parameters.get("surl", ""))
            case "POST", ["share", "verify"]:
                return self._verify(request)
            case "GET", ["share", "list"]:
                return self._list(request)
            case "POST", ["share", "wxlist"]:
                return self._wxlist(_form(request))
        return None

    def names(self, request: Request) -> list[str]:
        """Return the path with the share's id after it, and with that of a listing's page as well."""
        if request.segments[:1] != ["share"]:
            return []
        said = {**request.parameters, **_form(request)}
        surl = said.get("surl") or said.get("shorturl") or ""
        if request.segments == ["share", "wxlist"]:
            surl = surl.removeprefix("1")
        if not surl:
            surl = next((one.surl for one in self.by_id.values() if str(one.shareid) == said.get("shareid")), "")
        return [f"{request.path}/{surl}", f"{request.path}/{surl}/{said.get('page', '')}"]

    def _page(self, surl: str, request: Request, place: Place) -> Answer:
        share = self.by_id.get(surl)
        state = share.state if share is not None else "gone"
        if state in STATES:
            return page(*STATES[state], _VISITOR)
        if state == "bounced":
            return _redirect(_LOGIN)
        assert share is not None
        if state == "blocked":
            return data_page({"loginstate": 0, "errno": -1, "errortype": 3}, share.habits.wrapping, _VISITOR)
        if not _is_open(share, request):
            return _redirect(f"{place.url('pan')}/share/init?surl={surl}", _VISITOR)
        return data_page(_values(share), share.habits.wrapping, _VISITOR)

    def _init(self, surl: str) -> Answer:
        share = self.by_id.get(surl)
        state = "gone" if share is None else share.state
        return page(*STATES.get(state, STATES["locked"]), _VISITOR)

    def _verify(self, request: Request) -> Answer:
        share = self.by_id.get(request.parameters.get("surl", ""))
        if share is None:
            return _error(_NO_SHARE)
        if "/share/init" not in (request.header("referer") or ""):
            return _error(_ODD_REQUEST)
        if share.state != "alive":
            return _error(_ERRNO[share.state])
        code = _form(request).get("pwd", "")
        if code != share.code:
            return _error(_WRONG_CODE if len(code) == 4 else _ODD_CODE)
        cookie = f"BDCLND={share.secret.randsk}; domain=.baidu.com; path=/"
        said = {"errno": 0, "err_msg": "", "request_id": 9061438069501850001, "randsk": share.secret.randsk}
        return as_json(200, json.dumps(said), {"Set-Cookie": cookie})

    def _list(self, request: Request) -> Answer:
        said = request.parameters
        if said.get("root") == "1":
            share, where = self.by_id.get(said.get("shorturl", "")), ""
        else:
            numbers = (said.get("uk"), said.get("shareid"))
            known = (one for one in self.by_id.values() if (str(one.uk), str(one.shareid)) == numbers)
            share, where = next(known, None), said.get("dir", "")
        if share is None:
            return _error(_NO_SHARE)
        if share.state != "alive":
            return _error(_ERRNO[share.state])
        nodes = share.folder(where)
        if not _is_open(share, request) or nodes is None:
            return _error(_WRONG_CODE)
        rows, _ = _page_of(share, nodes, said, most=100, root=not where)
        found: dict[str, Any] = {"errno": 0, "request_id": 9061438069501850003, "list": rows}
        if not where:
            ids = {"share_id": share.shareid, "uk": share.uk} if share.habits.ids else {}
            found |= {"title": nodes[0].path if nodes else "", **ids}
        return as_json(200, json.dumps(found))

    def _wxlist(self, said: Mapping[str, str]) -> Answer:
        name = said.get("shorturl", "")
        share = self.by_id.get(name[1:]) if name.startswith("1") else None
        if share is None:
            return _error(-130, "mis_105")
        if share.state != "alive":
            return _error(-130, _ERRTYPE[share.state])
        if share.code is not None and said.get("pwd") != share.code:
            return _error(-130, "mispwd-9")
        where = "" if said.get("root") == "1" else said.get("dir", "")
        nodes = share.folder(where)
        if nodes is None:
            return _error(-130, "mis_2")
        rows, more = _page_of(share, nodes, said, most=1000, root=True)
        ids = {"uk": share.uk, "shareid": share.shareid, "seckey": share.secret.seckey}
        return as_json(200, json.dumps({"errno": 0, "request_id": 5, "data": {**ids, "has_more": more, "list": rows}}))


def _is_open(share: PanShare, request: Request) -> bool:
    """Whether the request proves that this very share's code was accepted, or there is none."""
    pairs = (pair.strip().partition("=") for pair in (request.header("cookie") or "").split(";"))
    cookies = {name: value for name, _, value in pairs}
    return share.code is None or cookies.get("BDCLND") == share.secret.randsk


def _values(share: PanShare) -> dict[str, Any]:
    """Return what the page of an open share knows."""
    rows, _ = _page_of(share, share.folder("") or [], {}, most=100, root=True)
    shapes: dict[str, Any] = {"array": rows, "object": {"errno": 0, "list": rows}, "string": json.dumps(rows)}
    # The visitor's own number is another than the sharer's, and stands under the plainer name.
    ids = {"uk": 0, "share_uk": str(share.uk), "shareid": share.shareid}
    return {"loginstate": 0, "errno": 0, **ids, "title": "", "file_list": shapes[share.habits.file_list]}


def _page_of(
    share: PanShare, nodes: Sequence[Node], said: Mapping[str, str], *, most: int, root: bool
) -> tuple[list[dict[str, Any]], bool]:
    """Return one page of a listing, and whether there are further ones."""
    size = max(1, min(most, share.habits.page_size, int(said.get("num", most))))
    number = 1 if share.habits.repeats else int(said.get("page", 1))
    text = share.habits.numbers == "text" or (share.habits.numbers == "mixed" and root)
    shown = nodes[(number - 1) * size : number * size]
    more = len(nodes) > size * number
    return [node.entry(share.habits, text=text) for node in shown], more


def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


def _error(errno: int, errtype: str | None = None) -> Answer:
    said: dict[str, Any] = {"errno": errno, "request_id": 9061438069501850002}
    return as_json(200, json.dumps({**said, "errtype": errtype} if errtype else {**said, "err_msg": ""}))


def _redirect(location: str, *headers: tuple[str, str]) -> Answer:
    return plain(302, "", "text/plain", ("Location", location), *headers)
