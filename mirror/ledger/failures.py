"""What can go wrong with the ledger's files, said in our words.

Invariant: every error of ``sqlite3`` and of the system leaves the room as a ``LedgerError`` with a
hint, but for a full disk and too many open files: those are one thing to whoever meets them, whichever
file met them first, and so the same ``DiskFullError`` and ``OpenFilesError`` as the store's.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
from typing import TYPE_CHECKING

from mirror.errors import CROWDED, FORBIDDEN, FULL, DiskFullError, LedgerError, OpenFilesError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HINTS = {
    sqlite3.SQLITE_BUSY: "another process has been writing for too long; let it finish and run the command again",
    sqlite3.SQLITE_READONLY: "the ledger belongs to somebody else: pull into your own, `minibert-mirror init DIR`",
    sqlite3.SQLITE_CORRUPT: "restore ledger.db from a copy; blobs are not touched, and a pull records them again",
    sqlite3.SQLITE_NOTADB: "another file stands where the ledger should be; move it away and pull again",
    sqlite3.SQLITE_CANTOPEN: "check that the folder exists and that you may read (and, to pull, write) it",
    sqlite3.SQLITE_IOERR: "the disk or its quota is full, or the file system does not lock (Lustre: mount with flock)",
}
_HINTS[sqlite3.SQLITE_LOCKED] = _HINTS[sqlite3.SQLITE_BUSY]
_HINTS[sqlite3.SQLITE_PROTOCOL] = _HINTS[sqlite3.SQLITE_BUSY]
_HINTS[sqlite3.SQLITE_PERM] = _HINTS[sqlite3.SQLITE_CANTOPEN]

#: The second is said when the write-ahead log's shared memory cannot grow.
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
#: Bytes by which one of SQLite's files grows at once, at the most: its log's shared memory.
_GROWTH = 32 << 10
#: Files that SQLite opens: the database, its log, the log's shared memory, and the directory.
_FILES = 4


@contextlib.contextmanager
def our_errors(path: Path) -> Iterator[None]:
    """Turn sqlite3's errors and the system's into ours; around a ``yield``, so that reading rows counts too.

    Raises:
        DiskFullError: There is no room for it, or a limit on the size of files.
        OpenFilesError: No more files may be open.
        LedgerError: It is corrupt, locked for too long, read-only, or the disk fails.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code in _FULL or (code is not None and code & 0xFF == sqlite3.SQLITE_IOERR and _is_limited(path)):
            raise DiskFullError(f"{path}: {error}") from error
        if code is not None and code & 0xFF == sqlite3.SQLITE_CANTOPEN and _is_crowded():
            raise OpenFilesError(f"{path}: {error}: too many open files") from error
        raise LedgerError(f"{path}: {error}", hint="" if code is None else _HINTS.get(code & 0xFF, "")) from error
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError(f"{path}: {error.strerror}") from error
        if error.errno in CROWDED:
            raise OpenFilesError(f"{path}: {error.strerror}") from error
        code = sqlite3.SQLITE_READONLY if error.errno in FORBIDDEN else sqlite3.SQLITE_CANTOPEN
        raise LedgerError(f"{path}: {error.strerror}", hint=_HINTS[code]) from error


def _is_limited(path: Path) -> bool:
    """Whether this process may not let the ledger grow: SQLite only says that writing failed."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return False
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-journal", "-shm")]
    return max((file.stat().st_size for file in files if file.exists()), default=0) + _GROWTH > limit


def _is_crowded() -> bool:
    """Whether SQLite could not have opened all of its files: it only says that it could not."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(_FILES))
    except OSError as error:
        return error.errno in CROWDED
    finally:
        for each in opened:
            os.close(each)
    return False
