"""Connections to ``ledger.db``: how it is opened, by writers and by readers.

Invariants: write-ahead logging is used only where all processes share one machine's memory
(sqlite.org/wal.html §2.2); a reader changes nothing, and leaves nothing beside the ledger where it is
not its own. The last to close an own ledger, a reader too, takes the log into the file and removes it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path

from mirror.errors import LedgerError, NoLedgerError
from mirror.ledger.failures import our_errors
from mirror.ledger.schema import VERSION

#: Seconds that a writer waits for another one's transaction.
BUSY = 30.0

#: Errors of one who finds the ledger just being made. SQLite's own waiting does not cover the change to
#: write-ahead logging: two that wait for each other there would wait for ever (sqlite3_busy_handler).
_TAKEN = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PAUSE = 0.01

#: File systems of this machine alone. Any other may be shared between hosts, whose memory is
#: not: there the rollback journal is used, which is slower and right.
_LOCAL = frozenset(
    {
        "aufs", "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay",
        "ramfs", "reiserfs", "tmpfs", "vfat", "xfs", "zfs",
    }
)  # fmt: skip

#: No thread of ours connects to the new file while another one still closes it.
_CREATING = threading.Lock()

_UNFINISHED = "its last writer was stopped; let the owner run any `minibert-mirror pull`, which completes it"


def for_writing(path: Path, *, create: bool, busy: float = BUSY) -> sqlite3.Connection:
    """Open ``path`` for one writer, with every step of the schema applied.

    Raises:
        LedgerError: It is not there and ``create`` is false, cannot be written, or is newer than this program.
    """
    if create:
        _create(path)
    elif not path.exists():
        raise missing(path)
    deadline = time.monotonic() + busy
    with our_errors(path):
        while True:
            try:
                return _opened(path, busy)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _TAKEN or time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE)


def _opened(path: Path, busy: float) -> sqlite3.Connection:
    with contextlib.ExitStack() as undo:
        # The recorder's thread writes with a connection that another may have opened.
        connection = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
        undo.callback(connection.close)
        # Only a new file takes it. Rows are about 1.5 kB: 4 KiB pages cost 5 % more time, 16 KiB pages
        # are faster at 10^5 files and much slower from 3·10^5 on, where most pages of an index change at once.
        connection.execute("PRAGMA page_size = 8192")
        wanted = "wal" if is_local(path) else "delete"
        (mode,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
        # In WAL a power cut may lose the last transactions, never damage: their blobs are recorded again.
        connection.execute(f"PRAGMA synchronous = {'normal' if mode == 'wal' else 'full'}")
        connection.execute("PRAGMA wal_autocheckpoint = 4096")  # 32 MiB
        connection.execute("PRAGMA cache_size = -32768")
        _bring_up_to_date(connection, path)
        undo.pop_all()
        return connection


class _OlderLedgerError(LedgerError):
    """An earlier version of the program made it, and its tables lack something."""

    hint = "let the owner run any `minibert-mirror pull`, which brings it up to date"


def for_reading(path: Path) -> sqlite3.Connection:
    """Open ``path`` for reading only; works for other users and on read-only file systems.

    Only a ledger of an earlier version is written first, by who may: its tables are brought up to date.

    Raises:
        LedgerError: It is not there, is damaged, or needs its owner to complete it first.
    """
    try:
        return _for_reading(path)
    except _OlderLedgerError:
        if not (_may_write(path) and _may_write(path.parent)):
            raise
    for_writing(path, create=False).close()
    return _for_reading(path)


def _for_reading(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise missing(path)
    uri = path.absolute().as_uri()
    still = f"{uri}?mode=ro&immutable=1"
    with our_errors(path):
        if _may_write(path) and _may_write(path.parent):
            # Not mode=ro: such a connection would leave the log behind, and could not undo what a writer
            # that died left half done (sqlite.org/wal.html §4, sqlite.org/lockingv3.html §4.1).
            return _checked(_open_uri(f"{uri}?mode=rw"), path, "PRAGMA query_only = 1")
        # Where the folder may be written and the ledger not, SQLite would leave lock files of ours in
        # the owner's way. A writer at work has a log beside it; without one nothing is moving.
        if not _may_write(path) and is_local(path) and not _log(path, "-wal").exists():
            return _checked(_open_uri(still), path)
        try:
            return _checked(_open_uri(f"{uri}?mode=ro"), path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
                raise
        # A log that cannot be read with the locks it needs would be left out, in silence.
        for log in (_log(path, "-wal"), _log(path, "-journal")):
            if log.exists() and log.stat().st_size:
                raise LedgerError(f"{path}: {log.name} holds unfinished work", hint=_UNFINISHED)
        return _checked(_open_uri(still), path)


def sync_log(path: Path) -> None:
    """Bring what was committed to the disk, as a power cut would find it.

    In WAL, commits are not synced one by one. Only the log may be opened like this: closing
    another descriptor of the database itself would drop SQLite's locks (sqlite.org/howtocorrupt.html §2.2).

    Raises:
        LedgerError: The disk fails.
    """
    with our_errors(path):
        try:
            log = os.open(_log(path, "-wal"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # the rollback journal: every commit was synced
        try:
            os.fsync(log)
        finally:
            os.close(log)


def missing(path: Path) -> NoLedgerError:
    """Return the error that there is no ledger at ``path``."""
    return NoLedgerError(f"{path}: there is no ledger yet")


def is_local(path: Path) -> bool:
    """Whether ``path``'s file system belongs to this machine alone; yes where nobody can say."""
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return True
    kind = file_system(path.resolve(), table)
    return kind is None or kind in _LOCAL


def file_system(path: Path, table: str) -> str | None:
    """Return the type of the file system that holds ``path``; None when the table does not tell.

    Args:
        path: Absolute, without symbolic links.
        table: Text of ``/proc/self/mountinfo``.

    Source: proc_pid_mountinfo(5).
    """
    best, kind = -1, None
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        mount = Path(_unescape(fields[4]))
        # Of two mounts on one place, the later hides the earlier.
        if path.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), right.split(" ")[0]
    return kind


def _unescape(text: str) -> str:
    """Undo the octal escapes of blanks, tabs, newlines and backslashes in a mount point."""
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text


def _create(path: Path) -> None:
    """Make an empty file, so that the umask decides who may write: SQLite would always say 0644.

    One that is there is not opened: closing it would drop the locks of our other connections, and the
    next process to close would take itself for the last and delete the log that they write to
    (sqlite.org/howtocorrupt.html §2.2).
    """
    with our_errors(path), _CREATING:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the steps that are missing, while nobody else can."""
    if _version(connection, path) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    if _version(connection, path) < VERSION:  # nobody was faster
        from mirror.ledger.migrations import migrate

        migrate(connection)
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise LedgerError(f"{path}: made by a newer minibert-mirror", hint="use that version, or a later one")
    return int(version)


def _may_write(path: Path) -> bool:
    """Whether this process, as whom it acts now, may write ``path``."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _log(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _open_uri(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)


def _checked(connection: sqlite3.Connection, path: Path, *settings: str) -> sqlite3.Connection:
    """Return ``connection`` after its first read, which finds out whether it works."""
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        for setting in settings:
            connection.execute(setting)
        version = _version(connection, path)
        if version == 0:
            raise missing(path)
        if version < VERSION:
            raise _OlderLedgerError(f"{path}: made by an earlier minibert-mirror")
        connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
        undo.pop_all()
        return connection
