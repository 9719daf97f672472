"""How much room the store takes, and how much there is."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import DiskFullError, ReadOnlyStoreError
from mirror.store import disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mirror.store.layout import Layout


class Usage(NamedTuple):
    """Bytes of the store's files, each file once however many names it has.

    Attributes:
        blobs: What is published.
        partial: What is on its way.
        quarantine: What is disputed.
        other: The rest under the root, the ledger above all.
        allocated: What all of it, directories included, takes on the disk.
    """

    blobs: int
    partial: int
    quarantine: int
    other: int
    allocated: int

    @property
    def total(self) -> int:
        """Lengths of all files, added up."""
        return self.blobs + self.partial + self.quarantine + self.other


def du(layout: Layout) -> Usage:
    """Measure the store.

    Raises:
        StoreError: It cannot be read.
    """
    sizes = {"blobs": 0, "partial": 0, "quarantine": 0, "": 0}
    allocated = 0
    seen: set[tuple[int, int]] = set()
    for room, found in walk(layout.root):
        directory = stat.S_ISDIR(found.st_mode)
        if found.st_nlink > 1 and not directory:
            if (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
        # The unit of st_blocks is 512 wherever we run, whatever a block of the file system is.
        allocated += found.st_blocks * 512
        sizes[room if room in sizes else ""] += 0 if directory else found.st_size
    return Usage(sizes["blobs"], sizes["partial"], sizes["quarantine"], sizes[""], allocated)


def free_bytes(layout: Layout) -> int:
    """Return how many bytes the store's file system still has for us.

    A user's or a project's quota may allow less: most file systems do not say so
    here, and the first write that is refused does (``DiskFullError``, bytes kept).

    Raises:
        StoreError: The file system does not answer.
    """
    place = layout.root.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    with disk.our_errors(place, reading=True):
        found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def check_room(layout: Layout, needed: int) -> None:
    """Make sure, before the first byte, that ``needed`` bytes may be written and would fit.

    Raises:
        DiskFullError: They would not.
        ReadOnlyStoreError: The store belongs to somebody else.
        StoreError: The file system does not answer.
    """
    root = layout.root
    if root.exists() and not os.access(root, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise ReadOnlyStoreError(f"{root}: it belongs to somebody else, and can only be read")
    free = free_bytes(layout)
    if needed > free:
        raise DiskFullError(f"{layout.root}: {needed} bytes are needed, {free} are free")


def walk(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what ``top`` is and what is under it, with the name under ``top`` that leads there.

    What disappears meanwhile, because somebody works there, is left out.

    Raises:
        StoreError: It cannot be read.
    """
    return _walk(os.fspath(top), None)


def _walk(path: str, room: str | None) -> Iterator[tuple[str, os.stat_result]]:
    with disk.our_errors(path, reading=True):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        names = disk.names(path) if stat.S_ISDIR(found.st_mode) else []
    yield room or "", found
    for name in names:
        yield from _walk(f"{path}/{name}", name if room is None else room)
