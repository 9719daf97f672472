"""A claim: the directory of a partial, and the word in it of who has it.

An owner works through a descriptor of its directory: that somebody lifts it by
mistake, for a moment, disturbs it in nothing. Only its ``owner.json`` says whose it is.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from mirror.errors import BusyError
from mirror.store import disk
from mirror.store.layout import OWNER, Layout
from mirror.store.owner import Owner

if TYPE_CHECKING:
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
            BusyError: The claim is gone.
            DiskFullError: There is no room.
            ReadOnlyStoreError: The claim cannot be written.
            StoreError: Anything else that the system says.
        """
        try:
            disk.replace_file(self.directory, name, data)
        except FileNotFoundError as error:  # the directory itself was deleted
            raise BusyError(self.key, owner="nobody any more") from error
        except OSError as error:
            raise disk.translated(error, self._layout.claim(self.key) / name) from error

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
                disk.overwrite_file(self.directory, OWNER, self.owner._replace(released=True).to_json())
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
        with disk.our_errors(path):
            # Through the descriptor, whoever lifts the directory meanwhile; its owner last. What
            # is left in the worst case is an empty directory, and that is nobody's claim.
            for name in sorted(disk.names(self.directory), key=lambda name: name == OWNER):
                os.unlink(name, dir_fd=self.directory)
        with suppress(OSError):
            path.rmdir()
        self.close()

    def close(self) -> None:
        """Close the descriptor; what is on the disk stays as it is."""
        if self._open:
            self._open = False
            os.close(self.directory)


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


def is_same(path: Path, directory: int) -> bool:
    """Whether ``path`` is the open directory."""
    try:
        return os.path.samestat(path.stat(), os.fstat(directory))
    except FileNotFoundError:
        return False
