"""Small files that are for their owner alone: written whole or not at all, refused when others may read them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, TypeVar

from mirror.errors import FULL, DiskFullError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
_MODE = 0o600
_OTHERS = 0o077
#: More is no file of ours.
_LARGEST = 64 << 20


def load(path: Path, parse: Callable[[bytes], T | None]) -> T | None:
    """Return what the newest whole version of a private file says; None when there is none.

    A save that a crash ended before its rename is ended here, if its bytes are whole: what
    it holds may be worth nothing twice.

    Args:
        path: The file.
        parse: Makes a value of its bytes; None when they are not whole.

    Raises:
        UsageError: It is no file, others may read it, or it belongs to somebody else.
        StoreError: It cannot be read.
    """
    for each in (_aside(path), path):
        data = read(each)
        value = parse(data) if data is not None else None
        if value is not None:
            if each != path:
                _settle(each, path)
            return value
    return None


def read(path: Path) -> bytes | None:
    """Return the bytes of a private file; None when there is none.

    Raises:
        UsageError: It is no file, others may read it, or it belongs to somebody else.
        StoreError: It cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not keep us waiting
        try:
            _check(path, os.fstat(descriptor))
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(_LARGEST)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def _check(path: Path, found: os.stat_result) -> None:
    """Make sure that it is a file, and its owner's alone."""
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path} is no file", hint="move it away, then run the command again")
    if found.st_uid != os.geteuid():
        raise UsageError(f"{path} belongs to somebody else")
    if found.st_mode & _OTHERS:
        raise UsageError(f"{path} can be read by others: it holds secrets", hint=f"chmod 600 {path}")


def save(path: Path, data: bytes) -> None:
    """Replace a private file: aside, on the disk, then under its name.

    Raises:
        DiskFullError: There is no room.
        StoreError: It cannot be written.
    """
    aside = _aside(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else StoreError
        raise kind(f"{path}: {error.strerror}") from error
    _settle(aside, path)


def remove(path: Path) -> bool:
    """Delete a private file, and what an interrupted save left of it; whether there was one.

    Raises:
        StoreError: It cannot be deleted.
    """
    there = False
    try:
        for each in (_aside(path), path):
            there = there or each.exists()
            each.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    return there


def _settle(aside: Path, path: Path) -> None:
    try:
        aside.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileNotFoundError:
        return  # another process has just done it, with these very bytes
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")
