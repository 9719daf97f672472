"""Faults of what is said: statuses, redirects, headers that lie, bodies of another kind."""

from __future__ import annotations

import gzip as gzip_module
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mirror.upstream.host import ROLES
from mirror.upstream.http import Answer, http_date, plain
from mirror.upstream.mischief import fault

if TYPE_CHECKING:
    from mirror.upstream.mischief import Scene

_LOGIN = """<!DOCTYPE html>
<html><head><title>Sign in to the network</title></head>
<body><form action="/login" method="post">User <input name="user"> Password <input name="password" type="password">
<button>Sign in</button></form></body></html>
"""


@fault("answer")
def status(
    answer: Answer,
    scene: Scene,
    *,
    code: int = 503,
    retry_after: int = -1,
    retry_date: int = -1,
    ratelimit: int = -1,
    error_code: str = "",
) -> Answer:
    """A status instead of the file, with Retry-After in seconds or as a date where asked."""
    said = plain(code, f"status {code} by script\n")
    if code == 416 and answer.size is not None:
        said = said.adding(("Content-Range", f"bytes */{answer.size}"))
    if retry_after >= 0:
        said = said.adding(("Retry-After", str(retry_after)))
    if retry_date >= 0:
        said = said.adding(("Retry-After", http_date(datetime.now(UTC) + timedelta(seconds=retry_date))))
    if ratelimit >= 0:
        said = said.adding(("ratelimit", f'"api";r=0;t={ratelimit}'))
    return said.adding(("X-Error-Code", error_code)) if error_code else said


@fault("answer")
def html_login(answer: Answer, scene: Scene) -> Answer:
    """A captive portal: 200 and a page that asks for a password."""
    return plain(200, _LOGIN, "text/html; charset=utf-8")


@fault("answer")
def empty_body(answer: Answer, scene: Scene) -> Answer:
    """200, the file's own headers, and not one byte."""
    said = replace(answer, status=200, body=memoryview(b""), start=0)
    return said.without("content-range").setting("Content-Length", "0")


@fault("answer")
def lfs_pointer(answer: Answer, scene: Scene) -> Answer:
    """The Git LFS pointer instead of the file: a mirror that cloned without LFS."""
    if scene.entity is None:
        return answer
    return plain(200, scene.entity.content.pointer, "text/plain; charset=utf-8")


@fault("answer")
def redirect_loop(answer: Answer, scene: Scene, *, growing: bool = False) -> Answer:
    """A redirect to the same address, or to one that grows with every hop."""
    request = scene.request
    query = f"{request.query}&again=1" if growing else request.query
    return plain(302, "", "text/plain", ("Location", request.path + (f"?{query.strip('&')}" if query else "")))


@fault("answer", to=ROLES)
def redirect_to(
    answer: Answer, scene: Scene, *, url: str = "", to: str = "plain", path: str = "", code: int = 302
) -> Answer:
    """A redirect to ``url``, or to ``path`` (by default the same) on another host of this world."""
    target = url or scene.place.url(to) + (path or scene.request.path)
    return plain(code, "", "text/plain", ("Location", target))


@fault("answer")
def weak_etag(answer: Answer, scene: Scene) -> Answer:
    """The ETag is a weak one, which no range may be conditioned on."""
    etag = answer.header("etag")
    return answer.setting("ETag", f"W/{etag}") if etag else answer


@fault("answer")
def no_etag(answer: Answer, scene: Scene) -> Answer:
    """Neither ETag nor Last-Modified: nothing to know the file again by."""
    return answer.without("etag", "last-modified")


@fault("answer")
def no_digests(answer: Answer, scene: Scene) -> Answer:
    """No header that holds a digest of the bytes; the ETag stays."""
    return answer.without("x-goog-hash", "content-md5", "x-bce-content-crc32", "x-linked-etag")


@fault("answer", kind=("shifted", "size", "unknown", "unit", "backwards", "garbage", "missing"))
def wrong_content_range(answer: Answer, scene: Scene, *, kind: str = "shifted") -> Answer:
    """Content-Range does not fit: shifted, another size, garbage, missing, or in another unit."""
    if answer.status != 206 or answer.size is None:
        return answer
    first, last, size = answer.start, answer.start + answer.body.nbytes - 1, answer.size
    lies = {
        "shifted": f"bytes {first + 1}-{last + 1}/{size + 1}",
        "size": f"bytes {first}-{last}/{size + 1000}",
        "unknown": f"bytes {first}-{last}/*",
        "unit": f"items {first}-{last}/{size}",
        "backwards": f"bytes {last}-{first}/{size}",
        "garbage": "bytes all of them",
    }
    if kind == "missing":
        return answer.without("content-range")
    return answer.setting("Content-Range", lies[kind])


@fault("answer")
def misplaced_range(answer: Answer, scene: Scene) -> Answer:
    """Content-Range is as asked for, and the body is the start of the file."""
    if answer.status != 206 or scene.entity is None:
        return answer
    return replace(answer, body=scene.entity.content.data[: answer.body.nbytes])


@fault("answer")
def shorter_range(answer: Answer, scene: Scene, *, bytes: int = 1) -> Answer:  # noqa: A002 # the script's word
    """A 206 that ends early and says so, as a server may (RFC 9110 §15.3.7)."""
    if answer.status != 206:
        return answer
    body = answer.body[:bytes]
    said = replace(answer, body=body).setting("Content-Length", str(body.nbytes))
    return said.setting("Content-Range", f"bytes {answer.start}-{answer.start + body.nbytes - 1}/{answer.size}")


@fault("answer")
def multipart_range(answer: Answer, scene: Scene) -> Answer:
    """One range, wrapped as if several had been asked for (RFC 9110 §14.6)."""
    if answer.status != 206:
        return answer
    part = f"Content-Type: application/octet-stream\r\nContent-Range: {answer.header('content-range')}\r\n\r\n"
    body = b"--THIS_SEPARATES\r\n" + part.encode() + bytes(answer.body) + b"\r\n--THIS_SEPARATES--\r\n"
    said = replace(answer, body=memoryview(body)).without("content-range")
    said = said.setting("Content-Type", "multipart/byteranges; boundary=THIS_SEPARATES")
    return said.setting("Content-Length", str(len(body)))


@fault("answer")
def gzip(answer: Answer, scene: Scene) -> Answer:
    """The body is compressed although nobody asked; a range counts other bytes then."""
    body = gzip_module.compress(bytes(answer.body), compresslevel=1, mtime=0)
    said = replace(answer, body=memoryview(body)).setting("Content-Length", str(len(body)))
    return said.setting("Content-Encoding", "gzip")


@fault("answer", header=("content-length", "content-range", "etag"))
def duplicate_headers(answer: Answer, scene: Scene, *, header: str = "content-length") -> Answer:
    """A header comes twice with two values: content-length, content-range or etag."""
    value = answer.header(header)
    if value is None:
        return answer
    second = {
        "content-length": str(answer.body.nbytes + 1),
        "content-range": f"bytes 0-{answer.body.nbytes - 1}/{(answer.size or 0) + 1}",
        "etag": '"another"',
    }
    return answer.adding((header.title(), second[header]))


@fault("answer")
def header_bomb(answer: Answer, scene: Scene, *, count: int = 1000, size: int = 1000) -> Answer:
    """``count`` header lines of ``size`` bytes each before the body."""
    return answer.adding(*((f"X-Filler-{number}", "x" * size) for number in range(count)))
