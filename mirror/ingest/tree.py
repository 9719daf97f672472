"""The files below a folder, whatever it is made of: each once, and what cannot be read named.

Links are followed to files below what was given, and nowhere else: a folder that somebody
else packed must not decide which other files of ours are read.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How it is said that the system does not let us read something.
UNREAD = "cannot be read"


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
                    place = os.path.realpath(place)
                    if path.is_file():
                        found[place] = (path, _astray(place, within))
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((path, place))
                elif entry.is_file(follow_symlinks=False):
                    found.setdefault(place, (path, ""))
            except OSError as error:
                found[place] = (path, f"{UNREAD}: {error.strerror or error}")
    yield from sorted(found.values())


def _astray(place: str, within: list[str]) -> str:
    """Say that a link leads out of everything that was given; empty where it does not."""
    if any(place == each or place.startswith(f"{each.rstrip('/')}/") for each in within):
        return ""
    return f"a link that leads out of what you gave, to {place}: give that path as well to have it taken"
