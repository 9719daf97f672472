"""What is in the app's folder: listings, and links to files, as values.

Everything that comes is somebody else's word: numbers may be text, paths anything. A path
is shown and recorded, and never becomes one of ours.

Source: Baidu open platform, "递归获取文件列表" (listall), "查询文件信息" (filemetas).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.errors import SourceError
from mirror.sources.baidu_open.words import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Entries of one page, and files whose links one question brings, at the most.
PAGE = 1000
BATCH = 100
_LARGEST = 1 << 48
_MANGLED = "�"


class Entry(NamedTuple):
    """One file on the user's disk.

    Attributes:
        fs_id: Its number there.
        path: Where it stands, from ``/apps`` on.
        size: Bytes.
        mtime: When it was put there, seconds since 1970.
        md5: What the listing gives; often disguised, often of something else: a hint at the best.
    """

    fs_id: int
    path: str
    size: int
    mtime: int
    md5: str = ""

    @property
    def identity(self) -> tuple[int, int, int]:
        """What tells that a file is still the same one."""
        return self.fs_id, self.size, self.mtime


class Page(NamedTuple):
    """A part of a listing.

    Attributes:
        entries: Files; folders are left out.
        following: Where the next page begins; None where there is none.
    """

    entries: tuple[Entry, ...]
    following: int | None


def page_of(got: Mapping[str, Any], folder: str, start: int) -> Page:
    """Return one page of a listing of ``folder``, the one that begins at ``start``.

    Raises:
        SourceError: It is none, or holds what is not below the folder.
    """
    items = _items(got)
    entries = tuple(entry for item in items if (entry := _entry(item)) is not None)
    for entry in entries:
        if not entry.path.startswith(f"{folder}/"):
            raise SourceError(f"the listing of {folder} holds a file that is elsewhere")
    more, cursor = number(got.get("has_more")), number(got.get("cursor"))
    if not items or (len(items) < PAGE if more is None else more <= 0):
        return Page(entries, None)
    return Page(entries, cursor if cursor is not None and cursor > start else start + len(items))


def links_of(got: Mapping[str, Any]) -> Iterator[tuple[Entry, str]]:
    """Yield each file of an answer with its link; an empty one where Baidu gives none.

    Raises:
        SourceError: It is no such answer.
    """
    for item in _items(got):
        entry, link = _entry(item), item.get("dlink")
        if entry is not None:
            yield entry, link if isinstance(link, str) and link.isascii() and link.isprintable() else ""


def _items(got: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    items = got.get("list")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise SourceError("Baidu's answer holds no list", transient=True)
    return items


def _entry(item: Mapping[str, Any]) -> Entry | None:
    """Return the file that an item is; None for a folder.

    Raises:
        SourceError: It makes no sense.
    """
    if number(item.get("isdir")) == 1:
        return None
    fs_id, size, path, md5 = number(item.get("fs_id")), number(item.get("size")), item.get("path"), item.get("md5")
    if fs_id is None or fs_id <= 0 or size is None or not 0 <= size < _LARGEST or not isinstance(path, str):
        raise SourceError("an entry of the listing has no number, size or path", transient=True)
    shown = "".join(sign if sign.isprintable() else _MANGLED for sign in path[:2048])
    hint = md5 if isinstance(md5, str) and md5.isascii() and md5.isalnum() and len(md5) == 32 else ""
    return Entry(fs_id, shown, size, number(item.get("server_mtime")) or 0, hint)
