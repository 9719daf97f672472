"""Baidu Pan's share pages: what a person sees, and a program cannot download from.

A share address shows a page that asks for the extraction code. Nothing behind it is
served: the files are handed over by a person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from mirror.upstream.http import Answer, plain

if TYPE_CHECKING:
    from mirror.upstream.host import Place
    from mirror.upstream.http import Request

_PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>{title}</title></head>
<body><p>{text}</p></body></html>
"""


@dataclass(slots=True)
class Pan:
    """Shares by id: the part of ``/s/1…`` after the ``1``, which only marks the page's kind."""

    shares: set[str] = field(default_factory=set)

    def reply(self, request: Request, place: Place) -> Answer:
        """Answer one request to the share pages."""
        parts = request.segments
        if len(parts) == 2 and parts[0] == "s" and parts[1].startswith("1"):
            location = f"{place.url('pan')}/share/init?surl={parts[1][1:]}"
            return Answer(302, (("Location", location), ("Content-Length", "0")))
        if parts == ["share", "init"]:
            share = request.parameters.get("surl", "")
            if share in self.shares:
                return _page(200, "百度网盘 请输入提取码", f"请输入提取码 ({share})")
            return _page(200, "百度网盘-链接不存在", "啊哦，你来晚了，分享的文件已经被取消了，下次要早点哟。")
        return _page(404, "百度网盘", "页面不存在")

    def names(self, request: Request) -> list[str]:
        """Return what a fault script may call the page: its path."""
        return [request.path]


def _page(status: int, title: str, text: str) -> Answer:
    body = _PAGE.format(title=escape(title), text=escape(text))
    return plain(status, body, "text/html; charset=utf-8")
