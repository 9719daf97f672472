"""The digests that a publisher states in the headers of a reply.

A malformed value is no claim: it is skipped, and the others still count. A claim is
on the whole file, so a field that is on the body of a partial reply is skipped too.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from mirror.model import HEX_LENGTH, Authority, Claim, Digest
from mirror.wire.headers import Fields, HeaderSource, fields
from mirror.wire.urls import is_secure, origin

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUOTED = re.compile(r'(?:W/)?"?([0-9A-Fa-f]+)"?')
_SHA256 = re.compile(r"sha-256=:?([A-Za-z0-9+/]{43}=):?", re.IGNORECASE)
#: Without one of these a reply states no digest, unless Baidu's service gave it.
#: Looking closer costs a tenth of a small request.
_STATING = frozenset(
    {
        "x-goog-hash", "content-md5", "x-repo-commit", "digest", "repr-digest", "x-bce-request-id",
        "x-bce-content-crc32", "x-bce-content-crc32c",
    }
)  # fmt: skip
_BY_LENGTH = {64: "sha256", 40: "git-sha1"}


def published_digests(headers: HeaderSource, url: str) -> tuple[Claim, ...]:
    """Return every digest of the whole file that a reply's headers state.

    Args:
        headers: Headers of the reply, of a redirect as well as of the last one.
        url: The address that answered; it decides whether the claims are secure.

    Source: Google ``x-goog-hash``; RFC 1864 ``Content-MD5``; hub ``X-Linked-Etag`` and ``ETag`` beside
    ``X-Repo-Commit`` (sha256 of LFS files, git blob id of others); Baidu object storage ``ETag`` and
    ``x-bce-content-crc32``, ``x-bce-content-crc32c``; RFC 3230 ``Digest``; RFC 9530 ``Repr-Digest``.
    """
    got = fields(headers)
    if _STATING.isdisjoint(got.names()) and not _is_baidu(url):
        return ()
    found = dict.fromkeys([*_google(got), *_content_md5(got), *_hub(got), *_baidu(got, url), *_sha256(got)])
    if not found:
        return ()
    parts = origin(url)
    host, secure = (parts[1] if parts else "(unknown host)"), is_secure(url)
    claims: dict[Digest, Claim] = {}
    for name, digest in found:
        claims.setdefault(digest, Claim(digest, Authority.PUBLISHER, f"{host} {name}", secure))
    return tuple(claims.values())


def _google(got: Fields) -> Iterator[tuple[str, Digest]]:
    for value in got.all("x-goog-hash"):
        for part in value.split(","):
            algorithm, _, text = part.strip().partition("=")
            if algorithm in {"md5", "crc32c"} and (digest := _from_base64(algorithm, text)):
                yield "x-goog-hash", digest


def _content_md5(got: Fields) -> Iterator[tuple[str, Digest]]:
    # RFC 1864: of the body that is sent, hence of the part only when the reply is partial.
    value = got.only("content-md5")
    if value and "content-range" not in got and (digest := _from_base64("md5", value)):
        yield "content-md5", digest


def _hub(got: Fields) -> Iterator[tuple[str, Digest]]:
    if "x-repo-commit" not in got:
        return
    # Where X-Linked-Etag stands, ETag may be the web server's own.
    name = "x-linked-etag" if "x-linked-etag" in got else "etag"
    match = _QUOTED.fullmatch(got.only(name) or "")
    if match and (algorithm := _BY_LENGTH.get(len(match[1]))):
        yield name, Digest(algorithm, match[1].lower())


def _baidu(got: Fields, url: str) -> Iterator[tuple[str, Digest]]:
    # A bucket may have a domain of its own; the request id is on every reply of the service.
    if "x-bce-request-id" not in got and not _is_baidu(url):
        return
    for name, algorithm in (("x-bce-content-crc32", "crc32"), ("x-bce-content-crc32c", "crc32c")):
        value = got.only(name) or ""
        if re.fullmatch(r"[0-9]{1,10}", value, re.ASCII) and int(value) <= 0xFFFFFFFF:
            yield name, Digest(algorithm, f"{int(value):08x}")
    # A file that was uploaded in parts has a tag that begins with a dash and is no digest of its bytes.
    match = _QUOTED.fullmatch(got.only("etag") or "")
    if match and len(match[1]) == HEX_LENGTH["md5"]:
        yield "etag", Digest("md5", match[1].lower())


def _is_baidu(url: str) -> bool:
    parts = origin(url)
    return parts is not None and (parts[1] == "bcebos.com" or parts[1].endswith(".bcebos.com"))


def _sha256(got: Fields) -> Iterator[tuple[str, Digest]]:
    for name in ("digest", "repr-digest"):
        for value in got.all(name):
            for text in _SHA256.findall(value):
                if digest := _from_base64("sha256", text):
                    yield name, digest


def _from_base64(algorithm: str, text: str) -> Digest | None:
    try:
        return Digest(algorithm, binascii.a2b_base64(text.strip(), strict_mode=True).hex())
    except ValueError:
        return None
