"""A text file, replaced in one step: whole or not at all, and on the disk before it has its name."""

from __future__ import annotations

import os
from pathlib import Path

from mirror.errors import FULL, DiskFullError, ReadOnlyStoreError, StoreError


def replace_text(path: Path, text: str) -> None:
    """Replace the file ``path`` by ``text``; its permissions are kept.

    Raises:
        ReadOnlyStoreError: The folder belongs to somebody else.
        DiskFullError: There is no room.
        StoreError: It cannot be written, for another reason.
    """
    import tempfile  # 5 ms that no reading command needs

    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as out:
                out.write(text)
                out.flush()
                os.fchmod(out.fileno(), _mode(path))
                os.fsync(out.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except PermissionError as error:
        raise ReadOnlyStoreError(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise (DiskFullError if error.errno in FULL else StoreError)(f"{path}: {error.strerror}") from error


def _mode(path: Path) -> int:
    """Return the permissions of ``path``, or the ones a new file gets under this umask."""
    if path.exists():
        return path.stat().st_mode & 0o7777
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask
