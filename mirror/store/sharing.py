"""Another's file made a blob without a copy: by a reflink, or on request by a hard link.

A reflink has the bytes of now, whatever is written to either file later. A hard link is
the same file under two names: so only a file of our own user, with no writer, that is made
read-only for every name it has. Both are made in a room of this process and read there;
a process that dies leaves nothing but that room, whose files are only ever unlinked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.errors import LinkError
from mirror.store import blobs, disk
from mirror.store.rooms import workroom

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.model import Blob
    from mirror.store.layout import Layout

_FICLONE = 0x40049409  # linux/fs.h
_DATA = "data"
#: What systems say where files cannot share their bytes: another file system, one that cannot, a full link count.
_CANNOT = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EMLINK, errno.EPERM}
)


class Way(StrEnum):
    """How a blob shares the bytes of another file."""

    REFLINK = "reflink"
    HARDLINK = "hardlink"


class Shared:
    """A file of ours that has another's bytes, and is no blob yet.

    Attributes:
        path: Where its bytes are read.
    """

    def __init__(self, layout: Layout, room: Path, fd: int) -> None:
        self.path = room / _DATA
        self._layout = layout
        self._room = room
        self._fd = fd
        self.committed = False

    def commit(self, sha256: str) -> Blob:
        """Make it the blob of that name: its bytes were read, from ``path``, and judged.

        Raises:
            DiskFullError: There is no room for the name.
            StoreError: Anything else that the system says.
            ValueError: ``sha256`` is not 64 lower-case hexadecimal digits.
        """
        with disk.our_errors(self.path):
            os.fsync(self._fd)
            directory = disk.open_directory(self._room)
        try:
            blob = blobs.admit(self._layout, sha256, self._fd, _DATA, directory)
        finally:
            os.close(directory)
        self.committed = True
        return blob


@contextmanager
def shared(layout: Layout, source: Path, way: Way) -> Iterator[Shared]:
    """Give a file that shares the bytes of ``source``; it goes at the end, unless it was committed.

    Raises:
        LinkError: The two cannot share them in that way.
        DiskFullError: There is no room.
        ReadOnlyStoreError: The store cannot be written.
        StoreError: Anything else that the system says.
    """
    place = Path(os.path.realpath(source))
    make = _reflinked if way is Way.REFLINK else _hard_linked
    with (
        disk.our_errors(place),
        workroom(layout) as room,
        _open(place) as theirs,
        make(theirs, place, room / _DATA) as ours,
    ):
        one = Shared(layout, room, ours)
        before = stat.S_IMODE(os.fstat(theirs).st_mode)
        try:
            if way is Way.HARDLINK:
                _close_to_writers(theirs, place)
            yield one
        finally:
            if not one.committed and stat.S_IMODE(os.fstat(theirs).st_mode) != before:
                os.fchmod(theirs, before)


@contextmanager
def _open(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _reflinked(theirs: int, place: Path, ours: Path) -> Iterator[int]:
    with _or_cannot(place, "reflinked"):
        if sys.platform == "darwin":
            _clonefile(theirs, ours)
        else:
            disk.write_new(ours, b"")
            with ours.open("r+b", buffering=0) as file:
                fcntl.ioctl(file, _FICLONE, theirs)
    with ours.open("rb", buffering=0) as file:
        yield file.fileno()


@contextmanager
def _hard_linked(theirs: int, place: Path, ours: Path) -> Iterator[int]:
    found = os.fstat(theirs)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise LinkError(f"{place} is another user's, who could write it later")
    with _or_cannot(place, "hard-linked"):
        os.link(place, ours, follow_symlinks=False)
    if not os.path.samestat(found, ours.lstat()):
        raise LinkError(f"{place} was replaced meanwhile")
    yield theirs


def _close_to_writers(fd: int, place: Path) -> None:
    """Take every right to write away from a file, and refuse one that somebody has open for writing.

    Linux gives a lease for reading only where nobody has; elsewhere, and on disks of the
    network, there is nobody to ask. The signal that a lease would bring is one that is ignored.

    Source: fcntl(2), F_SETLEASE.
    """
    os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode) & blobs.MODE)
    if not sys.platform.startswith("linux"):
        return
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise LinkError(f"{place} is open for writing") from error


@contextmanager
def _or_cannot(place: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _CANNOT:
            raise LinkError(f"{place} cannot be {done} into this store: {error.strerror}") from error
        raise


def _clonefile(theirs: int, ours: Path) -> None:
    """Clone an open file where macOS's file system can.

    Source: macOS clonefile(2).
    """
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "fclonefileat", None)
    at_fdcwd = -2  # sys/fcntl.h
    if call is None or call(theirs, at_fdcwd, os.fsencode(ours), 0) != 0:
        code = ctypes.get_errno() if call is not None else errno.ENOSYS
        raise OSError(code, os.strerror(code))
