"""What download programs leave behind that is no file yet, and what lies where a file should be: named, never taken."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from mirror.formats.sniff import HEAD, impostor

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

#: What a browser, or a client, puts into the name of what is there already: ``model(1).zip``, ``model - 副本.zip``.
_COPY = re.compile(r"(?:[ _-]?[(（]\d+[)）]| - (?:Copy|副本)(?: \(\d+\))?)(?=\.[^.]+$|$)")
#: How the files of unfinished downloads end, and whose they are.
_UNFINISHED = {
    ".baiduyun.p.downloading": "Baidu's client",
    ".baiduyun.downloading": "Baidu's client",
    ".bdyun.downloading": "Baidu's client",
    ".downloading": "a download program",
    ".crdownload": "Chrome",
    ".opdownload": "Opera",
    ".partial": "a browser",
    ".download": "Safari",
    ".part": "a download program",
    ".aria2": "aria2",
    ".aria2__temp": "aria2",
    ".td": "Thunder (迅雷)",
    ".xltd": "Thunder (迅雷)",
    ".!ut": "µTorrent",
    ".incomplete": "huggingface_hub",
}
#: What Baidu gives in the place of what it has removed: bytes and md5 (the clients' own tables).
REMOVED = frozenset({(1_749_504, "48bb9b0361dc9c672f3dc7b3ffcfde97"), (120, "6c1b84914588d09a6e5ec43605557457")})
NOTICE = "a notice of Baidu's that it has removed the file: ask whoever shared it"
_ERROR = re.compile(rb"\"(?:errno|error_code|error)\"\s*:")
_MOST_ERROR = 64 << 10


def without_copy(name: str) -> str:
    """Return what a file was called before a download program made room for it: ``model(1).zip`` was ``model.zip``."""
    return _COPY.sub("", name)


def unfinished(path: Path) -> str:
    """Say whose unfinished download a file is, by its name and what stands beside it; empty for none."""
    name = path.name.lower()
    for suffix, whose in _UNFINISHED.items():
        if name.endswith(suffix):
            return f"an unfinished download of {whose}: let it finish, or fetch it again"
    if path.with_name(f"{path.name}.aria2").exists():
        return "an unfinished download of aria2: let it finish, or fetch it again"
    return ""


def stand_in(first: bytes, size: int, removed: Collection[tuple[int, str]] = REMOVED) -> str:
    """Say what lies in the place of a file, by its content; empty where it may be one.

    Args:
        first: Its bytes; of a file of more than 2 MiB the first of them.
        size: Bytes it has.
        removed: Size and md5 of every notice.
    """
    if any(size == length for length, _ in removed):
        digest = hashlib.md5(first, usedforsecurity=False).hexdigest()
        if (size, digest) in removed:
            return NOTICE
    head = first[:HEAD]
    if head.lstrip()[:1] == b"{" and size <= _MOST_ERROR and _ERROR.search(head):
        return _told(first)
    said = impostor(head, size)
    return said if said is not None and said != "a JSON document" else ""


def _told(text: bytes) -> str:
    """Return an error message that was saved as a file."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    code = next((found[key] for key in ("errno", "error_code", "error") if key in found), None)
    return f"an error message saved as a file: {str(code)[:40]}"
