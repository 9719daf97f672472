"""Recording: what becomes of events, and what is never done to them."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mirror.errors import DiskFullError, LedgerError, TamperedError
from mirror.ledger import Ledger
from mirror.ledger.canonical import GENESIS
from mirror.ledger.schema import STEPS
from mirror.model import Event
from tests.ledger_events import ARTIFACT, clock, file, listed, open_ledger, removed, sha256, stored, verified

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "ledger.db"


def test_events_come_back_as_they_were_recorded(path: Path) -> None:
    events = [listed(file("config.json")), stored("config.json"), Event("pulled", "", {"zeit": "schön", "n": [1, 0.5]})]
    with open_ledger(path) as ledger:
        ledger.record(events)
    with Ledger.reader(path) as reader:
        found = [entry.event for entry in reader.events()][1:]
    assert [(event.kind, event.subject, event.detail) for event in found] == [
        (event.kind, event.subject, event.detail) for event in events
    ]
    assert {event.at for event in found} == {"2025-01-31T12:00:00.000000Z"}


def test_every_event_is_chained_to_the_one_before(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([stored("a"), stored("b")])
        ledger.record([stored("c")])
        entries = list(ledger.events())
        assert ledger.head() == (4, entries[-1].hash)
    assert [entry.seq for entry in entries] == [1, 2, 3, 4]
    assert [entry.prev for entry in entries] == [GENESIS, *(entry.hash for entry in entries[:-1])]


def test_each_writer_introduces_itself_once_and_only_when_it_writes(path: Path) -> None:
    for _ in range(2):
        with open_ledger(path) as ledger:
            ledger.record([])
            ledger.record([stored("a")])
            ledger.record([stored("b")])
    with open_ledger(path) as ledger:
        assert [entry.kind for entry in ledger.events()] == ["opened", "stored", "stored"] * 2
        opened = next(ledger.events(kind="opened"))
    assert opened.detail["tool"] == "minibert-mirror 0.0"
    assert opened.detail["pid"] == os.getpid()
    assert opened.detail.keys() == {"tool", "host", "pid", "python", "platform"}


def test_a_time_that_an_event_brings_is_kept_in_utc(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([Event("pulled", "x", {}, at="2024-12-31T23:00:00-02:00")])
        assert [entry.at for entry in ledger.events(kind="pulled")] == ["2025-01-01T01:00:00.000000Z"]


def test_a_naive_clock_is_refused(path: Path) -> None:
    with open_ledger(path, now=lambda: datetime(2025, 1, 1)) as ledger, pytest.raises(ValueError, match="time zone"):  # noqa: DTZ001
        ledger.record([stored("a")])


@pytest.mark.parametrize(
    "event",
    [
        Event("stored", "x", {"artifact": "x"}),
        Event("stored", "x", {"seconds": float("nan")}),
        Event("listed", "x", {"artifact": "x", "narrowed": None, "revision": None, "files": [3]}),
        Event("pulled", "x", {"text": "\ud800"}),
        Event("pulled", "x", {}, at="yesterday"),
    ],
)
def test_an_event_that_cannot_be_right_takes_its_whole_batch_back(path: Path, event: Event) -> None:
    with open_ledger(path) as ledger:
        with pytest.raises(ValueError, match=r".+"):
            ledger.record([stored("a"), event])
        assert list(ledger.events()) == []
        assert list(ledger.files()) == []
        ledger.record([stored("b")])
        ledger.verify()


def test_events_can_be_neither_changed_nor_deleted_by_mistake(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
    connection = sqlite3.connect(path)
    for sql in ("UPDATE events SET detail = '{}'", "DELETE FROM events", "UPDATE events SET seq = 9 WHERE seq = 1"):
        with pytest.raises(sqlite3.IntegrityError, match="events are never"):
            connection.execute(sql)
    connection.close()


def test_the_head_is_kept_beside_the_ledger(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
        head = ledger.head()
        assert not path.with_suffix(".head").exists()
    assert path.with_suffix(".head").read_text() == f"{head.seq} {head.hash}\n"
    assert sorted(p.name for p in path.parent.iterdir()) == ["ledger.db", "ledger.head"]


def test_a_ledger_put_back_to_an_older_copy_is_not_written_to(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
    old = path.read_bytes()
    with open_ledger(path) as ledger:
        ledger.record([stored("b")])
    path.write_bytes(old)
    with pytest.raises(TamperedError, match=r"lacks event 4 that ledger\.head names"):
        open_ledger(path)
    path.unlink()
    with pytest.raises(TamperedError, match=r"ledger\.head"):
        open_ledger(path)
    path.with_suffix(".head").unlink()
    with open_ledger(path) as ledger:
        ledger.record([stored("c")])


def test_nothing_is_added_to_a_ledger_whose_tail_is_cut(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([stored("a"), stored("b")])
        other = sqlite3.connect(path)
        other.executescript("DROP TRIGGER events_are_never_deleted; DELETE FROM events WHERE seq = 3")
        other.close()
        with pytest.raises(TamperedError, match="head says 3 events, 2 are there"):
            ledger.record([stored("c")])


def test_two_writers_take_turns_within_one_chain(path: Path) -> None:
    with open_ledger(path) as one, open_ledger(path) as two:
        for number in range(5):
            one.record([stored(f"one-{number}")])
            two.record([stored(f"two-{number}")])
        assert one.head() == two.head()
        assert one.verify().events == 12


def test_a_writer_gives_up_when_another_holds_the_ledger_for_too_long(path: Path) -> None:
    with open_ledger(path, busy=0.05) as ledger:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked") as caught:
            ledger.record([stored("a")])
        assert "another process" in caught.value.hint
        other.execute("ROLLBACK")
        other.close()
        ledger.record([stored("a")])
        assert ledger.verify().events == 2


def test_a_full_disk_takes_a_batch_back_and_says_so(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([stored("a")])
        ledger._connection.execute("PRAGMA max_page_count = 40")
        with pytest.raises(DiskFullError, match="full") as caught:
            ledger.record([stored(f"file-{number}") for number in range(500)])
        assert "free space" in caught.value.hint
        ledger._connection.execute("PRAGMA max_page_count = 1000000")
        ledger.record([stored("b")])
        assert [entry.subject.rpartition("/")[2] for entry in ledger.events(kind="stored")] == ["a", "b"]
        ledger.verify()


def test_closing_twice_does_no_harm(path: Path) -> None:
    ledger = open_ledger(path)
    ledger.record([stored("a")])
    ledger.close()
    ledger.close()


def test_without_create_a_missing_ledger_is_an_error_and_stays_missing(path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger yet"):
        open_ledger(path, create=False)
    with pytest.raises(LedgerError, match="no ledger yet"):
        Ledger.reader(path)
    assert not path.exists()


def test_the_umask_decides_who_may_write(path: Path) -> None:
    before = os.umask(0o002)
    try:
        with open_ledger(path) as ledger:
            ledger.record([stored("a")])
            modes = {p.suffix: p.stat().st_mode & 0o777 for p in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {".db": 0o664, ".db-wal": 0o664, ".db-shm": 0o664}


def test_a_newer_ledger_is_left_alone(path: Path) -> None:
    open_ledger(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for attempt in (open_ledger, Ledger.reader):
        with pytest.raises(LedgerError, match="newer"):
            attempt(path)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at" * 30, b""])
def test_another_file_in_its_place_is_an_error_for_readers(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(LedgerError):
        Ledger.reader(path)


def test_migrations_are_noted_as_sqlite_utils_does(path: Path) -> None:
    from sqlite_utils import Database

    open_ledger(path).close()
    open_ledger(path).close()
    database = Database(path)
    assert [(row["migration_set"], row["name"]) for row in database["_sqlite_migrations"].rows] == [
        ("ledger", name) for name, _ in STEPS
    ]
    database.close()


def test_reading_and_appending_import_nothing_heavy(path: Path) -> None:
    open_ledger(path).close()
    script = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path; from mirror.ledger import Ledger\n"
        f"path = Path({str(path)!r})\n"
        "from mirror.model import Event\n"
        "with Ledger.open(path, tool='x', now=lambda: datetime.now(UTC)) as ledger:\n"
        "    ledger.record([Event('pulled', 'x', {})])\n"
        "with Ledger.reader(path) as reader: print(reader.head().seq)\n"
        "print(sorted({'sqlite_utils', 'click', 'numpy', 'socket', 'uuid'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["2", "[]"]


def test_many_openings_at_once_make_one_ledger(path: Path) -> None:
    script = (
        "from datetime import UTC, datetime; from pathlib import Path; from mirror.ledger import Ledger\n"
        "from mirror.model import Event\n"
        f"with Ledger.open(Path({str(path)!r}), tool='x', now=lambda: datetime.now(UTC)) as ledger:\n"
        "    for n in range(10): ledger.record([Event('pulled', str(n), {})])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for writer in writers:
        _, error = writer.communicate(timeout=60)
        assert writer.returncode == 0, error
    with Ledger.reader(path) as reader:
        assert reader.verify().events == 44


def test_the_state_follows_the_events_in_one_transaction(path: Path) -> None:
    blob = sha256("config.json")
    with open_ledger(path) as ledger:
        ledger.record([listed(file("config.json")), stored("config.json")])
        assert ledger.held(ARTIFACT) == {"config.json": blob}
        ledger.record([verified(blob, "altered")])
        assert ledger.held(ARTIFACT) == {}
        ledger.record([stored("config.json"), removed(blob)])
        assert ledger.held(ARTIFACT) == {}


def test_times_are_written_so_that_they_sort_as_text(path: Path) -> None:
    with open_ledger(path, now=clock(datetime(2025, 1, 1, tzinfo=UTC))) as ledger:
        for _ in range(3):
            ledger.record([Event("pulled", "x", {})])
        times = [entry.at for entry in ledger.events()]
    assert times == sorted(times)
    assert all(re.fullmatch(r"2025-01-01T00:00:0\d\.000000Z", at) for at in times)
