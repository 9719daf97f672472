"""The way from a dlink to the bytes: ``d.pcs.baidu.com`` checks it and sends on to a storage node.

A link is signed, ends after a while, and wants its agent. What the node says of the bytes
are MD5 and CRC-32 of the whole file, in plain digits, also beside a part of it.

Source: Baidu open platform, "下载"; headers as two public clients captured them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mirror.upstream.conditions import Entity
from mirror.upstream.http import Answer, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.upstream.content import Content
    from mirror.upstream.host import Place
    from mirror.upstream.http import Headers, Request
    from mirror.upstream.pan_open_oauth import Grants

#: The agent that every link is made for.
AGENT = "pan.baidu.com"
#: A file of more than one block is listed under a number that is not its MD5.
_BLOCK = 4 << 20
_UK = 1100998877665
_SECRET = b"a link that nobody signed leads nowhere"
_BOUNDED = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")
_TOKEN = "&access_token="  # noqa: S105 # the name of a parameter
_SAID = {
    31045: "user not exists",
    31066: "file does not exist",
    31326: "user is not authorized, hitcode:119",
    31360: "url expired",
    31362: "sign error",
}


@dataclass(frozen=True, slots=True)
class DiskFile:
    """One file on the user's disk."""

    path: str
    fs_id: int
    content: Content
    mtime: int


@dataclass(slots=True)
class Storage:
    """Two hosts: the one that dlinks name, and the node that has the bytes.

    Attributes:
        ttl: Seconds that a link lives.
        strict_range: Whether a request must name a range, of ``range_limit`` bytes at the most.
        one_shot: Whether a connection gives one range and refuses the second.
    """

    grants: Grants
    disk: Mapping[str, DiskFile]
    ttl: float = 8 * 3600.0
    strict_range: bool = False
    range_limit: int = _BLOCK
    one_shot: bool = False

    def link(self, held: DiskFile, place: Place) -> str:
        """Return a fresh dlink of a file."""
        return f"{place.url('pcs')}{self._path(held)}?{self._query(held, int(self.grants.clock()))}"

    def reply(self, request: Request, place: Place) -> Entity | Answer:
        """Answer one request to either host."""
        held = self._find(request)
        if held is None:
            return _refusal(31066, status=404)
        if request.header("user-agent") != AGENT:
            return _refusal(31326)
        if request.segments[0] == "cdn":
            return self._bytes(held, request, place)
        signed, _, token = request.query.partition(_TOKEN)
        made = request.parameters.get("dstime", "")
        if not made.isdecimal() or signed != self._query(held, int(made)):
            return _refusal(31362)
        if self.grants.app_of(token) is None:
            return _refusal(31045)
        if self.grants.clock() >= int(made) + self.ttl:
            return _refusal(31360)
        location = f"{place.url('baidupcs')}/cdn{request.path}?{self._node_query(held, int(made))}"
        return Answer(302, (("Location", location), ("Content-Length", "0")))

    def names(self, request: Request) -> list[str]:
        """Return what a fault script may call the file: the path of the request, and the one on the disk."""
        held = self._find(request)
        return [request.path, *([held.path] if held is not None else [])]

    def _bytes(self, held: DiskFile, request: Request, place: Place) -> Entity | Answer:
        made = request.parameters.get("time", "")
        if not made.isdecimal() or request.query != self._node_query(held, int(made)):
            return _refusal(31362)
        if self.grants.clock() >= int(made) + self.ttl:
            return _refusal(31360)
        asked = request.header("range")
        if self.strict_range:
            match = _BOUNDED.fullmatch(asked or "")
            if match is None or int(match[2]) - int(match[1]) >= self.range_limit:
                return _refusal(31326)
        if self.one_shot and asked is not None and place.ranges:
            return _refusal(31326)
        return Entity(held.content, _described(held.path.rpartition("/")[2]))

    def _find(self, request: Request) -> DiskFile | None:
        match = re.fullmatch(r"(?:/cdn)?/file/[0-9a-z]{32}", request.path)
        number = request.parameters.get("fid", "").rpartition("-")[2]
        return next((held for held in list(self.disk.values()) if str(held.fs_id) == number), None) if match else None

    def _path(self, held: DiskFile) -> str:
        return f"/file/{listed_md5(held.content)}"

    def _query(self, held: DiskFile, made: int) -> str:
        fid = f"{_UK}-250528-{held.fs_id}"
        sign = _sign(f"{fid} {made}")
        return (
            f"fid={fid}&rt=pr&sign=FDtAERV-{sign}&expires=8h&chkbd=0&chkv=3&dp-logid=1&dp-callid=0"
            f"&dstime={made}&r=1&origin_appid=99999999&file_type=0"
        )

    def _node_query(self, held: DiskFile, made: int) -> str:
        return f"fid={_UK}-250528-{held.fs_id}&time={made}&xcode={_sign(f'node {held.fs_id} {made}')}"


def listed_md5(content: Content) -> str:
    """Return what listings give for the MD5 of ``content``: disguised, and of more than one block not its MD5."""
    known = content.md5 if content.size <= _BLOCK else hashlib.md5(b"blocks of " + content.md5).digest()
    return disguised(known.hex())


def disguised(md5: str) -> str:
    """Return an MD5 as listings write it: quarters swapped, digits mixed with their place, a letter at the tenth."""
    swapped = md5[8:16] + md5[:8] + md5[24:] + md5[16:24]
    mixed = "".join(f"{int(digit, 16) ^ place % 16:x}" for place, digit in enumerate(swapped))
    return mixed[:9] + chr(ord("g") + int(mixed[9], 16)) + mixed[10:]


@dataclass(frozen=True, slots=True)
class _described:  # noqa: N801 - called like a function
    """Headers of a storage node for a file called ``name``."""

    name: str

    def __call__(self, content: Content) -> Headers:
        md5 = content.md5.hex()
        name = "".join(sign if sign.isprintable() else "_" for sign in self.name)
        return (
            ("Content-Type", "application/octet-stream"),
            ("ETag", md5),
            ("Content-MD5", md5),
            ("x-bs-file-size", str(content.size)),
            ("x-bs-meta-crc32", str(content.crc32)),
            ("x-bs-request-id", "MTAuMTM0LjM0LjU3OjgwODA6MQ=="),
            # Names are sent as raw UTF-8, which header lines read as Latin-1.
            ("Content-Disposition", f'attachment;filename="{name.encode().decode("latin-1")}"'),
            ("superfile", "0" if content.size <= _BLOCK else "2"),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", "max-age=259200"),
        )


def _sign(text: str) -> str:
    return hmac.new(_SECRET, text.encode(), "sha256").hexdigest()


def _refusal(code: int, *, status: int = 403) -> Answer:
    return as_json(
        status, json.dumps({"error_code": code, "error_msg": _SAID[code], "request_id": 7966914266937625000})
    )
