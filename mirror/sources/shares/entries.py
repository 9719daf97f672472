"""Entries of a listing: numbers that come as text, names that mean harm, lists in three shapes.

A name is somebody else's text: it is shown and compared, and never becomes a path of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import unescape
from typing import Any, NamedTuple

from mirror.errors import SourceError
from mirror.sources.shares.answers import number

_LONGEST_NAME = 255
#: Nothing larger is a number of bytes, or an id.
_LARGEST = 1 << 63
#: Stands for what may not be shown.
_INSTEAD = "\N{REPLACEMENT CHARACTER}"


class Entry(NamedTuple):
    """One file or folder, as a page of a listing has it.

    Attributes:
        fs_id: Its number; often beyond what a floating-point number holds exactly.
        name: Its name, safe to print.
        path: Where the host says it is; only ever sent back to the host.
        size: Bytes.
        folder: Whether it has a listing of its own.
    """

    fs_id: int
    name: str
    path: str
    size: int
    folder: bool


class Listed(NamedTuple):
    """One file of a share.

    Attributes:
        path: Names from the share's root on, joined by slashes; safe to print, and no path of this machine.
        size: Bytes.
        fs_id: Its number at the host.
    """

    path: str
    size: int
    fs_id: int


def entries(value: object) -> tuple[Entry, ...]:
    """Return the entries of a list: an array, an object that has one under ``list``, or JSON text of one.

    Raises:
        SourceError: It is none, or an entry lacks what it must have.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if isinstance(value, Mapping):
        value = value.get("list")
    if not isinstance(value, list):
        raise SourceError("the listing holds no list")
    return tuple(map(_entry, value))


def _entry(value: object) -> Entry:
    if not isinstance(value, Mapping):
        raise SourceError("an entry of the listing is none")
    fs_id, size, folder = (number(value.get(key)) for key in ("fs_id", "size", "isdir"))
    name = value.get("server_filename")
    if fs_id is None or not 0 < fs_id < _LARGEST or folder not in {0, 1} or not isinstance(name, str):
        raise SourceError("an entry of the listing makes no sense")
    if folder:
        size = 0
    if size is None or not 0 <= size < _LARGEST:
        raise SourceError("an entry of the listing has no size")
    return Entry(fs_id, shown_name(unescape(name)), _path(value, name), size, bool(folder))


def _path(value: Mapping[str, Any], name: str) -> str:
    """Return the path to ask a folder's listing with."""
    path = value.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise SourceError(f"{shown_name(name)}: an entry without a path")
    return path


def shown_name(name: str) -> str:
    """Return ``name`` as it may be printed: one line, no separators, nothing that moves the cursor or the text."""
    if name.strip() in {"", ".", ".."}:
        return _INSTEAD * max(1, min(len(name), 2))
    safe = "".join(sign if sign.isprintable() and sign not in "/\\" else _INSTEAD for sign in name)
    return safe if len(safe) <= _LONGEST_NAME else f"{safe[: _LONGEST_NAME - 1]}…"
