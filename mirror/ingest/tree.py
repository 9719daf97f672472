"""The files below a folder, whatever it is made of: each once, and what cannot be read named.

Links are followed to files below what was given, and nowhere else: a folder that somebody
else packed must not decide which other files of ours are read. Links to folders are not
followed at all, so that no walk goes round in a circle.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How it is said that the system does not let us read something.
UNREAD = "cannot be read"
_FOLDER = "a link to a folder"
_DANGLING = "a dangling link"
_NEITHER = "neither a file nor a folder"
#: How it begins, of what may hide weights under any name.
ALWAYS_TOLD = (UNREAD, _FOLDER, _DANGLING)


def below(folder: Path, within: list[str]) -> Iterator[tuple[Path, str]]:
    """Yield the files below a folder, and what is wrong with them; of several names of one file the last link.

    A hub's cache has its files under their digests, and links to them under their names.
    """
    found: dict[str, tuple[Path, str]] = {}
    root = os.path.realpath(folder)
    waiting = [(folder, root)]
    while waiting:
        above, real = waiting.pop()
        try:
            with os.scandir(above) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            found[real] = (above, f"{UNREAD}: {error.strerror or error}")
            continue
        for entry in inside:
            path, place = above / entry.name, f"{real}/{entry.name}"
            try:
                if entry.is_symlink():
                    end = os.path.realpath(place)
                    if path.is_file():
                        found[end] = (path, _astray(end, within))
                    elif wrong := _no_file(path, end, within):
                        found[place] = (path, wrong)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((path, place))
                elif entry.is_file(follow_symlinks=False):
                    found.setdefault(place, (path, ""))
                else:
                    found[place] = (path, _NEITHER)
            except OSError as error:
                found[place] = (path, f"{UNREAD}: {error.strerror or error}")
    yield from sorted(found.values())


def _astray(end: str, within: list[str]) -> str:
    """Say that a link leads out of everything that was given; empty where it does not."""
    if _is_given(end, within):
        return ""
    return f"a link that leads out of what you gave, to {end}: give that path as well to have it taken"


def _no_file(path: Path, end: str, within: list[str]) -> str:
    """Say what a link leads to that is no file; empty of a folder that is looked at anyway."""
    if path.is_dir():
        return "" if _is_given(end, within) else f"{_FOLDER}: give that folder itself, {end}"
    return _NEITHER if path.exists() else _DANGLING


def _is_given(end: str, within: list[str]) -> bool:
    return any(end == each or end.startswith(f"{each.rstrip('/')}/") for each in within)
