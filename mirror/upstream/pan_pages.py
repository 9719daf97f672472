"""The pages of Baidu Pan's shares: HTML for people, with JSON in it for their scripts.

Which class names a page has is how clients tell its states apart.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from mirror.upstream.http import Answer, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>百度网盘 {text}</title><style>body {{"color": "#000"}}</style></head>
<body><div class="{kind}"><p>{text}</p></div>
<script>var config = {{"name": "share", "nested": {{"errno": "x"}}}};
{script}</script>{after}</body></html>
"""
#: What each state of a share's page is called in its HTML, and what a person reads.
STATES = {
    "gone": ("platform-non-found", "链接不存在：啊哦，你来晚了，分享的文件已经被取消了，下次要早点哟。"),
    "missing": ("error-404", "页面不存在"),
    "locked": ("verify-form", "请输入提取码"),
    "captcha": ("change-code", "请输入验证码，看不清？换一张"),
}


def page(kind: str, text: str, *headers: tuple[str, str], status: int = 200) -> Answer:
    """Return a page without data.

    Args:
        kind: The class of its only box.
        text: What it says.
        headers: Further header lines.
        status: Status code.
    """
    body = _PAGE.format(kind=escape(kind), text=escape(text), script="", after="")
    return plain(status, body, "text/html; charset=utf-8", *headers)


def data_page(values: Mapping[str, Any], wrapping: str, *headers: tuple[str, str]) -> Answer:
    """Return a page with ``values`` in it.

    Args:
        values: What the page knows of the share.
        wrapping: ``mset``, ``script`` or ``try``: around the JSON.
        headers: Further header lines.
    """
    text = json.dumps(values, ensure_ascii=False)
    script = {"mset": f"locals.mset({text});", "script": "", "try": f"try{{{text}}}catch(e){{}}"}[wrapping]
    after = f'<script id="locals-data" type="application/json">{text}</script>' if wrapping == "script" else ""
    body = _PAGE.format(kind="share-list", text="分享的文件", script=script, after=after)
    return plain(200, body, "text/html; charset=utf-8", *headers)
