"""Blobs: verified bytes under their sha256, read-only, published in one step.

Only bytes that were judged come here. They are written aside, brought to the disk,
and renamed; a name is durable before it is reported. A blob of the right size is
never replaced: the same name means the same bytes.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.model import Blob
from mirror.store import disk, rooms
from mirror.store.layout import Layout, is_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Rights of a blob before the umask: nobody writes it.
MODE = 0o444


def find(layout: Layout, sha256: str) -> Blob | None:
    """Return the blob of that name, asking only for its size; None when it is not there.

    Raises:
        StoreError: The store cannot be read.
        ValueError: ``sha256`` is not 64 lower-case hexadecimal digits.
    """
    path = layout.blob(sha256)
    size = _size(path)
    return None if size is None else Blob(sha256, size, Path(path))


def iterate(layout: Layout) -> Iterator[Blob]:
    """Yield every blob, in the order of the names, one directory in memory at a time.

    Raises:
        StoreError: The store cannot be read.
    """
    for directory in _names(layout.blobs):
        for name in _names(layout.blobs / directory):
            if is_sha256(name) and name.startswith(directory) and (blob := find(layout, name)):
                yield blob


def publish(layout: Layout, batch: Iterable[tuple[str, bytes]]) -> list[Blob]:
    """Give small blobs, already judged, their names: all of them durable at the return.

    Args:
        layout: Of the store.
        batch: sha256 and bytes; the same pair may come twice.

    Returns:
        The blobs, in the order of the batch.

    Raises:
        DiskFullError: There is no room; what is visible by then is whole.
        ReadOnlyStoreError: The store cannot be written.
        StoreError: Anything else that the system says.
        ValueError: A name is not a sha256.
    """
    wanted = dict(batch)
    missing = [name for name, data in wanted.items() if _size(layout.blob(name)) != len(data)]
    if missing:
        with disk.our_errors(layout.blobs), rooms.workroom(layout) as room:
            for name in missing:
                disk.write_new(f"{room}/{name}", wanted[name], mode=MODE)
            disk.flush([], [f"{room}/{name}" for name in missing])
            touched: set[str] = set()
            for name in missing:
                _rename(layout, name, f"{room}/{name}", touched=touched)
            disk.flush(sorted(touched))
    return [Blob(name, len(data), Path(layout.blob(name))) for name, data in wanted.items()]


def admit(layout: Layout, sha256: str, fd: int, name: str, directory: int) -> Blob:
    """Make the written file ``name`` of the open ``directory`` a blob.

    Args:
        layout: Of the store.
        sha256: What its bytes were found to be.
        fd: The file, open; its bytes are on the disk already.
        name: Its name in ``directory``; gone afterwards.
        directory: Descriptor of a directory of the same file system.

    Raises:
        DiskFullError: There is no room for the name.
        ReadOnlyStoreError: The store cannot be written.
        StoreError: Anything else that the system says.
        ValueError: ``sha256`` is not 64 lower-case hexadecimal digits.
    """
    path = layout.blob(sha256)
    with disk.our_errors(path):
        size = os.fstat(fd).st_size
        if _size(path) == size:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
        else:
            disk.only_readable(fd, MODE)
            touched: set[str] = set()
            _rename(layout, sha256, name, directory, touched=touched)
            disk.flush(sorted(touched))
    return Blob(sha256, size, Path(path))


def _rename(layout: Layout, sha256: str, source: str, directory: int | None = None, *, touched: set[str]) -> None:
    """Move a file to its blob's name; add to ``touched`` the directories that have a new name in them."""
    target = layout.blob(sha256)
    above = target[: target.rindex("/")]
    try:
        os.rename(source, target, src_dir_fd=directory)
    except FileNotFoundError:
        touched.update(_make(layout, above))
        os.rename(source, target, src_dir_fd=directory)
    touched.add(above)


def _make(layout: Layout, directory: str) -> list[str]:
    """Make a directory of blobs; return those that have, or may have, a new name in them."""
    try:
        os.mkdir(directory)  # noqa: PTH102
    except FileExistsError:
        pass  # another process has just made it, and may not have flushed it yet
    except FileNotFoundError:
        Path(directory).mkdir(parents=True, exist_ok=True)
        return [str(layout.blobs), str(layout.blobs.parent), str(layout.root)]
    return [str(layout.blobs)]


def _size(path: str) -> int | None:
    """Return the size of a regular file; None when there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- asked 10^5 times by a pull that has nothing to do
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise disk.translated(error, path, reading=True) from error
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _names(path: Path) -> list[str]:
    with disk.our_errors(path, reading=True):
        return disk.names(path)
