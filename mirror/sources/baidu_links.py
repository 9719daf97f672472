"""Links to shares on Baidu Pan, in every spelling that people paste.

The ``1`` after ``/s/`` marks a kind of page and is no part of the id. Ids and codes are told
apart by case, and an id may begin with a minus.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from mirror.errors import UsageError

#: Full-width signs, as Chinese keyboards write them, and the plain ones.
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_HOST = r"(?:https?://)?(?:pan|yun)\.baidu\.com"
_PAGE = re.compile(rf"{_HOST}/s/1([A-Za-z0-9_-]+)", re.IGNORECASE)
_INIT = re.compile(rf"{_HOST}/(?:share|wap)/init\?(?:[^\s#]*&)?surl=([A-Za-z0-9_-]+)", re.IGNORECASE)
_OTHERS = {
    re.compile(rf"{_HOST}/e/1", re.IGNORECASE): "an enterprise share, which has pages of its own",
    re.compile(rf"{_HOST}/share/link\?", re.IGNORECASE): "a share by numbers, as before 2014: ask for a link with /s/1",
    re.compile(rf"{_HOST}/s/[02-9]", re.IGNORECASE): "a share of another kind than /s/1",
}
_CODE_IN_LINK = re.compile(r"[?&]pwd=([A-Za-z0-9]{4})(?![A-Za-z0-9])", re.IGNORECASE)
_CODE_BESIDE = re.compile(
    r"(?:提取码|提取密码|访问码|密码|\bpwd\b|\bcode\b)\s*(?:is\b|[:=是为])?\s*([A-Za-z0-9]{4})(?![A-Za-z0-9])",
    re.IGNORECASE,
)


class Share(NamedTuple):
    """One share.

    Attributes:
        surl: Its id, without the ``1``.
        code: Extraction code (提取码), four letters and digits; None where the text has none.
    """

    surl: str
    code: str | None

    @property
    def url(self) -> str:
        """The address that the official page understands; it fills in the code."""
        return f"https://pan.baidu.com/s/1{self.surl}" + (f"?pwd={self.code}" if self.code else "")


def parse(text: str) -> Share | None:
    """Return the first share that a text links to; None when there is none.

    Args:
        text: A link, or what somebody pasted around it: ``链接: … 提取码: abcd``.

    Raises:
        UsageError: It links to a share of a kind that is not known here.
    """
    plain = text.translate(_WIDE)
    found = min(filter(None, (_PAGE.search(plain), _INIT.search(plain))), key=lambda one: one.start(), default=None)
    if found is None:
        for pattern, what in _OTHERS.items():
            if pattern.search(plain):
                raise UsageError(f"{text.strip()[:80]!r} is {what}")
        return None
    surl, rest = found[1], plain[found.end() :]
    if rest[:1] and ord(rest[0]) > 127:
        surl = surl.rstrip("-_")  # glued to what follows: `…--来自百度网盘`
    if not surl:
        return None
    link = re.match(r"[^\s]*", rest)
    inside = _CODE_IN_LINK.search(unquote(found[0] + (link[0] if link is not None else "")))
    beside = _CODE_BESIDE.search(rest)
    code = inside[1] if inside is not None else beside[1] if beside is not None else None
    return Share(surl, code)
