"""A claim: the directory of a partial, and the word in it of who has it.

An owner works through a descriptor of its directory: that somebody lifts it by
mistake, for a moment, disturbs it in nothing. Only its ``owner.json`` says whose it is.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mirror.errors import BusyError
from mirror.store import disk
from mirror.store.layout import LIFTED, NEW, OWNER, Layout
from mirror.store.owner import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Claim:
    """A partial's directory that is ours; made by ``adoption.take``.

    Attributes:
        key: Name of the partial.
        directory: Descriptor of the directory.
        owner: What we wrote into it.
    """

    def __init__(self, layout: Layout, key: str, owner: Owner, directory: int) -> None:
        self._layout = layout
        self.key = key
        self.owner = owner
        self.directory = directory
        self._open = True

    def check(self) -> None:
        """Make sure that the claim is still ours.

        Raises:
            BusyError: Another process has taken it over, or it was given up.
            StoreError: Its owner cannot be read.
        """
        with disk.our_errors(self._layout.claim(self.key) / OWNER, reading=True):
            found = Owner.from_json(disk.read_file(self.directory, OWNER)) if self._open else None
        if found is None or found.nonce != self.owner.nonce:
            raise BusyError(self.key, owner=str(found or "nobody any more"))

    def beat(self) -> None:
        """Tell other hosts that we are here.

        Raises:
            BusyError: The claim is no longer ours.
            StoreError: The store cannot be written.
        """
        self.check()
        with disk.our_errors(self._layout.claim(self.key)):
            os.utime(OWNER, dir_fd=self.directory)

    def put(self, name: str, data: bytes) -> None:
        """Replace a small file of the claim in one step.

        Raises:
            DiskFullError: There is no room.
            ReadOnlyStoreError: The claim cannot be written.
            StoreError: Anything else that the system says.
        """
        with disk.our_errors(self._layout.claim(self.key) / name):
            disk.replace_file(self.directory, name, data)

    def sign(self, owner: Owner) -> None:
        """Replace what is said of the owner; raises as ``put``."""
        self.put(OWNER, owner.to_json())
        self.owner = owner

    def release(self) -> None:
        """Give the claim up and keep its bytes, also on a full disk.

        Raises:
            BusyError: The claim is no longer ours.
            StoreError: The store cannot be written.
        """
        try:
            self.check()
            with disk.our_errors(self._layout.claim(self.key) / OWNER):
                disk.overwrite_file(self.directory, OWNER, replace(self.owner, released=True).to_json())
        finally:
            self.close()

    def remove(self) -> None:
        """Give the claim up and delete what it holds.

        Raises:
            BusyError: The claim is no longer ours.
            StoreError: The store cannot be written.
        """
        self.check()
        path = self._layout.claim(self.key)
        room = self._layout.partial / f"{NEW}{self.owner.nonce}"
        with disk.our_errors(path):
            if is_same(path, self.directory):
                path.rename(room)
                disk.remove_tree(room)
            else:
                for name in disk.names(self.directory):
                    os.unlink(name, dir_fd=self.directory)
        self.close()

    def close(self) -> None:
        """Close the descriptor; what is on the disk stays as it is."""
        if self._open:
            self._open = False
            os.close(self.directory)


@contextmanager
def workroom(layout: Layout, prefix: str = NEW, owner: Owner | None = None, key: str | None = None) -> Iterator[Path]:
    """A signed directory of ours under ``partial/``, for the duration.

    What is still lifted at the end, because it was not what we wanted or something
    failed, is put back under ``key``. Should a new claim stand there by then, the
    lifted bytes go, and who writes them is told so by ``Claim.check``.

    Raises:
        OSError: The store cannot be written.
    """
    owner = owner or Owner.me()
    room = layout.partial / f"{prefix}{owner.nonce}"
    room.mkdir(parents=True)
    try:
        disk.write_new(room / OWNER, owner.to_json())
        yield room
    finally:
        if key is not None:
            with suppress(OSError):
                (room / LIFTED).rename(layout.claim(key))
        disk.remove_tree(room)


def read_owner(directory: Path) -> Owner | None:
    """Return who has the claim in ``directory``; None when it does not say.

    Raises:
        StoreError: It cannot be read.
    """
    return Owner.from_json(read_beside(directory, OWNER))


def read_beside(directory: Path, name: str) -> bytes | None:
    """Return the small file ``name`` of a claim; None when it, or the claim, is not there.

    Raises:
        StoreError: It cannot be read.
    """
    with disk.our_errors(directory / name, reading=True):
        try:
            return (directory / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def clock(layout: Layout) -> float | None:
    """Return the time by the file system's clock, the one that stamps files; None in a store we cannot write."""
    if not layout.partial.is_dir():
        return None
    try:
        with workroom(layout) as room:
            return time_of(room / OWNER)
    except OSError:
        return None


def is_same(path: Path, directory: int) -> bool:
    """Whether ``path`` is the open directory."""
    try:
        return os.path.samestat(path.stat(), os.fstat(directory))
    except FileNotFoundError:
        return False


def time_of(path: Path) -> float | None:
    """Return a file's time; opened, so that a network file system asks its server."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None
