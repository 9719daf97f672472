"""Tampering with any row, the tail or the state is named."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from mirror.errors import LedgerError, TamperedError
from mirror.ledger import Ledger
from mirror.ledger.canonical import event_hash
from tests.ledger_events import file, listed, members, open_ledger, sha256, stored, verified

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.record([listed(file("a"), file("b"), file("c"), artifact="bert-tiny@google")])
        ledger.record([stored("a", artifact="bert-tiny@google", level="checked"), members(sha256("a"), "x", "y")])
        ledger.record([stored("b", artifact="bert-tiny@google"), verified(sha256("b"))])
    return path


def tamper(path: Path, *statements: str, unlocked: bool = True) -> None:
    """Do what somebody with the file and the sqlite3 command would do, and put the triggers back."""
    connection = sqlite3.connect(path)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    if unlocked:
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    if unlocked:
        for _, sql in triggers:
            connection.execute(sql)
    connection.commit()
    connection.close()


def problems(path: Path, head: str | None = None) -> list[str]:
    with Ledger.reader(path) as reader, pytest.raises(TamperedError) as caught:
        reader.verify(head)
    assert str(caught.value).startswith(f"{path} is not what was written:\n  {caught.value.problems[0]}")
    return list(caught.value.problems)


def test_an_honest_ledger_is_sound(path: Path) -> None:
    with Ledger.reader(path) as reader:
        audit = reader.verify()
        assert (audit.events, audit.head) == reader.head()
    assert audit.anchored == 6


@pytest.mark.parametrize("column", ["at", "kind", "subject", "detail", "prev", "hash"])
def test_a_changed_event_is_named(path: Path, column: str) -> None:
    tamper(path, f"UPDATE events SET {column} = replace({column}, substr({column}, 3, 1), 'ß') WHERE seq = 3")
    assert "event 3: hash does not match" in problems(path)


def test_an_event_of_another_type_is_named(path: Path) -> None:
    tamper(path, "UPDATE events SET detail = CAST(detail AS BLOB) WHERE seq = 3")
    assert "event 3: hash does not match" in problems(path)


def test_an_event_that_was_taken_out_is_named(path: Path) -> None:
    tamper(path, "DELETE FROM events WHERE seq = 3")
    assert "event 3 is missing" in problems(path)


def test_an_event_before_the_first_is_named_and_nothing_is_said_to_be_missing(path: Path) -> None:
    tamper(
        path,
        "INSERT INTO events SELECT 0, at, kind, subject, detail, prev, hash FROM events WHERE seq = 1",
        "INSERT INTO events SELECT -7, at, kind, subject, detail, prev, hash FROM events WHERE seq = 1",
    )
    assert problems(path)[:2] == [
        "event -7: no such event was ever written, they begin with 1",
        "event 0: no such event was ever written, they begin with 1",
    ]
    assert not any("missing" in line or "prev" in line for line in problems(path))


def test_events_that_were_taken_out_are_named(path: Path) -> None:
    tamper(path, "DELETE FROM events WHERE seq IN (3, 4)")
    assert "events 3 to 4 are missing" in problems(path)


def test_a_cut_tail_is_named(path: Path) -> None:
    tamper(path, "DELETE FROM events WHERE seq > 4")
    found = problems(path)
    assert "the tail is cut: head says 6 events, 4 are there" in found
    assert "the tail is cut: ledger.head says 6 events, 4 are there" in found
    assert "the tail is cut: table files names event 5, 4 are there" in found


def test_a_tail_that_was_cut_with_care_is_found_by_the_anchor(path: Path) -> None:
    roll_back(path, 4)
    assert problems(path) == ["the tail is cut: ledger.head says 6 events, 4 are there"]


def roll_back(path: Path, count: int) -> str:
    """Make the ledger exactly what it was after ``count`` events, and return the hash of its last."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT * FROM events WHERE seq <= ? ORDER BY seq", (count,)).fetchall()
    connection.close()
    path.unlink()
    rebuild(path, rows)
    return str(rows[-1][-1])


def rebuild(path: Path, rows: list[tuple[int, str, str, str, str, str, str]]) -> None:
    """Write a ledger that is sound in itself, as a forger would."""
    from mirror.ledger.projections import apply_all

    anchor = path.with_suffix(".head")
    kept = anchor.read_bytes()
    anchor.unlink()
    open_ledger(path).close()
    connection = sqlite3.connect(path)
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    apply_all(connection, [(row[0], row[1], row[2], json.loads(row[4])) for row in rows])
    connection.execute("INSERT INTO meta VALUES ('head', ?)", (f"{rows[-1][0]} {rows[-1][-1]}",))
    connection.commit()
    connection.close()
    anchor.write_bytes(kept)


