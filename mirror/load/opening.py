"""Files as memory: nothing is read before it is looked at."""

from __future__ import annotations

import mmap
from typing import IO, TYPE_CHECKING

from mirror.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def mapped(path: Path) -> memoryview:
    """Return the bytes of a file, which nobody may be writing; the file stays open while they are used.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return mapped_file(file)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error


def mapped_file(file: IO[bytes]) -> memoryview:
    """Return the bytes of an open file.

    Raises:
        OSError: It cannot be mapped.
    """
    if not file.seek(0, 2):
        return memoryview(b"")  # nothing cannot be mapped
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def unreadable(path: Path) -> StoreError | None:
    """Say why a file cannot be opened; None when it can."""
    try:
        path.open("rb").close()
    except OSError as error:
        return StoreError(f"{path}: {error.strerror or repr(error)}")
    return None


def is_there(path: Path) -> bool:
    """Whether a file is there; one that may be, and cannot be reached, counts."""
    try:
        return path.exists()
    except OSError:
        return True
