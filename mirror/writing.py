"""Files and folders, written in one step: whole or not at all, and on the disk before they have their names.

What is no file, such as a pipe or a device, cannot be written so: it is written into, and never replaced.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.errors import FORBIDDEN, FULL, DiskFullError, ReadOnlyStoreError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Buffer


def replace_text(path: Path, text: str, *, hint: str | None = None) -> None:
    """Replace the file ``path``, or the one that it is a link to, by ``text``; its permissions are kept.

    Args:
        path: The file.
        text: What it will hold.
        hint: What to do where it cannot be written; None for a file of a mirror's own.

    Raises:
        ReadOnlyStoreError: The folder belongs to somebody else.
        DiskFullError: There is no room.
        StoreError: It cannot be written, for another reason.
    """
    replace_bytes(path, [text.encode()], follow=True, hint=hint)


def replace_bytes(path: Path, pieces: Iterable[Buffer], *, follow: bool = False, hint: str | None = None) -> None:
    """Replace the file ``path`` by ``pieces``, one after the other; its permissions are kept.

    Args:
        path: The file; a pipe, a device, or a link to our own stdout is written into.
        pieces: Its bytes.
        follow: Whether a link stays, and the file that it leads to is replaced.
        hint: As ``replace_text`` has it.

    Raises:
        ReadOnlyStoreError: The folder belongs to somebody else.
        DiskFullError: There is no room.
        StoreError: It cannot be written, for another reason.
    """
    with _our_errors(path, hint):
        descriptor = _no_file(path)
        if descriptor is not None:
            with os.fdopen(descriptor, "wb") as out:
                out.writelines(pieces)
        else:
            _replace(Path(os.path.realpath(path)) if follow else path, pieces)


def _no_file(path: Path) -> int | None:
    """Return a descriptor of what is there and is written into as it is; None for a file, or nothing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    # /dev/stdout may lead to a file that a shell has opened, and that others write to as well.
    for own in (1, 2) if path.is_symlink() else ():
        with suppress(OSError):  # closed
            if os.path.samestat(found, os.fstat(own)):
                return os.dup(own)
    return None if stat.S_ISREG(found.st_mode) else os.open(path, os.O_WRONLY)


def _replace(path: Path, pieces: Iterable[Buffer]) -> None:
    import tempfile  # 5 ms that no reading command needs

    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.writelines(pieces)
            out.flush()
            os.fchmod(out.fileno(), path.stat().st_mode & 0o7777 if path.exists() else _allowed(0o666))
            os.fsync(out.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_files(folder: Path, files: Mapping[str, Iterable[Buffer]], *, hint: str | None = None) -> None:
    """Write files into a folder, which is made; a new one appears with all of them, in an old one each is replaced.

    Args:
        folder: The folder.
        files: Bytes of each file, by its name.
        hint: As ``replace_text`` has it.

    Raises:
        ReadOnlyStoreError: The place belongs to somebody else.
        DiskFullError: There is no room.
        StoreError: They cannot be written, for another reason.
    """
    if folder.exists():
        for name, pieces in files.items():
            replace_bytes(folder / name, pieces, hint=hint)
        return
    import shutil
    import tempfile

    with _our_errors(folder, hint):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for name, pieces in files.items():
                replace_bytes(aside / name, pieces, hint=hint)
            aside.chmod(_allowed(0o777))
            aside.rename(folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise


@contextmanager
def _our_errors(path: Path, hint: str | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else ReadOnlyStoreError if error.errno in FORBIDDEN else StoreError
        raise kind(f"{path}: {error.strerror or repr(error)}", hint=hint) from error


def _allowed(mode: int) -> int:
    """Return the permissions that something new gets under this umask."""
    umask = os.umask(0o077)
    os.umask(umask)
    return mode & ~umask