def forge(path: Path) -> None:
    """Change the second event and everything that follows from it."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT * FROM events ORDER BY seq").fetchall()
    connection.close()
    prev = rows[0][5]
    forged = []
    for seq, at, kind, subject, detail, _, _ in rows:
        text = detail.replace("huggingface.co", "evil.example") if seq == 2 else detail
        digest = event_hash(seq, at, kind, subject, text, prev)
        forged.append((seq, at, kind, subject, text, prev, digest))
        prev = digest
    path.unlink()
    rebuild(path, forged)


def test_a_history_that_was_written_anew_is_found_by_the_anchor(path: Path) -> None:
    forge(path)
    assert problems(path)[0] == "event 6: ledger.head holds another hash of it"


def test_a_history_and_its_anchor_written_anew_are_found_by_a_head_kept_elsewhere(path: Path) -> None:
    with Ledger.reader(path) as reader:
        kept = reader.head().hash
    forge(path)
    path.with_suffix(".head").unlink()
    with Ledger.reader(path) as reader:
        reader.verify()
    assert "is no event's hash" in problems(path, kept)[0]


def test_a_head_kept_long_ago_is_still_in_the_chain(path: Path) -> None:
    with Ledger.reader(path) as reader:
        for entry in reader.events():
            reader.verify(entry.hash)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE files SET level = 'pinned' WHERE path = 'a'",
            "files row bert-tiny@google/a: level is pinned, the events say checked",
        ),
        ("UPDATE files SET sha256 = NULL WHERE path = 'a'", "files row bert-tiny@google/a: sha256 is nothing, the eve"),
        ("DELETE FROM files WHERE path = 'b'", "files row bert-tiny@google/b: is missing"),
        ("UPDATE files SET path = 'd' WHERE path = 'c'", "files row bert-tiny@google/c: is missing"),
        ("UPDATE files SET path = 'd' WHERE path = 'c'", "files row bert-tiny@google/d: no event made it"),
        (
            "UPDATE files SET path = x'00ff' WHERE path = 'c'",
            "files row bert-tiny@google/b'\\x00\\xff': no event made it",
        ),
        (
            "UPDATE files SET position = 'x' WHERE path = 'a'",
            "files row bert-tiny@google/a: position is x, the events s",
        ),
        (
            "UPDATE listings SET narrowed = '[]'",
            "listings row bert-tiny@google: narrowed is [], the events say nothing",
        ),
        ("UPDATE blobs SET present = 0", f"blobs row {sha256('b')}: present is 0, the events say 1"),
        ("UPDATE blobs SET size = size + 1", f"blobs row {sha256('b')}: size is 286, the events say 285"),
        ("INSERT INTO blobs SELECT * FROM blobs", f"blobs row {sha256('a')}: no event made it"),
        ("DELETE FROM members WHERE path = 'x'", f"members row {sha256('a')}/x: is missing"),
        ("UPDATE meta SET value = 'x'", "meta row head: it is not the number and hash of an event"),
        ("UPDATE meta SET value = '5' || substr(value, 2)", "meta row head: it says 5 events, 6 are there"),
        (
            "UPDATE meta SET value = substr(value, 1, 65) || 'g'",
            "meta row head: it is not the number and hash of an even",
        ),
        ("INSERT INTO meta VALUES ('note', 'x')", "meta row note: no such row was ever written"),
        ("CREATE TABLE extra (x)", "table extra: was added"),
        ("DROP INDEX blobs_damaged", "index blobs_damaged: is missing"),
    ],
)
def test_a_changed_state_row_is_named(path: Path, statement: str, problem: str) -> None:
    tamper(path, statement)
    assert any(line.startswith(problem) for line in problems(path)), problems(path)


def test_a_trigger_that_was_dropped_is_named(path: Path) -> None:
    tamper(path, "DROP TRIGGER events_are_never_deleted", unlocked=False)
    assert problems(path) == ["trigger events_are_never_deleted: is missing"]


def test_twenty_problems_are_shown_and_the_others_counted(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record([stored(f"file-{number}") for number in range(50)])
    tamper(path, "UPDATE files SET level = 'pinned' WHERE path LIKE 'file-%'")
    with Ledger.reader(path) as reader, pytest.raises(TamperedError) as caught:
        reader.verify()
    assert len(caught.value.problems) == 50
    assert len(str(caught.value).splitlines()) == 22
    assert str(caught.value).endswith("and 30 more problems")


def test_a_chain_of_events_that_no_program_of_ours_writes_is_named(path: Path) -> None:
    for detail in ("[]", "{", "{}"):
        connection = sqlite3.connect(path)
        rows = connection.execute("SELECT * FROM events ORDER BY seq").fetchall()
        prev = rows[-1][-1]
        seq = rows[-1][0] + 1
        digest = event_hash(seq, "2025", "stored", "x", detail, prev)
        connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", (seq, "2025", "stored", "x", detail, prev, digest)
        )
        connection.execute("UPDATE meta SET value = ?", (f"{seq} {digest}",))
        connection.commit()
        connection.close()
        assert any("JSON object" in line or "not what the program writes" in line for line in problems(path))


def test_a_page_of_the_file_that_was_overwritten_is_an_error_of_ours(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for start in range(8192, len(data), 8192):  # where a page's own header is
        data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(LedgerError), Ledger.reader(path) as reader:
        reader.verify()


def test_names_in_problems_cannot_move_the_cursor(path: Path) -> None:
    tamper(path, "UPDATE files SET path = char(27) || '[2J' WHERE path = 'c'")
    with Ledger.reader(path) as reader, pytest.raises(TamperedError) as caught:
        reader.verify()
    assert "\x1b" not in str(caught.value)
    assert "\x1b" not in "".join(caught.value.problems)


def test_problems_can_be_printed_whatever_stands_in_a_row(path: Path) -> None:
    tamper(path, "UPDATE files SET path = CAST(x'ff' AS TEXT) WHERE path = 'c'")
    "".join(problems(path)).encode()


def test_verifying_while_another_writes_sees_one_moment(path: Path) -> None:
    with open_ledger(path) as ledger, Ledger.reader(path) as reader:
        ledger.record([stored("c", artifact="bert-tiny@google")])
        entries = reader.events()
        next(entries)
        ledger.record([stored("d", artifact="bert-tiny@google")])
        assert reader.verify().events == 9
