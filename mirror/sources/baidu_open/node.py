"""A range of a file, from its link by way of a redirect to the storage node that has the bytes.

Every range is asked with both ends, on a connection of its own that ends with it, as
nodes want it. A reply is believed only if it is exactly that range of the file.

Source: Baidu open platform, "下载"; RFC 9110 §14.4, §15.3.7.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from mirror.errors import BaiduError, MirrorError, RedirectError, RemovedError, SourceError
from mirror.model import Authority, Claim, Digest
from mirror.sources.baidu_open.asking import MOST_ERROR, read
from mirror.sources.baidu_open.words import Remedy, Said, node_error, said
from mirror.sources.reply import SpannedBody
from mirror.wire import body_span, content_length, host, is_secure, origin, range_header, redact, status_error

if TYPE_CHECKING:
    from mirror.sources.asking import Answered, Asker
    from mirror.sources.baidu_open.asking import Bases
    from mirror.sources.baidu_open.files import Entry
    from mirror.wire import BodySpan, Fields

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_MD5 = re.compile(r"[0-9a-f]{32}")
#: What Baidu gives in the place of what it has removed: bytes and MD5 (the clients' own tables).
_NOTICES = {(1_749_504, "48bb9b0361dc9c672f3dc7b3ffcfde97"), (120, "6c1b84914588d09a6e5ec43605557457")}
_NOTICE_HOST = "issuecdn.baidupcs.com"


class Part(SpannedBody):
    """One open reply with a part of a file; a context manager that closes it.

    Attributes:
        tag: What tells this version of the file from others, the MD5 of the whole; empty when the node says none.
        claims: Digests of the whole, by the node's word.
        node: Address that gives the bytes; secret, like every link.
    """

    def __init__(self, answer: Answered, span: BodySpan, node: str, entry: Entry) -> None:
        super().__init__(answer.body, span, entry.path, lambda error: _told(error, entry, node))
        self.node = node
        self.tag = tag_of(answer.fields)
        self.claims = claims_of(answer.fields, node)


class Nodes:
    """Opens ranges.

    Args:
        asker: Sends the requests, as the agent that links are made for.
        bases: Says which hosts are Baidu's.
    """

    def __init__(self, asker: Asker, bases: Bases) -> None:
        self._ask = asker.ask
        self._bases = bases

    def open(self, url: str, entry: Entry, start: int, stop: int) -> Part:
        """Ask for the bytes ``[start, stop)`` of a file.

        Args:
            url: A link with its token, or a node's address from an earlier ``Part``.
            entry: The file.
            start: First byte.
            stop: Byte after the last one.

        Returns:
            A part that holds exactly these bytes, or the whole file where the node does not know ranges.

        Raises:
            RemovedError: Baidu gives a notice in the place of the file.
            BaiduError: Baidu refuses; ``remedy`` says what helps.
            RedirectError: Redirects loop, or lead away from Baidu.
            RangeError, ChangedError, OversizeError: Other bytes come than the ones asked for.
            SourceError: Baidu is not reached, or makes no sense.
        """
        conditions = (("Range", range_header(start, stop) or f"bytes=0-{stop - 1}"), ("Connection", "close"))
        seen: set[str] = set()
        for _ in range(_MAX_REDIRECTS + 1):
            self._check(url, seen, entry)
            try:
                answer = self._ask(url, conditions)
            except SourceError as error:
                raise _told(error, entry, url) from error
            if answer.status not in _REDIRECTS:
                return _part(answer, entry, (start, stop), url)
            location = answer.fields.only("location") or ""
            answer.body.close()
            url = _joined(url, location, entry)
        raise RedirectError(f"{entry.path}: more than {_MAX_REDIRECTS} redirects")

    def _check(self, url: str, seen: set[str], entry: Entry) -> None:
        found = origin(url)
        if found is not None and found[1] == _NOTICE_HOST:
            raise RemovedError(f"{entry.path}: its link leads to a notice of removal", remedy=Remedy.REMOVED)
        if not self._bases.trust(url):
            raise RedirectError(f"{entry.path}: a link that leads away from Baidu, to {redact(url)}")
        if url in seen:
            raise RedirectError(f"{entry.path}: the redirects go round in a circle")
        seen.add(url)


def _joined(url: str, location: str, entry: Entry) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise RedirectError(f"{entry.path}: a redirect to an address that makes no sense") from error


def _part(answer: Answered, entry: Entry, asked: tuple[int, int], url: str) -> Part:
    try:
        return Part(answer, _span(answer, entry, asked), url, entry)
    except BaseException as error:
        answer.body.close()
        if isinstance(error, SourceError) and not isinstance(error, BaiduError):
            raise _told(error, entry, url) from error
        raise


def _told(error: SourceError, entry: Entry, url: str) -> SourceError:
    """Return ``error`` again, as what happened to a file at a host; of the address, no more is shown."""
    told = copy.copy(error)
    told.args = (f"{entry.path}: {error} ({host(url)})",)
    return told


def _span(answer: Answered, entry: Entry, asked: tuple[int, int]) -> BodySpan:
    """Return which bytes come; raise what the reply stands for when they are not the ones asked for."""
    status, got = answer.status, answer.fields
    if status == 206:
        _refuse_notice(got, entry)
        return body_span(206, got, asked=asked, size=entry.size)
    if status == 200 and not _is_message(got) and content_length(got) == entry.size:
        return body_span(200, got, asked=asked, size=entry.size)
    body = _first(answer)
    told = said(body)
    if told is None and status in {403, 416}:
        told = Said(status)
    if told is not None:
        raise _refusal(told, entry)
    if status == 200:
        _refuse_notice(got, entry)
        raise SourceError("a page, or another file, comes instead of it", transient=True)
    raise status_error(status, got)


def _refusal(told: Said, entry: Entry) -> SourceError:
    error: MirrorError = node_error(told, entry.path)
    assert isinstance(error, SourceError)
    return error


def _refuse_notice(got: Fields, entry: Entry) -> None:
    total = (got.only("content-range") or "").rpartition("/")[2] or got.only("content-length") or ""
    notice = (int(total) if total.isdecimal() and len(total) < 16 else -1, tag_of(got))
    if notice in _NOTICES and entry.size != notice[0]:
        raise RemovedError(f"{entry.path}: Baidu gives a notice of removal instead of it", remedy=Remedy.REMOVED)


def _is_message(got: Fields) -> bool:
    kind = (got.only("content-type") or "").partition(";")[0].strip().lower()
    return kind in {"application/json", "text/html", "text/json", "text/javascript"}


def _first(answer: Answered) -> bytes:
    """Return the body of an error; nothing where it is long, or does not come."""
    try:
        return read(answer.body, MOST_ERROR)
    except SourceError:
        return b""


def tag_of(got: Fields) -> str:
    """Return the MD5 of the whole file as a node gives it, in hex, by either name; empty when there is none.

    In base64, as RFC 1864 has it, it would be of the part that is sent: of no use.
    """
    for name in ("content-md5", "etag"):
        value = (got.only(name) or "").strip('"').lower()
        if _MD5.fullmatch(value):
            return value
    return ""


def claims_of(got: Fields, url: str) -> tuple[Claim, ...]:
    """Return what a node says of the whole file: MD5 in hex, CRC-32 in decimal digits; 0 stands for none."""
    parts = origin(url)
    where, secure = (parts[1] if parts else "(unknown host)"), is_secure(url)
    found = []
    md5, crc32 = (got.only("content-md5") or "").lower(), got.only("x-bs-meta-crc32") or ""
    if _MD5.fullmatch(md5):
        found.append(("content-md5", Digest("md5", md5)))
    if crc32.isascii() and crc32.isdecimal() and 0 < int(crc32[:11]) < 1 << 32:
        found.append(("x-bs-meta-crc32", Digest("crc32", f"{int(crc32):08x}")))
    return tuple(Claim(digest, Authority.CARRIER, f"{where} {name}", secure) for name, digest in found)
