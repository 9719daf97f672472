"""Which file systems get a write-ahead log, and which errors come out."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
from pathlib import Path

import pytest

from mirror.errors import DiskFullError, LedgerError
from mirror.ledger import Ledger
from mirror.ledger.connection import file_system, for_reading, is_local
from mirror.ledger.failures import our_errors
from tests.ledger_events import open_ledger, stored

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:27 / /dev/shm rw,nosuid - tmpfs tmpfs rw
41 22 0:40 / /home rw,relatime shared:9 - nfs4 server:/home rw,vers=4.2
42 41 0:41 / /home/my\040data rw,relatime - fuse.sshfs me@host: rw
43 22 0:42 / /scratch rw - lustre 10.0.0.1@tcp:/scratch rw,flock
44 22 0:43 / /mnt/share rw - cifs //server/share rw
45 22 0:44 / /twice rw - ext4 /dev/vdb rw
46 45 0:45 / /twice rw - nfs server:/twice rw
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/ledger.db", "ext4"),
        ("/dev/shm/ledger.db", "tmpfs"),
        ("/home/me/ledger.db", "nfs4"),
        ("/homely/ledger.db", "ext4"),
        ("/home/my data/ledger.db", "fuse.sshfs"),
        ("/scratch/ledger.db", "lustre"),
        ("/mnt/share/x/ledger.db", "cifs"),
        ("/twice/ledger.db", "nfs"),
    ],
)
def test_the_longest_and_latest_mount_point_decides(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


def test_no_mount_table_gives_no_answer() -> None:
    assert file_system(Path("/x"), "") is None


def test_a_local_file_system_gets_a_write_ahead_log_and_another_a_rollback_journal(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        mode = ledger._connection.execute("PRAGMA journal_mode").fetchone()[0]
        level = ledger._connection.execute("PRAGMA synchronous").fetchone()[0]
    assert (mode, level) == (("wal", 1) if is_local(tmp_path) else ("delete", 2))


def test_the_last_to_close_takes_the_log_into_the_file_though_it_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    with contextlib.closing(for_reading(path)) as reader, open_ledger(path) as ledger:
        ledger.record([stored("a")])
        (before,) = reader.execute("SELECT count(*) FROM events").fetchone()
        ledger.close()
        assert before == 2
    assert sorted(one.name for one in tmp_path.iterdir()) == ["ledger.db", "ledger.head"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("ledger.db", "ledger.head"):
        shutil.copy(tmp_path / name, copy)
    with Ledger.reader(copy / "ledger.db") as moved:
        assert moved.verify().events == 2
    assert sorted(one.name for one in copy.iterdir()) == ["ledger.db", "ledger.head"]


@pytest.mark.parametrize(
    ("statement", "hint"),
    [("SELECT * FROM nowhere", ""), ("CREATE TABLE more (x)", "belongs to somebody else")],
)
def test_errors_of_sqlite_become_ours_with_a_hint(tmp_path: Path, statement: str, hint: str) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    connection = for_reading(path)
    with pytest.raises(LedgerError, match=r"ledger\.db") as caught, our_errors(path):
        connection.execute(statement)
    assert hint in caught.value.hint
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    connection.close()


def test_a_path_with_odd_signs_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a ?mode=rwc#%41 b" / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
    for_reading(path).close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_the_error_of_the_store_whichever_file_met_it(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskFullError, match=r"ledger\.db") as caught, our_errors(tmp_path / "ledger.db"):
        raise OSError(number, "full")
    assert caught.value.exit_code == 6
