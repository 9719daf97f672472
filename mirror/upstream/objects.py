"""Object stores: Google storage, Baidu object storage, and a plain host.

They differ in what they say about the bytes: Google gives md5 and CRC-32C, Baidu md5 and
CRC-32, a plain host what it is told to, down to nothing at all.

Source: Google Cloud Storage XML API (``x-goog-hash``, "HTTP status and error codes");
Baidu BOS API reference, GetObject and GetObjectMeta.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mirror.upstream.conditions import Entity
from mirror.upstream.http import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.upstream.content import Content
    from mirror.upstream.host import Place
    from mirror.upstream.http import Answer, Headers, Request

_MODIFIED = "Thu, 20 Feb 2020 20:20:20 GMT"
_TYPES = {
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".txt": "text/plain",
    ".html": "text/html; charset=utf-8",
}


class Validators(StrEnum):
    """What a plain host sends so that a file can be known again."""

    STRONG = "strong"  # ETag and Last-Modified
    WEAK = "weak"  # a weak ETag and Last-Modified
    DATE = "date"  # Last-Modified alone
    NONE = "none"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: its bytes, who may read it, and how a plain host validates it."""

    content: Content
    private: bool = False
    validators: Validators = Validators.STRONG
    earlier: tuple[Content, ...] = ()


@dataclass(slots=True)
class ObjectHost:
    """A host of objects by path.

    Attributes:
        describe: Makes an object's headers: ``google``, ``baidu`` or ``anything``.
        missing: Makes the answer for a path that is not there, or not for everybody.
        prefix: What the path lacks in front of an object's key: a bucket in the host's name.
    """

    describe: Callable[[str, StoredObject], Callable[[Content], Headers]]
    missing: Callable[[str, int], Answer]
    objects: dict[str, StoredObject] = field(default_factory=dict)
    prefix: str = ""

    def reply(self, request: Request, place: Place) -> Entity | Answer:
        """Answer one request to the store."""
        key = self._key(request)
        held = self.objects.get(key)
        if held is None:
            return self.missing(key, 404)
        if held.private:
            return self.missing(key, 403)
        return Entity(held.content, self.describe(key, held), held.earlier)

    def names(self, request: Request) -> list[str]:
        """Return what a fault script may call the object: its path, with and without bucket."""
        return [unquote(request.path), self._key(request)]

    def put(self, key: str, stored: StoredObject) -> None:
        """Store an object; what was there before is remembered as an earlier version."""
        before = self.objects.get(key)
        earlier = (before.content, *before.earlier) if before else ()
        self.objects[key] = StoredObject(stored.content, stored.private, stored.validators, earlier)

    def _key(self, request: Request) -> str:
        return self.prefix + unquote(request.path)


def google(key: str, stored: StoredObject) -> Callable[[Content], Headers]:
    """Return how Google storage describes bytes stored under ``key``."""

    def describe(content: Content) -> Headers:
        upload = hashlib.sha256(key.encode()).hexdigest()
        return (
            ("X-GUploader-UploadID", upload[:32].upper()),
            # A generation counts microseconds; other bytes are another generation.
            ("x-goog-generation", str(1582230020000000 + content.crc32c % 1000000)),
            ("x-goog-metageneration", "1"),
            ("x-goog-stored-content-encoding", "identity"),
            ("x-goog-stored-content-length", str(content.size)),
            ("x-goog-hash", f"crc32c={content.crc32c_base64}"),
            ("x-goog-hash", f"md5={content.md5_base64}"),
            ("x-goog-storage-class", "MULTI_REGIONAL"),
            ("Accept-Ranges", "bytes"),
            ("ETag", f'"{content.md5.hex()}"'),
            ("Last-Modified", _MODIFIED),
            ("Cache-Control", "public, max-age=3600"),
            ("Content-Type", _content_type(key)),
        )

    return describe


def baidu(key: str, stored: StoredObject) -> Callable[[Content], Headers]:
    """Return how Baidu object storage describes bytes stored under ``key``."""

    def describe(content: Content) -> Headers:
        return (
            ("Content-Type", _content_type(key)),
            ("Accept-Ranges", "bytes"),
            ("Content-MD5", content.md5_base64),
            ("ETag", f'"{content.md5.hex()}"'),
            ("Last-Modified", _MODIFIED),
            ("x-bce-content-crc32", str(content.crc32)),
            ("x-bce-storage-class", "STANDARD"),
            ("x-bce-request-id", _request_id(key)),
        )

    return describe


def anything(key: str, stored: StoredObject) -> Callable[[Content], Headers]:
    """Return how a plain host describes bytes: as much as the object's validators say."""

    def describe(content: Content) -> Headers:
        headers = [("Content-Type", _content_type(key)), ("Accept-Ranges", "bytes")]
        tag = f'"{content.sha256[:16]}-{content.size:x}"'
        if stored.validators in {Validators.STRONG, Validators.WEAK}:
            headers.append(("ETag", f"W/{tag}" if stored.validators is Validators.WEAK else tag))
        if stored.validators is not Validators.NONE:
            headers.append(("Last-Modified", _MODIFIED))
        return tuple(headers)

    return describe


def google_error(key: str, status: int) -> Answer:
    """Return Google storage's XML for what is missing (404) or private (403)."""
    bucket, _, name = key.strip("/").partition("/")
    if status == 403:
        code, message = "AccessDenied", "Access denied."
        details = f"Anonymous caller does not have storage.objects.get access to {bucket}/{name}."
    else:
        code, message = "NoSuchKey", "The specified key does not exist."
        details = f"No such object: {bucket}/{name}"
    text = f"<Error><Code>{code}</Code><Message>{message}</Message><Details>{_escape(details)}</Details></Error>"
    return plain(status, f"<?xml version='1.0' encoding='UTF-8'?>{text}", "application/xml; charset=UTF-8")


def baidu_error(key: str, status: int) -> Answer:
    """Return Baidu object storage's JSON for what is missing (404) or private (403)."""
    code, message = (
        ("AccessDenied", "Access Denied.") if status == 403 else ("NoSuchKey", "The specified key does not exist.")
    )
    text = json.dumps({"code": code, "message": message, "requestId": _request_id(key)})
    return plain(status, text, "application/json; charset=utf-8", ("x-bce-request-id", _request_id(key)))


def plain_error(key: str, status: int) -> Answer:
    """Return a web server's page for what is missing (404) or private (403)."""
    word = "403 Forbidden" if status == 403 else "404 Not Found"
    return plain(status, f"<html><head><title>{word}</title></head><body>{word}</body></html>\n", "text/html")


def _request_id(key: str) -> str:
    text = hashlib.sha1(key.encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"


def _content_type(key: str) -> str:
    match = re.search(r"\.[a-z]+$", key)
    return _TYPES.get(match.group() if match else "", "application/octet-stream")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
