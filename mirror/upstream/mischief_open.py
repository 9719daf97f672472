"""Faults of Baidu Pan: its own errors where something else should be, notices, digests that are of no use."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from mirror.upstream.http import plain
from mirror.upstream.mischief import fault

if TYPE_CHECKING:
    from mirror.upstream.http import Answer
    from mirror.upstream.mischief import Scene

#: What stands in the place of a text that was removed: bytes and MD5 (the clients' own tables).
_NOTICE = (120, "6c1b84914588d09a6e5ec43605557457")


@fault("answer", envelope=("errno", "error_code", "error"))
def json_error(
    answer: Answer, scene: Scene, *, code: str = "-62", errtype: str = "", envelope: str = "errno", status: int = 200
) -> Answer:
    """An error in JSON, as Baidu Pan has it: most come with status 200."""
    said: dict[str, object] = {envelope: int(code) if code.removeprefix("-").isdecimal() else code, "request_id": 1}
    return plain(status, json.dumps({**said, "errtype": errtype} if errtype else said), "application/json")


@fault("answer")
def empty_refusal(answer: Answer, scene: Scene) -> Answer:
    """403 and not one byte: a node that says nothing."""
    return plain(403, b"")


@fault("answer")
def placeholder(answer: Answer, scene: Scene) -> Answer:
    """A notice instead of what was removed: soundly sent, with its own size and MD5."""
    size, md5 = _NOTICE
    body = memoryview(b"removed".ljust(size, b"."))
    said = replace(answer, status=206, body=body, start=0, size=size)
    said = said.setting("Content-Length", str(size)).setting("Content-Range", f"bytes 0-{size - 1}/{size}")
    said = said.setting("x-bs-file-size", str(size)).without("x-bs-meta-crc32")
    return said.setting("Content-MD5", md5).setting("ETag", md5)


@fault("answer", kind=("missing", "base64", "changing", "wrong"))
def content_md5(answer: Answer, scene: Scene, *, kind: str = "missing") -> Answer:
    """Content-MD5 is missing (with the tag), in base64, another one for every range, or simply wrong."""
    given = answer.header("content-md5")
    if given is None:
        return answer
    if kind == "missing":
        return answer.without("content-md5", "etag", "x-bs-meta-crc32")
    if kind == "base64":
        return answer.setting("Content-MD5", base64.b64encode(bytes.fromhex(given)).decode()).without("etag")
    told = hashlib.md5(f"{given} {answer.start if kind == 'changing' else ''}".encode()).hexdigest()
    return answer.setting("Content-MD5", told).setting("ETag", told)
