"""Baidu's open platform in miniature: one user's own disk, as an app of theirs may list it.

An app sees ``/apps/<its name>`` and nothing else, and may ask ten times an hour.

Source: Baidu open platform, "获取文件列表", "递归获取文件列表", "查询文件信息", "错误码".
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mirror.upstream.content import Content
from mirror.upstream.http import as_json
from mirror.upstream.pan_open_links import DiskFile, Storage, listed_md5
from mirror.upstream.pan_open_oauth import Grants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mirror.upstream.host import Place
    from mirror.upstream.http import Answer, Request
    from mirror.upstream.pan_open_oauth import App

_XPAN = "/rest/2.0/xpan/"
_HOUR = 3600.0
_PAGE = 1000
_BATCH = 100
#: Beyond the whole numbers that a float can hold, as real ones are.
_FIRST_ID = (1 << 53) + 1
_SAID = {
    -6: "Invalid Bduss",
    -9: "file does not exist",
    2: "param error",
    20012: "reach the limit of calls",
    20020: "path is not allowed",
    31023: "Parameters error",
}


@dataclass(slots=True)
class OpenPlatform:
    """One user's disk, and the apps that may look into it.

    Attributes:
        grants: Apps and tokens.
        storage: The hosts that give the bytes.
        calls_an_hour: Listings and questions that one app may ask.
    """

    grants: Grants = field(default_factory=Grants)
    storage: Storage = field(init=False)
    calls_an_hour: int = 10
    _disk: dict[str, DiskFile] = field(default_factory=dict)
    _calls: dict[str, list[float]] = field(default_factory=dict)
    _next: int = _FIRST_ID
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.storage = Storage(self.grants, self._disk)

    @property
    def clock(self) -> Callable[[], float]:
        """What tells the time of everything here."""
        return self.grants.clock

    @clock.setter
    def clock(self, clock: Callable[[], float]) -> None:
        self.grants.clock = clock

    def put(self, path: str, data: bytes | Path | Callable[[], bytes], *, fs_id: int | None = None) -> DiskFile:
        """Put a file on the disk; what was at ``path`` is replaced.

        Args:
            path: Where, ``/apps/demo/pytorch_model.bin``.
            data: The bytes, a file that has them, or a call that makes them.
            fs_id: Number of the file; a new one by default.
        """
        with self._lock:
            if fs_id is None:
                fs_id = self._next
                self._next += 7919
            held = self._disk[path] = DiskFile(path, fs_id, Content(data), int(self.clock()))
        return held

    def remove(self, path: str) -> None:
        """Take a file off the disk."""
        with self._lock:
            del self._disk[path]

    def reply(self, request: Request, place: Place) -> Answer | None:
        """Answer one request to ``/rest/2.0/xpan/``; None when it is another's."""
        if not request.path.startswith(_XPAN):
            return None
        asked = request.parameters
        app = self.grants.app_of(asked.get("access_token", ""))
        if app is None:
            return _error(-6)
        if not self._may_ask(app):
            return _error(20012)
        method = (request.path.removeprefix(_XPAN), asked.get("method"))
        if method == ("file", "list"):
            return self._list(app, asked)
        if method == ("multimedia", "listall"):
            return self._list_all(app, asked)
        if method == ("multimedia", "filemetas"):
            return self._metas(app, asked, place)
        return _error(31023)

    def names(self, request: Request) -> list[str]:
        """Return a further name under which a fault script may know a question: its path with its method."""
        method = request.parameters.get("method", "")
        return [f"{request.path}?method={method}"] if request.path.startswith(_XPAN) else []

    def _may_ask(self, app: App) -> bool:
        with self._lock:
            now = self.clock()
            calls = self._calls[app.key] = [at for at in self._calls.get(app.key, ()) if now - at < _HOUR]
            if len(calls) >= self.calls_an_hour:
                return False
            calls.append(now)
            return True

    def _list(self, app: App, asked: dict[str, str]) -> Answer:
        folder = asked.get("dir", "").rstrip("/")
        if not _sees(app, folder):
            return _error(20020)
        items = list(self._children(folder))
        if not items and folder != f"/apps/{app.name}":
            return _error(-9)
        page = _page(items, asked)
        return _error(2) if page is None else _said(list=page, guid=0, guid_info="")

    def _list_all(self, app: App, asked: dict[str, str]) -> Answer:
        folder = asked.get("path", "").rstrip("/")
        if not _sees(app, folder):
            return _error(20020)
        if asked.get("recursion") != "1":
            items = list(self._children(folder))
        else:
            items = [_item(held) for held in self._below(folder)]
        page = _page(items, asked)
        if page is None:
            return _error(2)
        cursor = int(asked.get("start", "0")) + len(page)
        return _said(list=page, has_more=int(cursor < len(items)), cursor=cursor)

    def _metas(self, app: App, asked: dict[str, str], place: Place) -> Answer:
        try:
            wanted = json.loads(asked.get("fsids", ""))
        except ValueError:
            return _error(2)
        if not isinstance(wanted, list) or not 0 < len(wanted) <= _BATCH:
            return _error(2)
        found = [held for held in self._below("") if held.fs_id in wanted]
        if not all(_sees(app, held.path) for held in found):
            return _error(20020)
        items = [
            {
                **_item(held, "filename"),
                **({"dlink": self.storage.link(held, place)} if asked.get("dlink") == "1" else {}),
            }
            for held in found
        ]
        return _said(list=items, names={})

    def _below(self, folder: str) -> list[DiskFile]:
        with self._lock:
            return [held for path, held in sorted(self._disk.items()) if path.startswith(f"{folder}/")]

    def _children(self, folder: str) -> Iterator[dict[str, Any]]:
        """Yield the folders, then the files, that stand directly in ``folder``."""
        below = self._below(folder)
        inner = {held.path.removeprefix(f"{folder}/").partition("/")[0] for held in below}
        files = {held.path for held in below}
        for name in sorted(inner):
            if f"{folder}/{name}" not in files:
                yield {"fs_id": 1, "path": f"{folder}/{name}", "server_filename": name, "size": 0, "isdir": 1}
        yield from (_item(held) for held in below if "/" not in held.path.removeprefix(f"{folder}/"))


def _sees(app: App, path: str) -> bool:
    return f"{path}/".startswith(f"/apps/{app.name}/") and "/../" not in f"{path}/"


def _page(items: list[dict[str, Any]], asked: dict[str, str]) -> list[dict[str, Any]] | None:
    """Return the part of a listing that ``start`` and ``limit`` name; None when they make no sense."""
    start, limit = asked.get("start", "0"), asked.get("limit", str(_PAGE))
    if not (start.isdecimal() and limit.isdecimal() and 0 < int(limit) <= _PAGE):
        return None
    return items[int(start) : int(start) + int(limit)]


def _item(held: DiskFile, name: str = "server_filename") -> dict[str, Any]:
    return {
        "fs_id": held.fs_id,
        "path": held.path,
        name: held.path.rpartition("/")[2],
        "size": held.content.size,
        "isdir": 0,
        "category": 6,
        "md5": listed_md5(held.content),
        "server_ctime": held.mtime,
        "server_mtime": held.mtime,
        "local_ctime": held.mtime,
        "local_mtime": held.mtime,
    }


def _said(**values: Any) -> Answer:
    return as_json(200, json.dumps({"errno": 0, "errmsg": "succ", "request_id": "282335", **values}))


def _error(errno: int) -> Answer:
    return as_json(200, json.dumps({"errno": errno, "errmsg": _SAID[errno], "request_id": 282336}))
